"""Between LabelMe's shapes and instances: parts are merged into objects, and masks become shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from paddlex.data.formats.contours import Polygon, faithful_polygons, flatten
from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme_shapes import (
    LabelMeShape,
    LabelMeShapeError,
    clip_polygon,
    draw_polygon,
    outline,
)
from paddlex.structures.masks import MaskCrops

__all__ = [
    "LabelMeInstance",
    "draw_shape",
    "gather_instances",
    "instances_to_masks",
    "instances_to_shapes",
]


@dataclass(frozen=True, eq=False)
class LabelMeInstance:
    """One object: a shape, or the shapes of one group and label.

    Attributes:
        label: the class name.
        numbers: its shapes' positions in the file, from 1.
        polygons: outlines of its parts that are no masks, cut to the photo, coordinates as drawn.
        painted: its mask shapes, one mask each.
        drawn: every part by LabelMe's raster rule (`draw_polygon`), one mask each.
    """

    label: str
    numbers: tuple[int, ...]
    polygons: tuple[Polygon, ...]
    painted: MaskCrops
    drawn: MaskCrops

    def mask(self) -> MaskCrops:
        """The object as one mask: parts united, polygons by COCO's raster rule, as training sees them."""
        rles = self.painted.to_rles()
        if self.polygons:
            parts = [flatten(polygon) for polygon in self.polygons]
            rles += MaskCrops.from_polygons([parts], size=self.painted.size).to_rles()
        return MaskCrops.from_rles([coco_mask.merge(rles)], size=self.painted.size)

    def area_and_box(self) -> tuple[float, list[float]]:
        """Pixels by LabelMe's raster rule, and their tight box [x, y, width, height]."""
        if len(self.drawn) == 1:
            x0, y0, x1, y1 = self.drawn.boxes()[0].tolist()
            return float(self.drawn.area()[0]), [x0, y0, x1 - x0, y1 - y0]
        union = coco_mask.merge(self.drawn.to_rles())
        return float(coco_mask.area(union)), [float(side) for side in coco_mask.toBbox(union)]

    def segmentation(self) -> list[list[float]] | dict[str, Any]:
        """COCO polygons; compressed RLE where a painted mask has holes that polygons cannot tell."""
        if not len(self.painted):
            return [flatten(polygon) for polygon in self.polygons]
        mask = self.mask()
        polygons = faithful_polygons(mask, 0)
        return mask.to_rles()[0] if polygons is None else [flatten(polygon) for polygon in polygons]


@dataclass(frozen=True, eq=False)
class _Part:
    shape: LabelMeShape
    polygon: Polygon | None
    drawn: MaskCrops


def gather_instances(
    shapes: Sequence[LabelMeShape], *, size: tuple[int, int], findings: Findings
) -> list[LabelMeInstance]:
    """Turn shapes into instances, in the order of their first shapes.

    Left out without a word: shapes of LabelMe's special labels. Left out with a warning: lines and points,
    and shapes that cover no pixel of the photo, which are slips of the hand.

    Args:
        shapes: in the frame of the photo.
        size: (height, width) of the photo, pixels.
        findings: where warnings are recorded.
    """
    groups: dict[tuple[object, ...], list[_Part]] = {}
    labels_of_group: dict[object, str] = {}
    for shape in shapes:
        part = None if shape.is_special else _part(shape, size=size, findings=findings)
        if part is None:
            continue
        if shape.group_id is None:
            groups[("alone", shape.number, len(groups))] = [part]
            continue
        if labels_of_group.setdefault(shape.group_id, shape.label) != shape.label:
            findings.warn(
                f"group_id {shape.group_id} joins {shape.label!r} to {labels_of_group[shape.group_id]!r}; "
                "an object has one label, so they stay apart",
                shape=shape.number,
            )
        groups.setdefault(("group", shape.group_id, shape.label), []).append(part)
    return [_instance(parts, size) for parts in groups.values()]


