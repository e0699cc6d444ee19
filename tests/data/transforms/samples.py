"""Small samples for the tests of transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes

HEIGHT, WIDTH = 48, 64
# Two rectangles, xyxy.
BOXES = np.array([[4, 6, 24, 30], [40, 20, 60, 44]], dtype=np.float32)


def make_sample(
    *, empty: bool = False, label_map: bool = False, shapes: bool = False, seed: int = 0
) -> Sample:
    """A noisy photo with two rectangular objects (or none), each brighter than the rest.

    With `shapes` the first object is a polygon, the second a bitmap; else both are crops.
    """
    image = np.random.default_rng(seed).integers(0, 100, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes = BOXES[:0] if empty else BOXES
    dense = np.zeros((len(boxes), HEIGHT, WIDTH), dtype=bool)
    for mask, (x1, y1, x2, y2) in zip(dense, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
        image[y1:y2, x1:x2] += 150
    masks = MaskCrops.from_dense(dense, size=(HEIGHT, WIDTH))
    outlines = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes[:1].tolist()]
    drawn = InstanceShapes.from_polygons(outlines, size=(HEIGHT, WIDTH))
    mixed = InstanceShapes.concatenate([drawn, InstanceShapes.from_crops(masks[1:])], size=(HEIGHT, WIDTH))
    return Sample(
        image=image,
        image_id=5,
        path=Path("photo.png"),
        original_size=(HEIGHT, WIDTH),
        boxes=boxes.copy(),
        class_ids=np.arange(len(boxes), dtype=np.int64),
        masks=mixed if shapes else masks,
        label_map=(dense.any(axis=0).astype(np.uint8) if label_map else None),
    )
