"""The run's configuration: YAML and `-o` overrides in, validated models out.

Every problem is reported at once, one line each: `path: found, expected, did you mean`. Values are read as
YAML scalars or lists; nothing is ever evaluated.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from paddlex.utils.config_text import apply_override, flatten, load_yaml, parse_override
from paddlex.utils.device import parse_device
from paddlex.utils.errors import ConfigError, DeviceError, UsageError

__all__ = ["CONFIG_FOLDER", "Config", "Mode", "load_config"]

CONFIG_FOLDER = Path(__file__).parent / "configs"

# Of semantic segmentation.
_LOSSES = ("CrossEntropyLoss", "LovaszSoftmaxLoss", "DiceLoss")

Mode = Literal["check_dataset", "train", "evaluate", "export", "predict", "prune", "quantize"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class GlobalSection(_Section):
    """What every mode needs."""

    model: str
    mode: Mode
    dataset_dir: str = "dataset"
    device: str = "gpu:0"
    output: str = "output"

    @field_validator("device")
    @classmethod
    def _device_parses(cls, value: str) -> str:
        try:
            parse_device(value)
        except DeviceError as error:
            raise ValueError(str(error)) from error
        return value


class ConvertSection(_Section):
    """Conversion of annotations to COCO, or to masks, in place."""

    enable: bool = False
    src_dataset_type: Literal["LabelMe"] | None = None


class SplitSection(_Section):
    """New division into train and val, in place; percents add up to 100."""

    enable: bool = False
    train_percent: float | None = None
    val_percent: float | None = None


class CheckDatasetSection(_Section):
    """Mode check_dataset."""

    convert: ConvertSection = ConvertSection()
    split: SplitSection = SplitSection()
    seed: int = Field(0, ge=0)
    num_workers: int = Field(4, ge=0)


class TrainSection(_Section):
    """Mode train; see the comments of the shipped YAML files.

    `epochs_iters` and `eval_interval` count epochs of instance segmentation, iterations of semantic
    segmentation, as the original's do.
    """

    num_classes: int | None = Field(None, ge=1)
    epochs_iters: int = Field(40, ge=1)
    batch_size: int = Field(2, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    pretrain_weight_path: str | None = None
    warmup_steps: int | None = Field(100, ge=0)
    resume_path: str | None = None
    log_interval: int = Field(10, ge=1)
    eval_interval: int = Field(1, ge=1)
    save_interval: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    num_workers: int = Field(4, ge=0)
    input_size: int | None = Field(None, ge=64, le=4096, multiple_of=32)
    short_side: int | None = Field(None, ge=64, le=4096)
    use_mixed_loss: bool | list[tuple[str, float]] = False
    multi_scale: bool = True
    augment: bool = True
    amp: Literal["off", "O1", "O2"] = "off"
    accumulate_steps: int = Field(1, ge=1)
    clip_norm: float | Literal["recipe", "off"] = "recipe"
    ema: bool | None = None
    lr_scaling: Literal["linear", "sqrt", "none"] = "linear"
    patience: int | None = Field(None, ge=1)
    freeze: tuple[str, ...] = ()
    keep_checkpoints: int = Field(5, ge=1)
    allow_empty: bool = True
    # Accepted from configurations of the original toolkit; neither changes anything here.
    dy2st: bool = False
    uniform_output_enabled: bool = True

    @field_validator("use_mixed_loss", mode="before")
    @classmethod
    def _losses_are_named(cls, value: object) -> object:
        if isinstance(value, bool) or (isinstance(value, list) and value and all(map(_is_weighed, value))):
            return value
        raise ValueError(
            f"found {value!r}, expected true, false or a list such as "
            f"[[{_LOSSES[0]}, 0.8], [{_LOSSES[1]}, 0.2]]; losses are {', '.join(_LOSSES)}"
        )

    @field_validator("amp", mode="before")
    @classmethod
    def _amp_off(cls, value: object) -> object:
        return "off" if value is False or (isinstance(value, str) and value.lower() == "off") else value


def _is_weighed(term: object) -> bool:
    """Whether this is the name of a loss and its weight."""
    if not isinstance(term, (list, tuple)) or len(term) != 2 or term[0] not in _LOSSES:
        return False
    return isinstance(term[1], (int, float)) and not isinstance(term[1], bool)


class EvaluateSection(_Section):
    """Mode evaluate."""

    weight_path: str | None = "output/best_model/best_model.pdparams"
    log_interval: int = Field(10, ge=1)
    batch_size: int = Field(1, ge=1)
    num_workers: int = Field(4, ge=0)
    allow_empty: bool = True
    argmax_first: bool = False


class ExportSection(_Section):
    """Mode export."""

    weight_path: str | None = None
    input_size: int | None = Field(None, ge=64, le=4096, multiple_of=32)


class KernelOption(_Section):
    """How predictions are computed; of the original's run modes only `paddle` has a meaning here."""

    run_mode: str = "paddle"
    cpu_threads: int | None = Field(None, ge=1)

    @field_validator("run_mode")
    @classmethod
    def _only_paddle(cls, value: str) -> str:
        if value != "paddle":
            raise ValueError(f"found {value!r}, expected 'paddle'; Predict.backend chooses the runtime here")
        return value


