"""Which weights a training starts from."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from paddlex.modules.model_info import read_model_info
from paddlex.repo_apis.pretrained import PretrainedWeights
from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.utils.download import fetch, is_url
from paddlex.utils.errors import DownloadError, WeightsError
from paddlex.utils.files import safe_extract
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
        network: keyword arguments of the builder that they were trained with.
    """

    from_scratch: bool
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = ""
    network: Mapping[str, Any] = field(default_factory=dict)

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
        wanted: None for the published network if it can be had; one of the names of `spec.start_weights` for
            these in any case; `scratch` (or `none`); or a path or URL.
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
        return _own(Path(wanted).resolve(), spec)
    published = {name.lower(): weights for name, weights in spec.start_weights.items()}
    if wanted.lower() in published:
        return _fetch(published[wanted.lower()])
    if is_url(wanted):
        return _read(fetch(wanted))
    names = ", ".join([*spec.start_weights, "scratch"])
    raise WeightsError(
        f"Train.pretrain_weight_path {wanted}: no such file, and no weights of {spec.name} have this name; "
        f"give a .pdparams file, a URL, or one of {names}"
    )


def _published_or_scratch(spec: ModelSpec) -> StartWeights:
    whole = next((weights for weights in spec.start_weights.values() if weights.part == "network"), None)
    if whole is None:
        return StartWeights(from_scratch=True)
    try:
        return _fetch(whole)
    except DownloadError as error:
        logger.warning("NO PRETRAINED WEIGHTS: %s", error)
        logger.warning(
            "TRAINING FROM SCRATCH instead, which needs far more photos and epochs; if that is meant, say so "
            "with Train.pretrain_weight_path=scratch"
        )
        return StartWeights(from_scratch=True)


def _own(path: Path, spec: ModelSpec) -> StartWeights:
    """Weights in a file, and what the network was built with if the file's neighbour tells: pruned, say."""
    info = read_model_info(path)
    network = info.network if info is not None and info.model_name == spec.name else {}
    return replace(_read(path), network=network)


def _fetch(weights: PretrainedWeights) -> StartWeights:
    return replace(_read(fetch(weights.url)), network=weights.network)


def _read(path: Path) -> StartWeights:
    if path.suffix == ".pdparams" or not tarfile.is_tarfile(path):
        return StartWeights(from_scratch=False, arrays=read_pdparams(path), source=str(path))
    with tempfile.TemporaryDirectory() as temporary:
        content = safe_extract(path, Path(temporary) / "content")
        found = next(iter(sorted(content.rglob("*.pdparams"))), None)
        if found is None:
            raise WeightsError(f"{path}: holds no .pdparams file; expected an archive of published weights")
        return StartWeights(from_scratch=False, arrays=read_pdparams(found), source=str(path))
