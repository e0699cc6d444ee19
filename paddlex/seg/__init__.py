"""Semantic segmentation by the names of PaddleX 2: `paddlex.seg`.

Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.seg import transforms
    from paddlex.seg.confusion import draw_confusion_matrix
    from paddlex.seg.drawing import visualize
    from paddlex.seg.models import BiSeNetV2, DeepLabV3P, FastSCNN, HRNet, UNet

__all__ = [
    "BiSeNetV2",
    "DeepLabV3P",
    "FastSCNN",
    "HRNet",
    "UNet",
    "draw_confusion_matrix",
    "transforms",
    "visualize",
]

# Public name -> module that defines it; a name of its own module is that module.
_PUBLIC = {
    "BiSeNetV2": "paddlex.seg.models",
    "DeepLabV3P": "paddlex.seg.models",
    "FastSCNN": "paddlex.seg.models",
    "HRNet": "paddlex.seg.models",
    "UNet": "paddlex.seg.models",
    "draw_confusion_matrix": "paddlex.seg.confusion",
    "transforms": "paddlex.seg.transforms",
    "visualize": "paddlex.seg.drawing",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(_PUBLIC[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
