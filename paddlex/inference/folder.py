"""An exported model on disk: what `inference.yml` says and which graphs lie beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from paddlex.inference.deploy_transforms import operations_from_transforms
from paddlex.utils.errors import FileFormatError, InputError
from paddlex.utils.files import read_text

__all__ = ["ModelFolder", "read_model_folder"]

SETTINGS_FILE = "inference.yml"


@dataclass(frozen=True)
class ModelFolder:
    """An inference folder.

    Attributes:
        path: the folder.
        task: what the model predicts.
        model_name: public name of the model, "" when the file does not tell.
        class_names: names in class id order; empty where a semantic model's file does not tell.
        threshold: score above which instances are kept unless the caller says otherwise.
        preprocess: operations from photo to network input, in order, each `{"type": ..., ...}`.
    """

    path: Path
    task: Literal["instance_segmentation", "semantic_segmentation"]
    model_name: str
    class_names: tuple[str, ...]
    threshold: float
    preprocess: tuple[dict[str, Any], ...]

    @property
    def onnx_file(self) -> Path | None:
        """The ONNX graph, if exported."""
        return self._existing("inference.onnx")

    @property
    def paddle_files(self) -> tuple[Path, Path] | None:
        """(graph, weights) for Paddle Inference, if exported; a .json graph wins over an older .pdmodel."""
        graph = self._existing("inference.json") or self._existing("inference.pdmodel")
        weights = self._existing("inference.pdiparams")
        return (graph, weights) if graph and weights else None

    def _existing(self, name: str) -> Path | None:
        path = self.path / name
        return path if path.is_file() else None


def read_model_folder(path: Path | str) -> ModelFolder:
    """Read an inference folder.

    Raises:
        InputError: if it is no folder, or holds no `inference.yml` or no graph.
        FileFormatError: naming the wrong key of `inference.yml`.
    """
    path = Path(path).expanduser()
    file = path / SETTINGS_FILE
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected one made by an export, with {SETTINGS_FILE}")
    if not file.is_file():
        raise InputError(f"{path}: {SETTINGS_FILE} is missing{_nearby(path)}")
    settings = _load(file)
    folder = _semantic(path, file, settings) if "Deploy" in settings else _instances(path, file, settings)
    if folder.onnx_file is None and folder.paddle_files is None:
        raise InputError(
            f"{path}: no graph; expected inference.onnx, or inference.json (or .pdmodel) with "
            "inference.pdiparams"
        )
    return folder


def _instances(path: Path, file: Path, settings: dict[str, Any]) -> ModelFolder:
    return ModelFolder(
        path=path,
        task="instance_segmentation",
        model_name=_model_name(file, settings),
        class_names=_class_names(file, settings.get("label_list")),
        threshold=_threshold(file, settings.get("draw_threshold")),
        preprocess=_preprocess(file, settings.get("Preprocess")),
    )


def _semantic(path: Path, file: Path, settings: dict[str, Any]) -> ModelFolder:
    deploy, names = settings["Deploy"], settings.get("label_list")
    if not isinstance(deploy, dict):
        raise FileFormatError(f"{file}: Deploy: expected keys and values, found {deploy!r}")
    return ModelFolder(
        path=path,
        task="semantic_segmentation",
        model_name=_model_name(file, settings),
        class_names=() if names is None else _class_names(file, names),
        threshold=0.0,
        preprocess=operations_from_transforms(file, deploy.get("transforms")),
    )


def _nearby(path: Path) -> str:
    """Where the folder probably is: users often name the one that holds it."""
    found = sorted(path.glob(f"*/{SETTINGS_FILE}")) + sorted(path.glob(f"*/*/{SETTINGS_FILE}"))
    if found:
        return f"; did you mean {found[0].parent}?"
    return "; expected a folder made by an export (after training: <output>/best_model/inference)"


def _load(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{file}: not valid YAML ({reason}); export the model again") from error
    if not isinstance(settings, dict):
        raise FileFormatError(f"{file}: expected keys and values, found {type(settings).__name__}")
    return settings


def _model_name(file: Path, settings: dict[str, Any]) -> str:
    section = settings.get("Global") or {}
    if not isinstance(section, dict):
        raise FileFormatError(f"{file}: Global: expected keys and values, found {section!r}")
    return str(section.get("model_name") or "")


def _class_names(file: Path, names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not names:
        raise FileFormatError(f"{file}: label_list: expected the class names in order, found {names!r}")
    # YAML reads unquoted names such as 1, yes and null as numbers, booleans and nothing.
    return tuple(str(name) for name in names)


def _threshold(file: Path, value: object) -> float:
    if value is None:
        return 0.5
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise FileFormatError(f"{file}: draw_threshold: expected a number from 0 to 1, found {value!r}")
    return float(value)


def _preprocess(file: Path, steps: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(steps, list) or not steps:
        raise FileFormatError(f"{file}: Preprocess: expected a list of operations, found {steps!r}")
    for number, step in enumerate(steps):
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise FileFormatError(
                f"{file}: Preprocess[{number}]: expected a mapping with 'type', found {step!r}"
            )
    return tuple(steps)
