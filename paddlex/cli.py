"""The command line: `paddlex -c FILE -o a.b=value`, `paddlex models`."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import paddlex
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["main"]

_EPILOG = """\
the road from photos to a deployed model (one configuration, five modes):

  C=paddlex/configs/instance_segmentation/Mask-RT-DETR-L.yaml
  D=dataset/nuts_labelme

  1. look at the data: convert LabelMe files, scan every photo and annotation
     paddlex -c $C -o Global.mode=check_dataset -o Global.dataset_dir=$D \\
             -o CheckDataset.convert.enable=True -o CheckDataset.convert.src_dataset_type=LabelMe
  2. train (best weights in output/best_model)
     paddlex -c $C -o Global.mode=train -o Global.dataset_dir=$D -o Train.epochs_iters=40
     ... continue after an interruption: -o Train.resume_path=auto
  3. measure
     paddlex -c $C -o Global.mode=evaluate -o Global.dataset_dir=$D
  4. export for deployment
     paddlex -c $C -o Global.mode=export -o Export.weight_path=output/best_model/best_model.pdparams
  5. predict: a photo, a folder, a glob, a PDF, a video
     paddlex -c $C -o Global.mode=predict -o Predict.input=photos/

smaller and faster: prune channels by their measured worth, then train on from what is left
     paddlex -c $C -o Global.mode=prune -o Global.dataset_dir=$D -o Prune.pruned_flops=0.3
     paddlex -c $C -o Global.mode=train -o Global.dataset_dir=$D -o Global.output=output_pruned \\
             -o Train.pretrain_weight_path=output/pruned/model.pdparams
... or compute in 8-bit integers: calibrate on photos, or train on under quantisation (Quantize.method=qat)
     paddlex -c $C -o Global.mode=quantize -o Global.dataset_dir=$D
     ... then predict with -o Predict.model_dir=output/quantized/inference

a class for each pixel instead of instances: C=paddlex/configs/semantic_segmentation/FastSCNN.yaml and its
siblings; the same five modes. Data: photos and masks of class indices, or LabelMe files to convert. Lengths
count iterations, -o Train.epochs_iters=2000; the best weights are output/best_model/model.pdparams.

any key of the YAML file can be overridden: -o Section.key=value, lists as [1, 2], list items as key.0=value.
each mode leaves <Global.output>/<mode>_result.json with done_flag; exit code 0 done, 1 failed, 2 misused.
"""


_VERSIONED = (
    "paddlepaddle",
    "paddlepaddle-gpu",
    "onnxruntime",
    "paddle2onnx",
    "openvino",
    "numpy",
)


def build_parser() -> argparse.ArgumentParser:
    """The argument parser, with help that teaches."""
    parser = argparse.ArgumentParser(
        prog="paddlex",
        description="From annotated photos to a deployed segmentation model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["models"], help="models: print the table of models")
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="YAML file of a model (or a model's name)"
    )
    parser.add_argument(
        "-o",
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key; may be repeated",
    )
    parser.add_argument("--version", action="store_true", help="print versions and leave")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    set_up_logging()
    if not logger.isEnabledFor(logging.DEBUG):
        # Paddle warns of compilers and placements that no user of this command can act upon.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.")
        warnings.filterwarnings("ignore", message=r"[\s\S]*Non compatible API")
    if options.version:
        sys.stdout.write(_versions() + "\n")
        return 0
    if options.command == "models":
        _print_models()
        return 0
    if options.config is None:
        parser.print_help(sys.stderr)
        logger.error("-c is missing: name the YAML file of a model")
        return 2
    from paddlex.engine import run

    return run(_config_path(options.config), options.override)


def _config_path(path: Path) -> Path:
    """A model's bare name stands for its shipped file."""
    from paddlex.config import CONFIG_FOLDER

    if not path.exists() and path.suffix == "" and len(path.parts) == 1:
        shipped = sorted(CONFIG_FOLDER.glob(f"*/{path.name}.yaml"))
        return shipped[0] if shipped else path
    if not path.exists() and path.parts[:2] == ("paddlex", "configs"):
        # The path as documentation writes it works from any folder once the package is installed.
        return CONFIG_FOLDER.joinpath(*path.parts[2:])
    return path


def _print_models() -> None:
    from rich.console import Console
    from rich.table import Table

    from paddlex.modules.zoo import ALL_MODELS

    table = Table(title="Models")
    table.add_column("model", no_wrap=True)
    table.add_column("task")
    table.add_column("parameters", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("size", justify="right")
    table.add_column("weights", overflow="fold")
    for spec in ALL_MODELS.values():
        measure = "mask AP" if spec.task == "instance_segmentation" else "mIoU"
        table.add_row(
            spec.name,
            spec.task.replace("_", " "),
            f"{spec.parameters:.1f} M",
            "-" if spec.score is None else f"{measure} {spec.score}",
            "-" if spec.size_mb is None else f"{spec.size_mb} MB",
            spec.weights_url or "-",
        )
    out = Console() if sys.stdout.isatty() else Console(width=200)
    out.print(table)


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    lines = [f"paddlex {paddlex.__version__}"]
    for name in _VERSIONED:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
