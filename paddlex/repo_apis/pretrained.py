"""Published weights that a training may start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["PretrainedWeights"]


@dataclass(frozen=True, kw_only=True)
class PretrainedWeights:
    """Weights, and the network that they belong to.

    Attributes:
        url: a `.pdparams` file, or a `.tar.gz` archive that holds one.
        part: what they fill: the whole network or its backbone.
        network: keyword arguments of the builder that they were trained with. No weight tells them.
    """

    url: str
    part: Literal["network", "backbone"] = "network"
    network: Mapping[str, Any] = field(default_factory=dict)
