"""Instance segmentation by the names of PaddleX 2: `paddlex.det`.

Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.det import transforms
    from paddlex.det.drawing import visualize
    from paddlex.det.error_analysis import coco_error_analysis
    from paddlex.det.mask_rcnn import MaskRCNN
    from paddlex.det.pr_curve import draw_pr_curve

__all__ = ["MaskRCNN", "coco_error_analysis", "draw_pr_curve", "transforms", "visualize"]

# Public name -> module that defines it; a name of its own module is that module.
_PUBLIC = {
    "MaskRCNN": "paddlex.det.mask_rcnn",
    "coco_error_analysis": "paddlex.det.error_analysis",
    "draw_pr_curve": "paddlex.det.pr_curve",
    "transforms": "paddlex.det.transforms",
    "visualize": "paddlex.det.drawing",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(_PUBLIC[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
