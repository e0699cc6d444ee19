"""Data set tools of PaddleX 2: `paddlex.tools`.

Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex.tools.conversion import convert_dataset
    from paddlex.tools.splitting import split_dataset

__all__ = ["convert_dataset", "split_dataset"]

_PUBLIC = {"convert_dataset": "paddlex.tools.conversion", "split_dataset": "paddlex.tools.splitting"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
