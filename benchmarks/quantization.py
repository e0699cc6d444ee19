"""Float32 against int8 in ONNX Runtime on the CPU, side by side.

    python benchmarks/quantization.py [--models DeepLabV3P-ResNet50_vd FastSCNN] [--size 512] [--repeats 10]

A network with random weights (speed does not depend on them) is calibrated on one photo and exported as
float32 and as int8; both graphs then predict the photo, `--size` pixels square, in turns. The best of the
repeats counts. A CPU with VNNI multiplies four pairs of 8-bit numbers where it multiplies one pair of floats.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.utils.cpu import available_cores, prepare_cpu

PHOTO = Path(__file__).parents[1] / "dataset" / "nuts_labelme" / "images" / "nuts_05.jpg"
CLASSES = 19


def main() -> None:
    """Print a table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description="Float32 against int8 on the CPU.")
    parser.add_argument("--models", nargs="*", default=["DeepLabV3P-ResNet50_vd"])
    parser.add_argument("--size", type=int, default=512, help="side of the input, pixels")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    prepare_cpu()
    print(f"{available_cores()} cores, VNNI: {'yes' if _has_vnni() else 'no'}")
    print("| model | input | float32 | int8 | ratio | convolutions in int8 |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        print(_row(name, size=options.size, repeats=options.repeats), flush=True)


def _has_vnni() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


def _row(name: str, *, size: int, repeats: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        files, feed = _export(name, Path(folder), size=size)
        sessions = [_open(file) for file in files]
        counts = _operators(files[1], Path(folder))
        feeds = [{value.name: feed[value.name] for value in session.get_inputs()} for session in sessions]
        best = [np.inf, np.inf]
        for repeat in range(repeats + 1):
            for number, session in enumerate(sessions):
                start = time.perf_counter()
                session.run(None, feeds[number])
                if repeat:  # the first one warms up
                    best[number] = min(best[number], time.perf_counter() - start)
    whole = counts["QLinearConv"] + counts["Conv"] + counts["FusedConv"]
    return (
        f"| {name} | {size} x {size} | {1000 * best[0]:.0f} ms | {1000 * best[1]:.0f} ms "
        f"| {best[0] / best[1]:.2f} | {counts['QLinearConv']} of {whole} |"
    )


def _export(name: str, folder: Path, *, size: int) -> tuple[list[Path], dict[str, np.ndarray]]:
    """Both graphs, and what they are fed with."""
    import cv2
    import paddle

    from paddlex.data.transforms.preprocess import Preprocessor
    from paddlex.modules.inference_config import preprocess_operations
    from paddlex.modules.instance_segmentation.quantizer import INSTANCE_QUANTIZATION
    from paddlex.modules.quantize_run import calibrated_network
    from paddlex.modules.semantic_segmentation.quantizer import SEMANTIC_QUANTIZATION
    from paddlex.modules.trained_network import TrainedNetwork
    from paddlex.modules.zoo import find_model
    from paddlex.utils.images import read_image

    spec = find_model(name)
    task = SEMANTIC_QUANTIZATION if spec.task == "semantic_segmentation" else INSTANCE_QUANTIZATION
    photo = cv2.resize(read_image(PHOTO), (size, size), interpolation=cv2.INTER_AREA)
    paddle.seed(0)
    network = spec.build(num_classes=CLASSES, eval_size=(size, size))
    _make_plausible(network)
    network.eval()
    trained = TrainedNetwork(
        network=network,
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        names_known=True,
        input_size=(size, size),
        operations=preprocess_operations(spec, input_size=(size, size)),
    )
    quantized = calibrated_network(task, trained, spec=spec, images=[photo], method="minmax")
    for kind, one in (("float", trained), ("int8", quantized)):
        task.export(spec, one, folder / kind, [photo])
    batch: dict[str, Any] = Preprocessor.stack([Preprocessor(trained.operations)(photo)])
    feed = {**batch, "score_threshold": np.array([0.5], np.float32)}
    return [folder / kind / "inference.onnx" for kind in ("float", "int8")], feed


def _make_plausible(network: Any) -> None:
    """Keep the activations of a deep network that nobody trained in the usual range."""
    import paddle

    for name, value in network.state_dict().items():
        if name.endswith("norm._variance"):
            value.set_value(paddle.full_like(value, 4.0))


def _open(file: Path, *, optimized: Path | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = available_cores()
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _operators(file: Path, folder: Path) -> Counter[str]:
    """What the runtime makes of a graph."""
    import onnx

    _open(file, optimized=folder / "optimized.onnx")
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


if __name__ == "__main__":
    main()
