"""paddlex: from annotated photos to a deployed segmentation model, on PaddlePaddle 3.

Public names are loaded when first used, so that `import paddlex` is quick and imports no framework.

Attributes:
    log_level: what is logged: 0 errors, 1 warnings too, 2 information too, 3 everything; acts when set.
    env_info: {"place": "gpu" or "cpu", "num": how many of them}.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlex import datasets, det, seg, tools, transforms, utils
    from paddlex.det import visualize as visualize_det
    from paddlex.model import create_model
    from paddlex.seg import visualize as visualize_seg
    from paddlex.v2.load import load_model

    log_level: int
    env_info: dict[str, str | int]

__all__ = [
    "__version__",
    "create_model",
    "datasets",
    "det",
    "env_info",
    "load_model",
    "log_level",
    "seg",
    "tools",
    "transforms",
    "utils",
    "visualize_det",
    "visualize_seg",
]

__version__ = "0.1.0"

_PACKAGES = ("datasets", "det", "seg", "tools", "transforms", "utils")
# name -> module, name in it
_PUBLIC = {
    "create_model": ("paddlex.model", "create_model"),
    "load_model": ("paddlex.v2.load", "load_model"),
    "visualize_det": ("paddlex.det", "visualize"),
    "visualize_seg": ("paddlex.seg", "visualize"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name in _PACKAGES:
        return importlib.import_module(f"paddlex.{name}")
    if name in _PUBLIC:
        module, inner = _PUBLIC[name]
        return getattr(importlib.import_module(module), inner)
    raise AttributeError(f"module 'paddlex' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(types.ModuleType):
    """A module with attributes that are looked up, and act, when they are used."""

    @property
    def log_level(self) -> int:
        """0 errors, 1 warnings, 2 information, 3 everything."""
        from paddlex.utils.logging import log_level

        return log_level()

    @log_level.setter
    def log_level(self, number: int) -> None:
        from paddlex.utils.logging import set_log_level

        set_log_level(number)

    @property
    def env_info(self) -> dict[str, str | int]:
        """What Paddle can compute on: {"place": "gpu" or "cpu", "num": count}."""
        from paddlex.modules.paddle_device import environment

        return environment()


sys.modules[__name__].__class__ = _Package