class PredictSection(_Section):
    """Mode predict."""

    batch_size: int = Field(1, ge=1)
    model_dir: str | None = "output/best_model/inference"
    input: str | list[str] = ""
    threshold: float | None = Field(None, ge=0, le=1)
    backend: Literal["auto", "paddle", "onnx", "openvino"] = "auto"
    kernel_option: KernelOption = KernelOption()


class QuantizeSection(_Section):
    """Mode quantize; what follows `photos` are the keys of `quant_config` in the 2.x interface."""

    weight_path: str | None = None
    method: Literal["ptq", "qat"] = "ptq"
    calibration: Literal["minmax", "percentile", "entropy"] = "percentile"
    photos: int = Field(32, ge=1)
    weight_preprocess_type: Literal["PACT"] | None = None
    activation_preprocess_type: Literal["PACT"] | None = None
    weight_quantize_type: Literal[
        "abs_max", "channel_wise_abs_max", "range_abs_max", "moving_average_abs_max"
    ] = "channel_wise_abs_max"
    activation_quantize_type: Literal["abs_max", "range_abs_max", "moving_average_abs_max"] = (
        "moving_average_abs_max"
    )
    weight_bits: int = Field(8, ge=1, le=16)
    activation_bits: int = Field(8, ge=1, le=16)
    dtype: Literal["int8", "float32"] = "int8"
    window_size: int = Field(10000, ge=1)
    moving_rate: float = Field(0.9, ge=0, lt=1)
    quantizable_layer_type: list[Literal["Conv2D", "Conv2DTranspose", "Linear"]] = ["Conv2D", "Linear"]
    skip: list[str] | None = None

    def quant_config(self) -> dict[str, Any]:
        """The keys of `quant_config`."""
        return self.model_dump(exclude={"weight_path", "method", "calibration", "photos"})


class PruneSection(_Section):
    """Mode prune."""

    weight_path: str | None = "output/best_model/best_model.pdparams"
    pruned_flops: float = Field(0.2, gt=0, lt=1)
    criterion: Literal["l1_norm", "fpgm"] = "l1_norm"
    channel_multiple: int = Field(16, ge=1)
    sensitivity_file: str | None = None
    photos: int | None = Field(50, ge=1)
    batch_size: int = Field(1, ge=1)
    num_workers: int = Field(4, ge=0)


