"""A network from a weight file, with the classes it was trained for: what evaluate and export start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paddlex.data.formats.coco import read_coco
from paddlex.modules.instance_segmentation.coco_classes import COCO_CLASS_NAMES
from paddlex.modules.instance_segmentation.model_info import ModelInfo, read_model_info
from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.utils.download import fetch, is_url
from paddlex.utils.errors import PaddleXError, WeightsError
from paddlex.utils.logging import logger
from paddlex.utils.pdparams import read_pdparams

if TYPE_CHECKING:
    from paddle import nn

__all__ = ["TrainedNetwork", "count_classes", "load_trained_network"]

# The parameter with one entry per class, by family.
_PER_CLASS = {
    "Mask-RT-DETR": "score_head.bias",
    "Mask R-CNN": "mask_fcn_logits.bias",
    "Cascade Mask R-CNN": "mask_fcn_logits.bias",
    "PP-YOLOE_seg": "pred_cls.0.bias",
    "SOLOv2": "solo_cate.bias",
}


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network ready to be used.

    Attributes:
        network: in evaluation mode.
        class_names: names in order of class index.
        names_known: whether the names came with the weights, or were taken from elsewhere by their count.
        input_size: (height, width) of its input, or the (short, long) limits that photos are resized into
            where they keep their aspect, pixels.
    """

    network: nn.Layer
    class_names: tuple[str, ...]
    names_known: bool
    input_size: tuple[int, int]


def load_trained_network(
    spec: ModelSpec,
    *,
    weight_path: str | Path,
    input_size: int | None = None,
    dataset_dir: Path | None = None,
) -> TrainedNetwork:
    """Build the model's network and fill it, wholly.

    Args:
        spec: the model.
        weight_path: `.pdparams` file, or a URL of one.
        input_size: side of the square input, or the short side where photos keep their aspect; None takes
            the one trained for, else the recipe's.
        dataset_dir: names the classes of weights that come without `model_info.json`.

    Raises:
        WeightsError: if the weights are missing, unreadable, of another model, or their classes unknown.
        DownloadError: if a URL cannot be had.
    """
    source = str(weight_path)
    file = fetch(source) if is_url(source) else Path(weight_path)
    if not file.is_file():
        raise WeightsError(
            f"{file}: no such file; expected weights such as output/best_model/best_model.pdparams"
        )
    info = read_model_info(file)
    if info is not None and info.model_name != spec.name:
        raise WeightsError(
            f"{file}: weights of {info.model_name}, not of {spec.name}; set Global.model to match"
        )
    arrays = read_pdparams(file)
    count = count_classes(spec, arrays, source=source)
    if info is not None and info.num_classes != count:
        raise WeightsError(
            f"{file}: weights for {count} classes beside a model_info.json of {info.num_classes}; "
            "they are not from one run: copy both again"
        )
    names = info.class_names if info is not None else _find_class_names(count, dataset_dir, source=source)
    size = _input_size(spec, info=info, chosen=input_size)
    network = spec.build(num_classes=count, eval_size=size)
    load_weights(network, arrays, source=source, allow_partial=False, num_classes=count).log(source)
    network.eval()
    return TrainedNetwork(network=network, class_names=names, names_known=info is not None, input_size=size)


def _input_size(spec: ModelSpec, *, info: ModelInfo | None, chosen: int | None) -> tuple[int, int]:
    if chosen is None and info is not None and info.input_size is not None:
        return info.input_size
    return spec.recipe.input_size_for(chosen)


def count_classes(spec: ModelSpec, arrays: dict[str, np.ndarray], *, source: str) -> int:
    """Object classes that weights were trained for, without background.

    Args:
        spec: the model.
        arrays: its weights by name.
        source: where they come from, for messages.

    Raises:
        WeightsError: if they are not whole weights of the model.
    """
    ending = _PER_CLASS[spec.family]
    found = next((array for name, array in arrays.items() if name.endswith(ending)), None)
    if found is None or found.ndim != 1:
        raise WeightsError(
            f"{source}: holds no {ending}, which {spec.name} has; expected whole weights of this model "
            "(those of a backbone alone can only start a training)"
        )
    return len(found)


def _find_class_names(count: int, dataset_dir: Path | None, *, source: str) -> tuple[str, ...]:
    """Names for weights that came without: the data set's or COCO's, where the count fits."""
    names = _names_in_dataset(dataset_dir) if dataset_dir is not None else ()
    if len(names) == count:
        logger.info("%s: class names taken from the data set %s", source, dataset_dir)
        return names
    if count == len(COCO_CLASS_NAMES):
        return COCO_CLASS_NAMES
    of_dataset = f"; the data set {dataset_dir} has {len(names)}" if names else ""
    raise WeightsError(
        f"{source}: weights for {count} classes whose names are unknown{of_dataset}; keep model_info.json, "
        "which training writes, beside the weights, or set Global.dataset_dir to the data of the training"
    )


def _names_in_dataset(dataset_dir: Path) -> tuple[str, ...]:
    file = dataset_dir / "annotations" / "instance_train.json"
    try:
        return tuple(category.name for category in read_coco(file, faults=[]).categories)
    except PaddleXError:
        # Shipped configurations name a data set that need not be there to export weights.
        return ()