def draw_shape(shape: LabelMeShape, *, size: tuple[int, int], findings: Findings) -> MaskCrops | None:
    """The pixels of one shape by LabelMe's raster rule, as one mask.

    None, with a warning, for what has no area or covers no pixel.

    Args:
        shape: in the frame of the photo.
        size: (height, width) of the photo, pixels.
        findings: where warnings are recorded.
    """
    part = _part(shape, size=size, findings=findings)
    return None if part is None else part.drawn


def _part(shape: LabelMeShape, *, size: tuple[int, int], findings: Findings) -> _Part | None:
    if not shape.has_area:
        findings.warn(f"a {shape.shape_type} has no area; left out", shape=shape.number)
        return None
    if shape.mask is not None:
        x, y = shape.points.min(axis=0).round().astype(int).tolist()
        drawn, polygon = MaskCrops.from_crops([shape.mask], [(y, x)], size=size), None
        is_empty = not drawn.area()[0]
    else:
        try:
            whole = outline(shape)
        except LabelMeShapeError as fault:
            findings.warn(f"{fault}; left out", shape=shape.number)
            return None
        polygon, drawn = clip_polygon(whole, size=size), draw_polygon(whole, size=size)
        is_empty = not _covers_pixels(polygon, size)
        if not is_empty and not _is_near(whole, size):
            findings.warn("reaches outside the photo; cut at its border", shape=shape.number)
    if is_empty:
        findings.warn("covers no pixel of the photo; left out", shape=shape.number)
        return None
    return _Part(shape, polygon, drawn)


def _covers_pixels(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether training would see anything of it; counted on the runs of the RLE, without a canvas."""
    return len(polygon) >= 3 and bool(coco_mask.area(coco_mask.frPyObjects([flatten(polygon)], *size))[0])


def _is_near(polygon: Polygon, size: tuple[int, int]) -> bool:
    # LabelMe itself lets a point fall a pixel outside when drawing along the border.
    return bool((polygon >= -1).all() and (polygon <= (size[1] + 1, size[0] + 1)).all())


def _instance(parts: Sequence[_Part], size: tuple[int, int]) -> LabelMeInstance:
    return LabelMeInstance(
        label=parts[0].shape.label,
        numbers=tuple(part.shape.number for part in parts),
        polygons=tuple(part.polygon for part in parts if part.polygon is not None),
        painted=MaskCrops.concatenate([part.drawn for part in parts if part.polygon is None], size=size),
        drawn=MaskCrops.concatenate([part.drawn for part in parts], size=size),
    )


def instances_to_masks(instances: Sequence[LabelMeInstance], *, size: tuple[int, int]) -> MaskCrops:
    """One mask per instance, as training sees them.

    Args:
        instances: N instances.
        size: (height, width) of the photo, pixels.

    Returns:
        N masks.
    """
    return MaskCrops.concatenate([instance.mask() for instance in instances], size=size)


def instances_to_shapes(
    masks: MaskCrops, labels: Sequence[str], *, scores: Sequence[float] | None = None, tolerance: float = 1.0
) -> list[LabelMeShape]:
    """Turn masks into shapes that a person can correct in LabelMe.

    Objects of several parts become polygons of one `group_id`; objects with holes become mask shapes; empty
    masks become nothing.

    Args:
        masks: N masks.
        labels: N class names.
        scores: N confidences, kept in each shape's description.
        tolerance: how far a polygon may leave the mask's edge, pixels; more means fewer points.

    Returns:
        Shapes in the order of the masks. Read back they overlap the masks with IoU 0.98 or more.
    """
    shapes: list[LabelMeShape] = []
    for index, label in enumerate(labels):
        y, x, crop = next(iter(masks[[index]]))
        if not crop.size:
            continue
        text = "" if scores is None else f"score {float(scores[index]):.4f}"
        polygons = faithful_polygons(masks, index, tolerance=tolerance)
        if polygons is None:
            box = np.array([[x, y], [x + crop.shape[1] - 1, y + crop.shape[0] - 1]], dtype=np.float64)
            shapes.append(LabelMeShape(label, box, shape_type="mask", description=text, mask=crop))
            continue
        group_id = index + 1 if len(polygons) > 1 else None
        shapes += [LabelMeShape(label, part, group_id=group_id, description=text) for part in polygons]
    return shapes
