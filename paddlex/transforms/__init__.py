"""Transforms by the names of PaddleX 2: `Compose` and its operators.

The operators are descriptions; what they do is done by `paddlex.data.transforms`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.transforms.augmentations import (
        BatchRandomResize,
        BatchRandomResizeByShort,
        MixupImage,
        RandomBlur,
        RandomCrop,
        RandomDistort,
        RandomExpand,
        RandomHorizontalFlip,
        RandomScaleAspect,
        RandomVerticalFlip,
    )
    from paddlex.transforms.chain import Compose
    from paddlex.transforms.operators import (
        CenterCrop,
        Normalize,
        Padding,
        RandomResize,
        RandomResizeByShort,
        Resize,
        ResizeByLong,
        ResizeByShort,
    )

__all__ = [
    "BatchRandomResize",
    "BatchRandomResizeByShort",
    "CenterCrop",
    "Compose",
    "MixupImage",
    "Normalize",
    "Padding",
    "RandomBlur",
    "RandomCrop",
    "RandomDistort",
    "RandomExpand",
    "RandomHorizontalFlip",
    "RandomResize",
    "RandomResizeByShort",
    "RandomScaleAspect",
    "RandomVerticalFlip",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
]

_PARTS = {
    "Compose": "chain",
    "CenterCrop": "operators",
    "Normalize": "operators",
    "Padding": "operators",
    "RandomResize": "operators",
    "RandomResizeByShort": "operators",
    "Resize": "operators",
    "ResizeByLong": "operators",
    "ResizeByShort": "operators",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"paddlex.transforms.{_PARTS.get(name, 'augmentations')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
