"""From a configuration to a runner, and from its outcome to a result file.

This is the only place, with `pipeline`, that reads a configuration: runners take typed arguments.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddlex.config import Config, Mode, load_config, read_content
from paddlex.modules.card_processes import in_card_process, run_on_cards
from paddlex.utils.cpu import prepare_cpu
from paddlex.utils.device import Device, parse_device
from paddlex.utils.errors import ConfigError, PaddleXError, UsageError, WeightsError
from paddlex.utils.logging import logger
from paddlex.utils.run_record import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_SUCCESS,
    EXIT_USAGE,
    record_failure,
    run_recorded,
)

if TYPE_CHECKING:
    from paddlex.repo_apis.spec import ModelSpec, Task
    from paddlex.training.options import TrainOptions

__all__ = ["EXIT_FAILURE", "EXIT_INTERRUPTED", "EXIT_SUCCESS", "EXIT_USAGE", "run"]

Fields = dict[str, Any]


def run(config_file: Path, overrides: Sequence[str] = ()) -> int:
    """Run the mode that the configuration names and write `<output>/<mode>_result.json`.

    Args:
        config_file: YAML file of a model.
        overrides: `dotted.path=value` each.

    Returns:
        Exit code: 0 done, 1 failed, 2 command line misused, 130 interrupted.
    """
    try:
        config = load_config(config_file, overrides)
    except UsageError as error:
        logger.error("%s", error)
        return EXIT_USAGE
    except PaddleXError as error:
        logger.error("%s", error)
        _record_config_failure(config_file, overrides, error)
        return EXIT_FAILURE
    result_file = Path(config.Global.output) / f"{config.Global.mode}_result.json"
    if (number := in_card_process()) is not None and number > 0:
        return _run_beside_the_main_process(config)
    if number is None and config.Global.mode == "train" and len(_cards(config).ids) > 1:
        return _train_on_cards(config_file, overrides, config=config, result_file=result_file)
    return run_recorded(result_file, lambda: run_mode(config))


def run_mode(config: Config) -> Fields:
    """Run the configured mode; errors are raised, not recorded.

    Returns:
        The fields of the result file, without `done_flag`.
    """
    from paddlex.modules.zoo import find_model

    spec = find_model(config.Global.model)
    if config.Global.mode in _PADDLE_MODES:
        prepare_cpu()
    _warn_of_the_meaningless(config, spec)
    return _MODES[config.Global.mode](config, spec)


def _run_beside_the_main_process(config: Config) -> int:
    """Take part in a training on several cards, whose main process records how it ends."""
    try:
        run_mode(config)
    except PaddleXError as error:
        logger.error("%s", error)
        return EXIT_FAILURE
    return EXIT_SUCCESS


def _train_on_cards(config_file: Path, overrides: Sequence[str], *, config: Config, result_file: Path) -> int:
    """Train in one process for each card; make sure that a result is left."""
    arguments = ["-c", str(config_file), *(part for item in overrides for part in ("-o", item))]
    try:
        result_file.unlink(missing_ok=True)
        code = run_on_cards(arguments, device=_cards(config), output_dir=result_file.parent)
    except OSError as error:
        logger.error("%s", error)
        record_failure(result_file, error)
        return EXIT_FAILURE
    if code and not result_file.exists():
        record_failure(result_file, PaddleXError(f"a process of the training ended with code {code}"))
    return code if code >= 0 else EXIT_FAILURE


def _record_config_failure(config_file: Path, overrides: Sequence[str], error: PaddleXError) -> None:
    """Leave the error where the result would have been, as far as the faulty configuration says where."""
    try:
        section = read_content(config_file, overrides).get("Global")
    except PaddleXError:
        return
    section = section if isinstance(section, dict) else {}
    output, mode = section.get("output", "output"), section.get("mode")
    if isinstance(output, str) and mode in _MODES:
        record_failure(Path(output) / f"{mode}_result.json", error)


# --------------------------------------------------------------------------- one function a mode


def _call(task: str, runner: str, **arguments: object) -> Fields:
    """Call `module:function` of the task's folder, imported only now."""
    module, _, name = runner.partition(":")
    function: Callable[..., Fields] = getattr(
        importlib.import_module(f"paddlex.modules.{task}.{module}"), name
    )
    return function(**arguments)


