"""`load_model`: a model of the 2.x API from a folder it was saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddlex.det.mask_rcnn import MaskRCNN
from paddlex.modules.model_info import read_model_info
from paddlex.seg.models import BiSeNetV2, DeepLabV3P, FastSCNN, HRNet, UNet
from paddlex.transforms import Compose
from paddlex.utils.errors import FileFormatError, InputError, PaddleXError, WeightsError
from paddlex.v2.model import Model
from paddlex.v2.saved_folder import DESCRIPTION, WEIGHTS, read_description

__all__ = ["load_model"]

_CLASSES: dict[str, type[Model]] = {
    kind.__name__: kind for kind in (MaskRCNN, DeepLabV3P, BiSeNetV2, UNet, HRNet, FastSCNN)
}


def load_model(model_dir: str | Path) -> Model:
    """Load a model to evaluate, predict, train on, prune, quantise or export.

    Args:
        model_dir: a folder that `train` or `save_model` has written, such as output/best_model; those that
            PaddleX 2 has written can be read, too, unless pruned or quantised.

    Raises:
        InputError: if the folder is no saved model, or an exported one.
        FileFormatError: if its description is damaged.
        WeightsError: if its weights are missing or do not fit.
    """
    folder = Path(model_dir)
    content = read_description(folder)
    status, name = content["status"], content["Model"]
    if status == "Infer":
        raise InputError(
            f"{folder}: an exported model, which can only predict; open it with "
            f"paddlex.create_model({str(folder)!r})"
        )
    if name not in _CLASSES:
        raise InputError(f"{folder}: a {name}; known models: {', '.join(_CLASSES)}")
    if not (folder / WEIGHTS).is_file():
        raise WeightsError(f"{folder / WEIGHTS}: no such file; save the model again")
    model = _make(_CLASSES[name], content, path=folder / DESCRIPTION)
    info = read_model_info(folder / WEIGHTS)
    if info is not None:
        model._rebuild_as(info.network)
    elif status != "Normal":
        raise InputError(
            f"{folder}: {status.lower()} by PaddleX 2, which cannot be read; load the model as it was before"
        )
    model._load(folder / WEIGHTS)
    return model


def _make(kind: type[Model], content: dict[str, Any], *, path: Path) -> Model:
    """The model as it was constructed, with what training found out."""
    parameters = content["_init_params"]
    attributes = content["_Attributes"]
    try:
        model = kind(**_known(parameters, kind))
        model.labels = None if attributes.get("labels") is None else list(map(str, attributes["labels"]))
        model.completed_epochs = int(content.get("completed_epochs", 0))
        model.eval_metrics = dict(attributes.get("eval_metrics") or {})
        model.status = content["status"]
    except PaddleXError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: {type(error).__name__}: {error}; save the model again") from error
    if content.get("Transforms"):
        model.test_transforms = Compose.from_list(content["Transforms"])
    return model


def _known(parameters: dict[str, Any], kind: type[Model]) -> dict[str, Any]:
    """Without deformable convolutions, which are not offered; they were off by default.

    Raises:
        InputError: if they are on.
    """
    known = dict(parameters)
    if known.pop("with_dcn", False):
        raise InputError(f"{kind.__name__} with deformable convolutions (with_dcn) is not offered")
    return known
