"""Small photos for the tests of chains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes

rng = np.random.default_rng


def photo(height: int = 24, width: int = 32, *, number: int = 0, label_map: bool = False) -> Sample:
    """Noise with one square object of class `number`."""
    outline = [[4, 4, 14, 4, 14, 14, 4, 14]]
    return Sample(
        image=rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8),
        image_id=number,
        path=Path(f"{number}.png"),
        original_size=(height, width),
        boxes=np.array([[4, 4, 14, 14]], np.float32),
        class_ids=np.array([number]),
        masks=InstanceShapes.from_polygons([outline], size=(height, width)),
        label_map=np.zeros((height, width), np.uint8) if label_map else None,
    )
