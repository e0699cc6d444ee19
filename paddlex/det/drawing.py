"""`visualize` of PaddleX 2 for detected objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddlex.structures.masks import MaskCrops
from paddlex.utils.draw import Color, DrawingStyle, draw_instances
from paddlex.utils.drawn_files import deliver_drawing, photo_to_draw_on
from paddlex.utils.errors import InputError
from paddlex.utils.palette import voc_colors

__all__ = ["visualize"]

# Black and the next entry of the table, a dark colour, are for label maps.
_SKIPPED_COLORS = 2


def visualize(
    image: Path | str | NDArray[np.uint8],
    result: Sequence[Mapping[str, Any]],
    threshold: float = 0.5,
    save_dir: Path | str | None = "./",
    color: ArrayLike | None = None,
) -> NDArray[np.uint8] | None:
    """Draw what `MaskRCNN.predict` found on a photo: boxes, masks, "category 0.87".

    Small objects lie over large ones. Lines and letters grow with the photo.

    Args:
        image: a file, or (H, W, 3) uint8 BGR.
        result: of that one photo: dicts with `category` (or `category_id`), `bbox` [x, y, width, height],
            `score`, and, of models with masks, `mask` (H, W) of 0 and 1.
        threshold: objects below this score are left out.
        save_dir: folder that gets `visualize_<name of the photo>`, arrays are named by the time in
            milliseconds; None returns the drawing.
        color: (N, 3) BGR, 0 to 255, one for each category of `result` in the order they appear in.

    Returns:
        (H, W, 3) uint8 BGR if `save_dir` is None.

    Raises:
        ImageReadError: if the photo cannot be read.
        InputError: if an argument is not what is described here; one line tells which and why.
    """
    if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold!r}; expected a score from 0 to 1, for example 0.5")
    rgb, name = photo_to_draw_on(image)
    objects = list(_objects(result))
    names = list(dict.fromkeys(found["name"] for found in objects))
    style = DrawingStyle(palette=_palette(color, count=len(names)), opacity=0.7, whitening=0.4)
    shown = [found for found in objects if found["score"] >= threshold]
    boxes = np.array([found["bbox"] for found in shown], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    drawing = draw_instances(
        rgb,
        boxes=boxes,
        labels=[found["name"] for found in shown],
        class_ids=[names.index(found["name"]) for found in shown],
        masks=_masks(shown, size=(rgb.shape[0], rgb.shape[1])),
        scores=[found["score"] for found in shown],
        style=style,
    )
    return deliver_drawing(drawing, name=name, save_dir=save_dir)


def _objects(result: object) -> Iterator[dict[str, Any]]:
    """The entries of a prediction, checked."""
    if not isinstance(result, (list, tuple)):
        raise InputError(f"result is {type(result).__name__}; expected the list that predict returns")
    for place, entry in enumerate(result):
        where = f"result[{place}]"
        if isinstance(entry, (list, tuple)):
            raise InputError(f"{where} is a list: the result of several photos; draw them one by one")
        if not isinstance(entry, Mapping):
            raise InputError(f"{where} is {type(entry).__name__}; expected a dict with bbox, score, category")
        absent = [key for key in ("bbox", "score") if key not in entry]
        if "category" not in entry and "category_id" not in entry:
            absent.append("category")
        if absent:
            keys = ", ".join(map(str, entry)) or "none"
            raise InputError(f"{where} has no {', no '.join(absent)}; its keys: {keys:.120}")
        class_id = entry.get("category_id")
        yield {
            "name": str(entry["category"]) if "category" in entry else f"class {class_id}",
            "bbox": _numbers(entry["bbox"], f"{where}, bbox", count=4),
            "score": _numbers([entry["score"]], f"{where}, score", count=1)[0],
            "mask": entry.get("mask"),
            "where": where,
        }


def _numbers(value: Any, where: str, *, count: int) -> list[float]:  # noqa: ANN401 (whatever was given)
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        wanted = "[x, y, width, height]" if count > 1 else "a number"
        raise InputError(f"{where} is {value!r:.60}; expected {wanted}, finite")
    return numbers


def _palette(color: ArrayLike | None, *, count: int) -> tuple[Color, ...]:
    """RGB of each category, in the order of appearance."""
    table = voc_colors()[_SKIPPED_COLORS:]
    if color is not None:
        table = _given_colors(color, count=count)
    # The table is applied to B, G, R in its order.
    return tuple((red, green, blue) for blue, green, red in table.tolist())


def _given_colors(color: ArrayLike, *, count: int) -> NDArray[Any]:
    try:
        given = np.asarray(color, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.ndim != 2 or given.shape[1] != 3:
        raise InputError("color: expected a row of B, G, R for each category, as [[0, 0, 255], [0, 255, 0]]")
    if len(given) != count:
        raise InputError(
            f"color: {len(given)} colours for the {count} categories of the result; give {count}"
        )
    if not ((given >= 0) & (given <= 255)).all():
        raise InputError("color: values outside 0 to 255")
    # Without any category there is nothing to colour.
    return given.round().astype(np.uint8) if count else voc_colors()


def _masks(shown: Sequence[Mapping[str, Any]], *, size: tuple[int, int]) -> MaskCrops | None:
    """The masks, each cut to what it covers, so that none is copied whole."""
    if all(found["mask"] is None for found in shown):
        return None
    crops, offsets = [], []
    for found in shown:
        mask = np.zeros((0, 0), np.uint8) if found["mask"] is None else np.asarray(found["mask"])
        if found["mask"] is not None and mask.shape != size:
            raise InputError(f"{found['where']}, mask {mask.shape} on a photo {size}; expected one size")
        if mask.dtype == np.bool_:
            mask = mask.view(np.uint8)
        elif mask.dtype != np.uint8:
            mask = (mask != 0).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask) if mask.size else (0, 0, 0, 0)
        crops.append(mask[y : y + height, x : x + width])
        offsets.append((y, x))
    return MaskCrops.from_crops(crops, offsets, size=size)
