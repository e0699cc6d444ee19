"""A network from a weight file, with the classes it was trained for: what evaluate and export start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.model_info import ModelInfo, read_model_info, write_model_info
from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.utils.download import fetch, is_url
from paddlex.utils.errors import WeightsError
from paddlex.utils.files import atomic_path
from paddlex.utils.logging import logger
from paddlex.utils.pdparams import read_pdparams

if TYPE_CHECKING:
    from paddle import nn

__all__ = [
    "ClassNames",
    "TrainedNetwork",
    "count_classes",
    "load_trained_network",
    "require_same_classes",
    "save_network",
]

# The parameter with one entry per class, by family.
_PER_CLASS = {
    "Mask-RT-DETR": "score_head.bias",
    "Mask R-CNN": "mask_fcn_logits.bias",
    "Cascade Mask R-CNN": "mask_fcn_logits.bias",
    "PP-YOLOE_seg": "pred_cls.0.bias",
    "SOLOv2": "solo_cate.bias",
    "DeepLabV3+": "head.decoder.conv.bias",
    "BiSeNetV2": "head.conv_1x1.bias",
    "UNet": "cls.bias",
    "HRNet": "head.cls.bias",
    "Fast-SCNN": "classifier.conv.bias",
}


@dataclass(frozen=True, kw_only=True)
class ClassNames:
    """Where a task finds names for the classes of weights that come without `model_info.json`.

    Attributes:
        in_dataset: names in a data set; none where it tells none.
        published: names of the benchmarks that published weights were trained on; their counts differ.
    """

    in_dataset: Callable[[Path], tuple[str, ...]]
    published: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network ready to be used.

    Attributes:
        network: in evaluation mode.
        class_names: names in order of class index.
        names_known: whether the names came with the weights, or were taken from elsewhere by their count.
        input_size: (height, width) of its input, or the (short, long) limits that photos are resized into
            where they keep their aspect, pixels.
        short_side: that photos are resized to first by their short side; None: they are not.
        options: keyword arguments that it was built with above those of the recipe.
        operations: what is done to a photo first, as inference.yml lists it.
    """

    network: nn.Layer
    class_names: tuple[str, ...]
    names_known: bool
    input_size: tuple[int, int]
    operations: Sequence[Mapping[str, Any]]
    short_side: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def load_trained_network(
    spec: ModelSpec,
    *,
    weight_path: str | Path,
    classes: ClassNames,
    input_size: int | None = None,
    dataset_dir: Path | None = None,
) -> TrainedNetwork:
    """Build the model's network and fill it, wholly.

    Args:
        spec: the model.
        weight_path: `.pdparams` file, or a URL of one.
        classes: where to find the names of classes for weights that come without `model_info.json`.
        input_size: side of the square input, or the short side where photos keep their aspect; None takes
            the one trained for, else the recipe's.
        dataset_dir: asked for those names first.

    Raises:
        WeightsError: if the weights are missing, unreadable, of another model, or their classes unknown.
        DownloadError: if a URL cannot be had.
    """
    source = str(weight_path)
    file = fetch(source) if is_url(source) else Path(weight_path)
    if not file.is_file():
        raise WeightsError(
            f"{file}: no such file; expected weights such as those that training leaves in output/best_model"
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
    if info is not None:
        names, short_side, options = info.class_names, info.short_side, info.network
    else:
        names, short_side, options = _find_names(count, dataset_dir, classes, source=source), None, {}
    size = _input_size(spec, info=info, chosen=input_size)
    network = spec.build(num_classes=count, eval_size=size, **options)
    load_weights(network, arrays, source=source, allow_partial=False, num_classes=count).log(source)
    network.eval()
    return TrainedNetwork(
        network=network,
        class_names=names,
        names_known=info is not None,
        input_size=size,
        operations=_operations(spec, info=info, input_size=input_size, size=size),
        short_side=short_side,
        options=options,
    )


def save_network(network: nn.Layer, weight_path: Path, *, info: ModelInfo) -> None:
    """Write a network's weights, and `model_info.json` beside them, so that they can be loaded.

    Args:
        network: on any device.
        weight_path: `.pdparams` file in a folder that is there.
        info: what the network was trained for.
    """
    import paddle

    from paddlex.training.tensors import snapshot

    with atomic_path(weight_path) as temporary:
        paddle.save(snapshot(dict(network.state_dict())), str(temporary))
    write_model_info(weight_path, info)


def _operations(
    spec: ModelSpec, *, info: ModelInfo | None, input_size: int | None, size: tuple[int, int]
) -> Sequence[Mapping[str, Any]]:
    """Those that came with the weights, unless the user wants another size; else those of the recipe."""
    if info is not None and info.preprocess is not None and input_size is None:
        return info.preprocess
    return preprocess_operations(spec, input_size=size, short_side=info.short_side if info else None)


def _input_size(spec: ModelSpec, *, info: ModelInfo | None, chosen: int | None) -> tuple[int, int]:
    if chosen is None and info is not None and info.input_size is not None:
        return info.input_size
    return spec.recipe.input_size_for(chosen)


def count_classes(spec: ModelSpec, arrays: dict[str, np.ndarray], *, source: str) -> int:
    """Classes that weights were trained for; of objects, without background.

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


def _find_names(count: int, dataset_dir: Path | None, classes: ClassNames, *, source: str) -> tuple[str, ...]:
    """Names for weights that came without: the data set's or a benchmark's, where the count fits."""
    names = classes.in_dataset(dataset_dir) if dataset_dir is not None else ()
    if len(names) == count:
        logger.info("%s: class names taken from the data set %s", source, dataset_dir)
        return names
    published = next((found for found in classes.published if len(found) == count), None)
    if published is not None:
        return published
    of_dataset = f"; the data set {dataset_dir} has {len(names)}" if names else ""
    raise WeightsError(
        f"{source}: weights for {count} classes whose names are unknown{of_dataset}; keep model_info.json, "
        "which training writes, beside the weights, or set Global.dataset_dir to the data of the training"
    )


def require_same_classes(
    trained: TrainedNetwork, class_names: Sequence[str], *, weights: str, annotations: Path
) -> None:
    """Refuse weights whose scores on a data set would mean nothing.

    Args:
        trained: the network.
        class_names: of the data set, in order of class index.
        weights: where the weights come from, for messages.
        annotations: what the names of the data set come from, likewise.

    Raises:
        WeightsError: other classes, or the same in another order.
    """
    theirs, ours = trained.class_names, tuple(class_names)
    if len(theirs) != len(ours):
        raise WeightsError(
            f"{weights}: weights for {len(theirs)} classes, {annotations} has {len(ours)}; use "
            "weights trained on this data set, or the data set they were trained on"
        )
    if not trained.names_known or theirs == ours:
        return
    index = next(i for i, pair in enumerate(zip(theirs, ours, strict=True)) if pair[0] != pair[1])
    difference = f"class {index} is {theirs[index]!r} in the weights, {ours[index]!r} in {annotations}"
    if sorted(theirs) == sorted(ours):
        raise WeightsError(f"{weights}: {difference}; put the categories in the order of the training")
    logger.warning("%s: %s; they are taken for the same", weights, difference)