def _check_dataset(config: Config, spec: ModelSpec) -> Fields:
    section = config.CheckDataset
    convert_from = None
    if section.convert.enable:
        convert_from = section.convert.src_dataset_type
        if convert_from is None:
            raise ConfigError(
                "1 problem in the configuration:",
                ["CheckDataset.convert.src_dataset_type: missing, expected LabelMe (or enable: False)"],
            )
    percents = (section.split.train_percent, section.split.val_percent) if section.split.enable else None
    return _call(
        spec.task,
        "dataset_checker:check_dataset",
        dataset_dir=config.Global.dataset_dir,
        output_dir=Path(config.Global.output),
        convert_from=convert_from,
        split_percents=percents,
        num_classes=_chosen_classes(config),
        **_only(spec, "instance_segmentation", allow_empty=config.Train.allow_empty),
        seed=section.seed,
        num_workers=section.num_workers,
    )


def _train_options(config: Config, spec: ModelSpec) -> TrainOptions:
    from paddlex.training.options import TrainOptions

    train = config.Train
    return TrainOptions(
        num_classes=_chosen_classes(config),
        **{"iterations" if spec.counts_iterations else "epochs": train.epochs_iters},
        batch_size=train.batch_size,
        learning_rate=train.learning_rate if config.chosen("Train.learning_rate") else None,
        lr_scaling=train.lr_scaling,
        warmup_steps=train.warmup_steps,
        pretrain_weights=train.pretrain_weight_path,
        resume_path=train.resume_path,
        log_interval=train.log_interval,
        eval_interval=train.eval_interval,
        save_interval=train.save_interval,
        device=_device(config),
        seed=train.seed,
        num_workers=train.num_workers,
        input_size=train.input_size,
        short_side=train.short_side if spec.task == "semantic_segmentation" else None,
        multi_scale=train.multi_scale,
        augment=train.augment,
        amp=train.amp,
        accumulate_steps=train.accumulate_steps,
        clip_norm=None if train.clip_norm == "off" else train.clip_norm,
        ema=train.ema,
        patience=train.patience,
        freeze=train.freeze,
        keep_checkpoints=train.keep_checkpoints,
        allow_empty=train.allow_empty,
        network=_network_options(config, spec),
    )


def _train(config: Config, spec: ModelSpec) -> Fields:
    return _call(
        spec.task,
        "trainer:train",
        spec=spec,
        dataset_dir=Path(config.Global.dataset_dir),
        output_dir=Path(config.Global.output),
        options=_train_options(config, spec),
        config_text=_as_yaml(config),
    )


def _evaluate(config: Config, spec: ModelSpec) -> Fields:
    section = config.Evaluate
    return _call(
        spec.task,
        "evaluator:evaluate",
        spec=spec,
        dataset_dir=Path(config.Global.dataset_dir),
        output_dir=Path(config.Global.output),
        weight_path=_weights(section.weight_path, "Evaluate.weight_path"),
        device=_device(config),
        batch_size=section.batch_size,
        num_workers=section.num_workers,
        **_only(
            spec,
            "instance_segmentation",
            input_size=config.Train.input_size,
            allow_empty=section.allow_empty,
        ),
        **_only(spec, "semantic_segmentation", argmax_first=section.argmax_first),
    )


def _export(config: Config, spec: ModelSpec) -> Fields:
    section = config.Export
    return _call(
        spec.task,
        "exporter:export",
        spec=spec,
        weight_path=_weights(section.weight_path, "Export.weight_path"),
        output_dir=Path(config.Global.output),
        dataset_dir=Path(config.Global.dataset_dir),
        **_only(spec, "instance_segmentation", input_size=section.input_size or config.Train.input_size),
    )


def _predict(config: Config, spec: ModelSpec) -> Fields:
    section = config.Predict
    if not section.input:
        raise ConfigError(
            "1 problem in the configuration:", ["Predict.input: missing, expected a photo or folder"]
        )
    return _call(
        spec.task,
        "predictor:run_predict",
        model_name=spec.name,
        model_dir=section.model_dir,
        input=section.input,
        output_dir=Path(config.Global.output),
        batch_size=section.batch_size,
        **_only(spec, "instance_segmentation", threshold=section.threshold),
        device=_device(config),
        backend=section.backend,
        cpu_threads=section.kernel_option.cpu_threads,
    )


