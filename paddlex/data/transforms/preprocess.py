"""What a deployed model does to a photo first: the `Preprocess` list of `inference.yml`.

Evaluation and prediction both come here, so scores describe what users receive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.base import Compose, build_transforms
from paddlex.data.transforms.batch import Batch, collate
from paddlex.data.transforms.color import NormalizeImage, Permute
from paddlex.data.transforms.geometry import Resize
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ConfigError, ShapeError

__all__ = ["Preprocessor"]

# What official inference files may list (WarpAffine belongs to models that are not offered here), and what
# chains of PaddleX 1 need: CLAHE, Clip, ToFloat.
_OPERATIONS = (
    "CLAHE",
    "Clip",
    "NormalizeImage",
    "Pad",
    "PadStride",
    "Padding",
    "Permute",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
    "ToFloat",
)


class Preprocessor:
    """The chain of one model.

    Args:
        operations: the `Preprocess` list, each {"type": name, parameter: value, ...}.
        where: the file, for messages.

    Attributes:
        transforms: the chain as transforms, for a `BatchLoader`.

    Raises:
        ConfigError: unknown operation or parameter, bad value, or no (3, H, W) float32 image in the end.
    """

    def __init__(self, operations: Sequence[Mapping[str, Any]], *, where: str = "Preprocess") -> None:
        specs = [_spec(operation, place=f"{where}[{i}]") for i, operation in enumerate(operations)]
        self.transforms: Compose = build_transforms(specs, where=where)
        for kind in (NormalizeImage, Permute):
            if not any(isinstance(step, kind) for step in self.transforms.steps):
                raise ConfigError(f"{where}: {kind.__name__} is missing; networks take (3, H, W) float32")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) that every photo is resized to, or None where it depends on the photo."""
        resizes = [step for step in self.transforms.steps if isinstance(step, Resize)]
        return resizes[-1].target_size if resizes and not resizes[-1].keep_ratio else None

    def __call__(self, rgb: NDArray[np.uint8]) -> Batch:
        """Prepare one photo.

        Args:
            rgb: (H, W, 3) uint8.

        Returns:
            `image` (3, h, w) float32, `im_shape` (2,) float32 [height, width] after resizing, before padding,
            `scale_factor` (2,) float32 [vertical, horizontal].
        """
        batch = collate([self.prepare(rgb)])
        return {key: batch[key][0] for key in ("image", "im_shape", "scale_factor")}

    def prepare(self, rgb: NDArray[np.uint8]) -> Sample:
        """Prepare one photo (H, W, 3); the sample's `moves` bring label maps back to it."""
        size = rgb.shape[0], rgb.shape[1]
        sample = Sample(image=rgb, image_id=0, path=Path(), original_size=size)
        # No operation draws; transforms of both kinds are called alike.
        return self.transforms(sample, np.random.default_rng(0))

    @staticmethod
    def stack(inputs: Sequence[Batch]) -> Batch:
        """Join prepared photos into a batch: each array gains a first axis.

        Raises:
            ShapeError: if the images differ in size.
        """
        shapes = {tuple(one["image"].shape) for one in inputs}
        if len(shapes) != 1:
            raise ShapeError(
                f"photos of one batch became {sorted(shapes)}; expected one shape: this model keeps the "
                "aspect, so use batch_size 1"
            )
        return {key: np.stack([one[key] for one in inputs]) for key in ("image", "im_shape", "scale_factor")}


def _spec(operation: Mapping[str, Any], *, place: str) -> dict[str, dict[str, Any]]:
    name = operation.get("type") if isinstance(operation, Mapping) else None
    if name not in _OPERATIONS:
        raise ConfigError(f"{place}: unknown operation {name!r}; expected one of {', '.join(_OPERATIONS)}")
    parameters = {key: value for key, value in operation.items() if key != "type"}
    size = parameters.get("size")
    if name == "Pad" and isinstance(size, (list, tuple)) and len(size) == 3:
        parameters["size"] = list(size[1:])  # official files count the channels
    return {str(name): parameters}
