"""Pruning and quantisation of the 2.x API's models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.compression.criteria import Criterion
from paddlex.compression.dependencies import Dependencies, find_dependencies
from paddlex.compression.prune import PruneResult, prune
from paddlex.compression.sensitivity import Sensitivities, analyze_sensitivity
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.prune_forms import traced_form
from paddlex.structures.sample import Sample
from paddlex.utils.errors import PruneError, UsageError
from paddlex.utils.logging import logger

__all__ = ["SENSITIVITY_FILE", "Analysis", "analyze", "prune_by", "spread_photos"]

# The name is PaddleX 2's; the content is JSON.
SENSITIVITY_FILE = "model.sensi.data"


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What pruning needs to know of a network.

    Attributes:
        dependencies: which of its channels belong together.
        sensitivities: what it costs to remove them.
    """

    dependencies: Dependencies
    sensitivities: Sensitivities


def analyze(
    network: nn.Layer,
    *,
    dataset: Any,  # noqa: ANN401 (a data set of `paddlex.datasets`)
    preprocess: Preprocessor,
    evaluate: Callable[[], float],
    criterion: str,
    save_dir: Path,
) -> Analysis:
    """Measure what each group of channels is worth; goes on where an earlier analysis stopped.

    Args:
        network: comes back as it was.
        dataset: its first photo tells the size that operations are counted for.
        preprocess: what is done to photos.
        evaluate: scores the network as it is at the time.
        criterion: `l1_norm` or `fpgm`.
        save_dir: gets the file of sensitivities.

    Raises:
        UsageError: for a criterion that is none.
        PruneError: if the file there belongs to something else.
    """
    dependencies = _dependencies(network, input_size=_input_size(dataset.samples[0], preprocess))
    save_dir.mkdir(parents=True, exist_ok=True)
    file = save_dir / SENSITIVITY_FILE
    found = analyze_sensitivity(
        network,
        dependencies,
        evaluate=evaluate,
        file=file,
        criterion=_checked_criterion(criterion),
        about={"photos": len(dataset.samples)},
    )
    logger.info("sensitivities of %d groups of channels: %s", len(dependencies.groups), file)
    return Analysis(dependencies=dependencies, sensitivities=found)


def prune_by(network: nn.Layer, analysis: Analysis | None, *, pruned_flops: float) -> PruneResult:
    """Remove channels, the least missed first, in place.

    Args:
        network: is smaller afterwards.
        analysis: of this network.
        pruned_flops: share of the operations to remove.

    Raises:
        PruneError: without an analysis, or if the share cannot be had.
    """
    if analysis is None:
        raise PruneError("prune: the model has not been analysed; call analyze_sensitivity first")
    result = prune(
        network,
        analysis.dependencies,
        losses=analysis.sensitivities.losses,
        pruned_flops=pruned_flops,
        criterion=_checked_criterion(analysis.sensitivities.criterion),
    )
    logger.info(
        "pruned: %.1f %% of the operations and %.1f %% of the weights are gone; train the model again with "
        "pretrain_weights=None to recover its accuracy",
        *(100 * result.pruned_flops, 100 * (1 - result.parameters[1] / result.parameters[0])),
    )
    return result


def spread_photos(samples: Any, count: int) -> list[NDArray[np.uint8]]:  # noqa: ANN401 (Samples by index)
    """Up to `count` photos of a data set, evenly spaced."""
    places = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[int(place)].image for place in places]


def _dependencies(network: nn.Layer, *, input_size: tuple[int, int]) -> Dependencies:
    network.eval()
    form = traced_form(network, input_size=input_size)
    return find_dependencies(network, inputs=form.inputs, form=form.layer)


def _input_size(sample: Sample, preprocess: Preprocessor) -> tuple[int, int]:
    """(height, width) of the network's input for a photo."""
    height, width = preprocess(sample.image)["image"].shape[1:]
    return int(height), int(width)


def _checked_criterion(criterion: str) -> Criterion:
    known: Sequence[Criterion] = get_args(Criterion)
    found = next((name for name in known if name == criterion), None)
    if found is None:
        raise UsageError(f"criterion: found {criterion!r}, expected one of {', '.join(known)}")
    return found
