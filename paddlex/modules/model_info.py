"""What a weight file must be accompanied by to be used again: the model, its classes, the size of its photos.

The trainer writes `model_info.json` beside each `.pdparams` it saves; evaluation and export read it, so that
one's own weights are never taken for the benchmark's 80 classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddlex.utils.errors import WeightsError
from paddlex.utils.files import read_json, write_json

__all__ = ["ModelInfo", "read_model_info", "write_model_info"]

_FILE = "model_info.json"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a network was trained for.

    Attributes:
        model_name: public name of the model.
        class_names: names in order of class index.
        category_ids: id of each class in the annotation files.
        input_size: (height, width) of the network input at evaluation, or the (short, long) limits that
            photos are resized into where they keep their aspect, pixels; None: as the recipe says.
        short_side: that photos are resized to by their short side before anything else; None: as they are.
        network: keyword arguments of the builder above those of the recipe, as its start weights need them.
        preprocess: what is done to a photo first, as inference.yml lists it, where that is not what the
            recipe and the sizes above say; else None.
    """

    model_name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    input_size: tuple[int, int] | None
    short_side: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    preprocess: tuple[dict[str, Any], ...] | None = None

    @property
    def num_classes(self) -> int:
        """Object classes, without background."""
        return len(self.class_names)


def write_model_info(weight_path: Path | str, info: ModelInfo) -> Path:
    """Write `model_info.json` beside a weight file; returns its path."""
    path = Path(weight_path).parent / _FILE
    write_json(
        path,
        {
            "model_name": info.model_name,
            "class_names": list(info.class_names),
            "category_ids": list(info.category_ids),
            "input_size": list(info.input_size) if info.input_size else None,
            **({"short_side": info.short_side} if info.short_side else {}),
            **({"network": dict(info.network)} if info.network else {}),
            **({"preprocess": list(info.preprocess)} if info.preprocess else {}),
        },
    )
    return path


def read_model_info(weight_path: Path | str) -> ModelInfo | None:
    """Read the `model_info.json` beside a weight file, else the one a folder up; None when there is none.

    Raises:
        WeightsError: if the file lacks a field or holds one of the wrong kind.
        FileFormatError: if it is no JSON.
    """
    folder = Path(weight_path).absolute().parent
    path = next((place / _FILE for place in (folder, folder.parent) if (place / _FILE).is_file()), None)
    return None if path is None else _parse(path, read_json(path))


def _parse(path: Path, content: Any) -> ModelInfo:  # noqa: ANN401 (any JSON)
    try:
        size, short_side = content["input_size"], content.get("short_side")
        preprocess = content.get("preprocess")
        info = ModelInfo(
            model_name=str(content["model_name"]),
            class_names=tuple(str(name) for name in content["class_names"]),
            category_ids=tuple(int(number) for number in content["category_ids"]),
            input_size=None if size is None else (int(size[0]), int(size[1])),
            short_side=None if short_side is None else int(short_side),
            network=dict(content.get("network") or {}),
            preprocess=tuple(dict(operation) for operation in preprocess) if preprocess else None,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not the description that training writes beside its weights "
            f"({type(error).__name__}: {error}); copy it again from the training's output"
        ) from error
    if len(info.category_ids) != len(info.class_names):
        raise WeightsError(
            f"{path}: {len(info.category_ids)} category ids for {len(info.class_names)} class names; "
            "copy it again from the training's output"
        )
    return info
