"""Which weights a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from paddle import nn

from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.utils.download import fetch, is_url
from paddlex.utils.errors import DownloadError, WeightsError
from paddlex.utils.logging import logger
from paddlex.utils.pdparams import read_pdparams

__all__ = ["StartWeights", "find_start_weights"]


@dataclass(frozen=True, kw_only=True)
class StartWeights:
    """What a network begins with.

    Attributes:
        from_scratch: it begins with nothing, so everything must learn.
        arrays: weights by name; empty when a checkpoint brings them later.
        source: where they come from, for messages.
    """

    from_scratch: bool
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = ""

    def apply(self, network: nn.Layer) -> None:
        """Fill `network`; from scratch, let what is frozen for the sake of pretrained weights learn."""
        if self.from_scratch:
            logger.info(
                "training from scratch: what the recipe freezes or slows because it assumes pretrained "
                "weights (stem, normalisation of the backbone, small learning rates) learns like the rest"
            )
            network.unfreeze_for_scratch()
        elif self.arrays:
            load_weights(network, self.arrays, source=self.source, allow_partial=True).log(self.source)


def find_start_weights(wanted: str | None, spec: ModelSpec) -> StartWeights:
    """Read the weights that a user wants to start from.

    Args:
        wanted: None for the published network if it can be had; `coco` for it in any case; `imagenet` for
            its backbone alone; `scratch` (or `none`); or a path or URL.
        spec: the model.

    Raises:
        WeightsError: what was named is missing or unusable.
        DownloadError: what was named cannot be downloaded.
    """
    if wanted is None:
        return _published_or_scratch(spec)
    if wanted.lower() in {"scratch", "none"}:
        return StartWeights(from_scratch=True)
    if Path(wanted).is_file():
        return _read(Path(wanted).resolve())
    named = {"coco": spec.weights_url, "imagenet": spec.backbone_url}
    if wanted.lower() in named:
        url = named[wanted.lower()]
        if url is None:
            raise WeightsError(f"Train.pretrain_weight_path {wanted}: {spec.name} has no such weights")
        return _read(fetch(url))
    if is_url(wanted):
        return _read(fetch(wanted))
    raise WeightsError(
        f"Train.pretrain_weight_path {wanted}: no such file; give a .pdparams file, a URL, coco, imagenet "
        "or scratch"
    )


def _published_or_scratch(spec: ModelSpec) -> StartWeights:
    if spec.weights_url is None:
        return StartWeights(from_scratch=True)
    try:
        return _read(fetch(spec.weights_url))
    except DownloadError as error:
        logger.warning("NO PRETRAINED WEIGHTS: %s", error)
        logger.warning(
            "TRAINING FROM SCRATCH instead, which needs far more photos and epochs; if that is meant, say so "
            "with Train.pretrain_weight_path=scratch"
        )
        return StartWeights(from_scratch=True)


def _read(path: Path) -> StartWeights:
    return StartWeights(from_scratch=False, arrays=read_pdparams(path), source=str(path))