def _quantize(config: Config, spec: ModelSpec) -> Fields:
    from paddlex.modules.quantize_run import QuantizeOptions
    from paddlex.nn.quantization import QuantizationConfig

    section = config.Quantize
    return _call(
        spec.task,
        "quantizer:quantize",
        spec=spec,
        dataset_dir=Path(config.Global.dataset_dir),
        output_dir=Path(config.Global.output),
        weight_path=_weights(section.weight_path, "Quantize.weight_path"),
        options=QuantizeOptions(
            method=section.method,
            config=QuantizationConfig.from_mapping(section.quant_config(), place="Quantize"),
            calibration=section.calibration,
            photos=section.photos,
            device=_device(config),
        ),
        training=_train_options(config, spec),
        config_text=_as_yaml(config),
    )


def _prune(config: Config, spec: ModelSpec) -> Fields:
    from paddlex.modules.prune_run import PruneOptions

    section = config.Prune
    return _call(
        spec.task,
        "pruner:prune",
        spec=spec,
        dataset_dir=Path(config.Global.dataset_dir),
        output_dir=Path(config.Global.output),
        weight_path=_weights(section.weight_path, "Prune.weight_path"),
        options=PruneOptions(
            pruned_flops=section.pruned_flops,
            criterion=section.criterion,
            channel_multiple=section.channel_multiple,
            sensitivity_file=Path(section.sensitivity_file) if section.sensitivity_file else None,
            photos=section.photos,
            batch_size=section.batch_size,
            num_workers=section.num_workers,
            device=_device(config),
        ),
    )


_MODES: dict[Mode, Callable[[Config, ModelSpec], Fields]] = {
    "check_dataset": _check_dataset,
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "predict": _predict,
    "quantize": _quantize,
    "prune": _prune,
}


# Modes that load Paddle for certain; a prediction may need the Paddle backend, which sees to it itself.
_PADDLE_MODES = ("train", "evaluate", "export", "prune", "quantize")


# --------------------------------------------------------------------------- what only one task knows

_MEANINGLESS: dict[Task, tuple[str, ...]] = {
    "instance_segmentation": ("Train.short_side", "Train.use_mixed_loss", "Evaluate.argmax_first"),
    "semantic_segmentation": (
        "Train.allow_empty",
        "Evaluate.allow_empty",
        "Export.input_size",
        "Predict.threshold",
    ),
}


def _only(spec: ModelSpec, task: Task, **arguments: object) -> Fields:
    """The arguments, if the model is of the task."""
    return arguments if spec.task == task else {}


def _warn_of_the_meaningless(config: Config, spec: ModelSpec) -> None:
    for key in _MEANINGLESS[spec.task]:
        if config.chosen(key):
            logger.warning("%s: no effect in %s; left alone", key, spec.task.replace("_", " "))


# --------------------------------------------------------------------------- values that need a decision


def _chosen_classes(config: Config) -> int | None:
    """The class count the user chose, or None when the shipped example value stands."""
    return config.Train.num_classes if config.chosen("Train.num_classes") else None


def _network_options(config: Config, spec: ModelSpec) -> Fields:
    """Arguments of the network's builder that the user chose."""
    if spec.task != "semantic_segmentation" or not config.chosen("Train.use_mixed_loss"):
        return {}
    return {"use_mixed_loss": config.Train.use_mixed_loss}


def _device(config: Config) -> str | None:
    """The device the user chose, or None: the best one that is there."""
    return config.Global.device if config.chosen("Global.device") else None


def _cards(config: Config) -> Device:
    """The chosen cards; a shipped example such as gpu:0,1,2,3 is no choice."""
    return parse_device(_device(config) or "cpu")


def _weights(path: str | None, key: str) -> str:
    if not path:
        raise WeightsError(f"{key}: missing, expected a .pdparams file such as that in output/best_model")
    return path


def _as_yaml(config: Config) -> str:
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
