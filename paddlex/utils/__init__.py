"""Small tools that know nothing of segmentation: files, errors, logging, devices.

What users call is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.utils.archives import download_and_decompress

__all__ = ["download_and_decompress"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name == "download_and_decompress":
        return importlib.import_module("paddlex.utils.archives").download_and_decompress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
