"""Data sets by the names of PaddleX 1 and 2, with their arguments; what they read is read by `paddlex.data`.

Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.datasets.coco import CocoDetection
    from paddlex.datasets.easydata import EasyDataDet, EasyDataSeg
    from paddlex.datasets.labelme import LabelMeDetection, LabelMeSeg
    from paddlex.datasets.seg import SegDataset
    from paddlex.datasets.voc import VOCDetection

__all__ = [
    "CocoDetection",
    "EasyDataDet",
    "EasyDataSeg",
    "LabelMeDetection",
    "LabelMeSeg",
    "SegDataset",
    "VOCDetection",
]

_PUBLIC = {
    "CocoDetection": "coco",
    "EasyDataDet": "easydata",
    "EasyDataSeg": "easydata",
    "LabelMeDetection": "labelme",
    "LabelMeSeg": "labelme",
    "SegDataset": "seg",
    "VOCDetection": "voc",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
