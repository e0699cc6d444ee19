"""Every model of every suite by name."""

from __future__ import annotations

import difflib

from paddlex.repo_apis.paddle_detection.suite import MODELS as DETECTION_MODELS
from paddlex.repo_apis.paddle_seg.suite import MODELS as SEMANTIC_MODELS
from paddlex.repo_apis.spec import ModelSpec
from paddlex.utils.errors import UsageError

__all__ = ["ALL_MODELS", "find_model"]

ALL_MODELS: dict[str, ModelSpec] = {**DETECTION_MODELS, **SEMANTIC_MODELS}


def find_model(name: str) -> ModelSpec:
    """The model called `name`.

    Raises:
        UsageError: with the nearest names.
    """
    if name in ALL_MODELS:
        return ALL_MODELS[name]
    folded = {known.casefold(): known for known in ALL_MODELS}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(folded[n] for n in near)}?" if near else "`paddlex models` lists them"
    raise UsageError(f"model {name!r} is unknown; {hint}")
