"""paddlex: from annotated photos to a deployed segmentation model, on PaddlePaddle 3.

Public names are loaded when first used, so that `import paddlex` is quick and imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex import det, seg, transforms, utils
    from paddlex.model import create_model

__all__ = ["__version__", "create_model", "det", "seg", "transforms", "utils"]

__version__ = "0.1.0"

_PUBLIC = {"create_model": "paddlex.model"}
_PACKAGES = ("det", "seg", "transforms", "utils")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name in _PACKAGES:
        return importlib.import_module(f"paddlex.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'paddlex' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