class Config(_Section):
    """A validated configuration.

    Attributes:
        explicit: dotted paths whose value the user chose: given by `-o`, or differing from the YAML file
            that ships for the model. Shipped values such as `num_classes: 2` or `device: gpu:0,1,2,3` are
            examples that must not overrule the data or the machine; chosen ones must be obeyed.
    """

    Global: GlobalSection
    CheckDataset: CheckDatasetSection = CheckDatasetSection()
    Train: TrainSection = TrainSection()
    Evaluate: EvaluateSection = EvaluateSection()
    Export: ExportSection = ExportSection()
    Predict: PredictSection = PredictSection()
    Quantize: QuantizeSection = QuantizeSection()
    Prune: PruneSection = PruneSection()
    explicit: frozenset[str] = Field(frozenset(), exclude=True)

    def chosen(self, path: str) -> bool:
        """Whether the user chose the value at dotted `path`."""
        return path in self.explicit


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override and validate.

    Args:
        path: YAML file.
        overrides: `dotted.path=value` each.

    Raises:
        UsageError: the file is missing, or an override has no `=`.
        ConfigError: with every problem found.
    """
    content = read_content(path, overrides)
    return validate(content, explicit=_explicit(path, content, overrides))


def read_content(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The YAML file with the overrides applied, not yet validated."""
    if not path.is_file():
        raise UsageError(f"-c {path}: no such file; {_nearest_config(path)}")
    content = load_yaml(path)
    problems = []
    for text in overrides:
        keys, value = parse_override(text)
        try:
            apply_override(content, keys, value)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(f"{len(problems)} override(s) cannot be applied:", problems)
    return content


def validate(content: dict[str, Any], *, explicit: frozenset[str] = frozenset()) -> Config:
    """Build a `Config`, or raise ConfigError with one line for each problem."""
    if "explicit" in content:
        raise ConfigError("1 problem in the configuration:", ["explicit: unknown section"])
    try:
        return Config(**content, explicit=explicit)
    except ValidationError as error:
        problems = [_describe(detail) for detail in error.errors(include_url=False)]
        plural = "s" if len(problems) > 1 else ""
        raise ConfigError(f"{len(problems)} problem{plural} in the configuration:", problems) from None


def _explicit(path: Path, content: dict[str, Any], overrides: Sequence[str]) -> frozenset[str]:
    chosen = {".".join(parse_override(text)[0]) for text in overrides}
    shipped = _shipped_file(content, path)
    reference = flatten(load_yaml(shipped)) if shipped else {}
    missing = object()
    chosen |= {key for key, value in flatten(content).items() if reference.get(key, missing) != value}
    return frozenset(chosen)


def _shipped_file(content: dict[str, Any], path: Path) -> Path | None:
    section = content.get("Global")
    name = section.get("model") if isinstance(section, dict) else None
    return next((file for file in sorted(CONFIG_FOLDER.glob("*/*.yaml")) if file.stem == name), None)


def _nearest_config(path: Path) -> str:
    names = {file.stem: file for file in CONFIG_FOLDER.glob("*/*.yaml")}
    near = difflib.get_close_matches(path.stem, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {names[near[0]]}?"
    return "`paddlex models` lists the models; their files are paddlex/configs/<task>/<model>.yaml"


_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "an integer",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
}


def _describe(detail: ErrorDetails) -> str:
    location = [str(part) for part in detail["loc"]]
    path = ".".join(location)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _keys(location[:-1]), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(_keys(location[:-1]))}"
        return f"{path}: unknown key; {hint}"
    if kind == "missing":
        return f"{path}: missing; it has no default"
    found = f"found {detail['input']!r}"
    if kind == "literal_error":
        choices = str(context.get("expected", ""))
        near = difflib.get_close_matches(str(detail["input"]), choices.replace("'", "").split(" "), n=1)
        return f"{path}: {found}, expected {choices}" + (
            f"; did you mean {near[0].strip(',')}?" if near else ""
        )
    if kind == "value_error":
        return f"{path}: {context.get('error', detail['msg'])}"
    if kind == "multiple_of":
        step, value = context["multiple_of"], detail["input"]
        below = value // step * step
        return f"{path}: {found}, expected a multiple of {step} such as {below or step} or {below + step}"
    expected = _EXPECTED.get(kind) or detail["msg"].removeprefix("Input should be ")
    return f"{path}: {found}, expected {expected}"


def _keys(location: Sequence[str]) -> list[str]:
    """Known keys of the section at `location`."""
    model: type[BaseModel] = Config
    for part in location:
        field = model.model_fields.get(part)
        if (
            field is None
            or not isinstance(field.annotation, type)
            or not issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    return [key for key in model.model_fields if key != "explicit"]
