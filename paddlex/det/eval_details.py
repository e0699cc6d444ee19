"""The details of an evaluation (`evaluate(return_details=True)`, `eval_details.json`), read with distrust.

What comes out can be handed to C code: ids are numbered anew from 1, numbers are finite, outlines are run
lengths that fit their photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from paddlex.data.formats.segmentation import (
    Polygons,
    SegmentationError,
    parse_segmentation,
)
from paddlex.metrics.coco_protocol import IouType
from paddlex.structures.polygons import polygon_rles
from paddlex.utils.errors import InputError
from paddlex.utils.files import read_json

__all__ = ["EvalDetails", "read_eval_details"]

# JPEG ends at 65535; a claimed side beyond this would let run lengths take memory without bound.
_LONGEST_SIDE = 100_000
# Beyond any photo: the areas of such boxes mean nothing and may overflow.
_FARTHEST = 1e7
_EXPECTED = "expected what evaluate(..., return_details=True) returns"

Entry = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EvalDetails:
    """Annotations and detections of one evaluation.

    Attributes:
        ground_truth: COCO object; ids count from 1, categories in the order they were given; each annotation
            has bbox, area, iscrowd and, where masks were detected, segmentation as run lengths.
        results: detections in COCO's results form, by kind of overlap; `segm` only where masks were detected.
    """

    ground_truth: dict[str, list[Entry]]
    results: dict[IouType, list[Entry]]

    @property
    def class_names(self) -> list[str]:
        """Names of the categories."""
        return [category["name"] for category in self.ground_truth["categories"]]


def read_eval_details(
    eval_details_file: Path | str | None = None,
    *,
    gt: Mapping[str, Any] | None = None,
    pred_bbox: Sequence[Mapping[str, Any]] | None = None,
    pred_mask: Sequence[Mapping[str, Any]] | None = None,
) -> EvalDetails:
    """Read and validate the details; the file wins over the other arguments.

    Args:
        eval_details_file: JSON with `gt`, `bbox` and, of models with masks, `mask`.
        gt: a COCO data set: images, annotations, categories.
        pred_bbox: [{image_id, category_id, bbox [x, y, w, h], score}].
        pred_mask: [{image_id, category_id, segmentation (run lengths), score}].

    Raises:
        FileFormatError: if the file is missing or no JSON.
        InputError: for anything that is missing, empty or wrong; names the first faulty entry.
    """
    place = ""
    if eval_details_file is not None:
        place = f"{eval_details_file}: "
        content = read_json(eval_details_file)
        if not isinstance(content, dict):
            raise InputError(f"{place}holds a {type(content).__name__}; {_EXPECTED}")
        gt, pred_bbox, pred_mask = (content.get(key) for key in ("gt", "bbox", "mask"))
    elif gt is None and pred_bbox is None:
        raise InputError("neither eval_details_file nor gt and pred_bbox given; give one of them")
    return _Reader(place, with_masks=bool(pred_mask)).details(gt, pred_bbox, pred_mask)


class _Reader:
    """One reading.

    Args:
        place: what messages begin with.
        with_masks: whether annotations need outlines.
    """

    def __init__(self, place: str, *, with_masks: bool) -> None:
        self._place, self._with_masks = place, with_masks

    def details(self, gt: object, boxes: object, masks: object) -> EvalDetails:
        """Everything, checked from the ground truth down."""
        if not isinstance(gt, Mapping):
            raise self._fault("gt", f"{_kind(gt)} instead of a COCO data set; {_EXPECTED}")
        self._image_ids = self._numbering(gt, "images")
        self._category_ids = self._numbering(gt, "categories")
        self._sizes: dict[int, tuple[int, int]] = {}
        images = [self._image(where, entry) for where, entry in self._entries(gt.get("images"), "gt.images")]
        categories = [
            self._category(where, e) for where, e in self._entries(gt["categories"], "gt.categories")
        ]
        annotations = [
            {"id": number, **self._annotation(where, entry)}
            for number, (where, entry) in enumerate(
                self._entries(gt.get("annotations"), "gt.annotations"), start=1
            )
        ]
        if all(annotation["iscrowd"] for annotation in annotations):
            raise self._fault("gt.annotations", "crowd regions only; there is nothing to compare")
        truth = {"images": images, "categories": categories, "annotations": annotations}
        results: dict[IouType, list[Entry]] = {
            "bbox": [self._result(where, e, self._box) for where, e in self._entries(boxes, "bbox")]
        }
        if self._with_masks:
            results["segm"] = [
                self._result(where, e, self._mask) for where, e in self._entries(masks, "mask")
            ]
        return EvalDetails(truth, results)

    # ---------------------------------------------------------------- ground truth

    def _numbering(self, gt: Mapping[str, Any], key: str) -> dict[object, int]:
        """New ids by old ones: C code takes whole numbers, other tools write names."""
        numbers: dict[object, int] = {}
        for where, entry in self._entries(gt.get(key), f"gt.{key}"):
            old = self._id(where, entry, "id")
            if old in numbers:
                raise self._fault(where, f"id {old!r:.60} occurs twice; ids must differ")
            numbers[old] = len(numbers) + 1
        return numbers

    def _image(self, where: str, entry: Mapping[str, Any]) -> Entry:
        number = self._image_ids[self._id(where, entry, "id")]
        if self._with_masks:
            self._sizes[number] = self._size(where, entry)
        height, width = self._sizes.get(number, (0, 0))
        return {"id": number, "height": height, "width": width}

    def _size(self, where: str, entry: Mapping[str, Any]) -> tuple[int, int]:
        sides = (entry.get("height"), entry.get("width"))
        numbers = [int(side) for side in sides if _is_real(side) and 1 <= side <= _LONGEST_SIDE]
        if len(numbers) < 2:
            raise self._fault(where, f"height and width {sides!r:.60}; masks need the photo's size in pixels")
        return numbers[0], numbers[1]

    def _category(self, where: str, entry: Mapping[str, Any]) -> Entry:
        old = self._id(where, entry, "id")
        name, family = entry.get("name"), entry.get("supercategory")
        category: Entry = {"id": self._category_ids[old], "name": str(old if name is None else name)}
        if isinstance(family, str) and family.strip():
            category["supercategory"] = family
        return category

    def _annotation(self, where: str, entry: Mapping[str, Any]) -> Entry:
        box, area = self._box(where, entry)["bbox"], entry.get("area")
        content = {
            **self._links(where, entry),
            "bbox": box,
            "area": float(area) if _is_real(area) and 0 < area < _FARTHEST**2 else box[2] * box[3],
            "iscrowd": int(_is_real(entry.get("iscrowd")) and entry["iscrowd"] == 1),
        }
        return {**content, **self._mask(where, entry)} if self._with_masks else content

    # ---------------------------------------------------------------- detections

    def _result(self, where: str, entry: Mapping[str, Any], shape: Callable[[str, Any], Entry]) -> Entry:
        score = self._numbers(where, entry, "score", count=1)
        return {**self._links(where, entry), **shape(where, entry), "score": score[0]}

    def _links(self, where: str, entry: Mapping[str, Any]) -> Entry:
        image_id, category_id = (self._id(where, entry, key) for key in ("image_id", "category_id"))
        if image_id not in self._image_ids:
            raise self._fault(
                where, f"image_id {image_id!r:.60} is not among the {len(self._image_ids)} gt.images"
            )
        if category_id not in self._category_ids:
            known = ", ".join(map(repr, list(self._category_ids)[:10]))
            raise self._fault(
                where, f"category_id {category_id!r:.60} is not in gt.categories, which has {known:.200}"
            )
        return {"image_id": self._image_ids[image_id], "category_id": self._category_ids[category_id]}

    def _box(self, where: str, entry: Mapping[str, Any]) -> Entry:
        return {"bbox": self._numbers(where, entry, "bbox", count=4)}

    def _mask(self, where: str, entry: Mapping[str, Any]) -> Entry:
        """The outline as run lengths on the whole photo."""
        size = self._sizes[self._image_ids[self._id(where, entry, "image_id")]]
        try:
            outline = parse_segmentation(_plain(entry.get("segmentation")))
        except SegmentationError as error:
            raise self._fault(where, str(error)) from error
        if outline is None:
            raise self._fault(where, "no segmentation, although masks were detected; evaluate with masks")
        if isinstance(outline, Polygons):
            return {"segmentation": polygon_rles([outline.parts], size=size)[0]}
        if outline.size != size:
            raise self._fault(where, f"mask of size {list(outline.size)} on a photo of {list(size)}")
        return {"segmentation": {"size": list(size), "counts": outline.counts}}

    # ---------------------------------------------------------------- values

    def _entries(self, value: object, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if not isinstance(value, (list, tuple)) or not value:
            raise self._fault(name, f"{_kind(value)}; there is nothing to compare, {_EXPECTED}")
        for i, entry in enumerate(value):
            if not isinstance(entry, Mapping):
                raise self._fault(f"{name}[{i}]", f"{_kind(entry)} instead of an object; {_EXPECTED}")
            yield f"{name}[{i}]", entry

    def _id(self, where: str, entry: Mapping[str, Any], key: str) -> object:
        value = entry.get(key)
        if isinstance(value, (np.integer, float, np.ndarray)) and np.size(value) == 1:
            value = np.asarray(value).item()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, float) or not isinstance(value, (int, str)):
            raise self._fault(where, f"{key} is {_kind(value)}; expected a whole number")
        return value

    def _numbers(self, where: str, entry: Mapping[str, Any], key: str, *, count: int) -> list[float]:
        value = entry.get(key)
        try:
            numbers = [float(v) for v in (value if count > 1 else [value])]  # type: ignore[arg-type, union-attr]
        except (TypeError, ValueError, OverflowError):
            numbers = []
        if len(numbers) != count or not (np.abs(numbers) < _FARTHEST).all():
            wanted = "[x, y, width, height], finite" if count > 1 else "a finite number"
            raise self._fault(where, f"{key} {value!r:.60}; expected {wanted}")
        return numbers

    def _fault(self, where: str, found: str) -> InputError:
        return InputError(f"{self._place}{where}: {found}")


def _plain(segmentation: object) -> object:
    """What evaluate gives in memory (bytes, arrays) as JSON holds it."""
    if isinstance(segmentation, Mapping):
        counts = segmentation.get("counts")
        if isinstance(counts, bytes):
            counts = counts.decode("ascii", "replace")
        size = segmentation.get("size")
        sides = size.tolist() if isinstance(size, np.ndarray) else size
        return {"size": list(sides) if isinstance(sides, tuple) else sides, "counts": counts}
    return segmentation


def _is_real(value: Any) -> TypeGuard[float]:  # noqa: ANN401 (whatever was given)
    return isinstance(value, (int, float, np.integer, np.floating))


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, (list, tuple, Mapping)) and not value:
        return "empty"
    return type(value).__name__
