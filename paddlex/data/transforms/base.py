"""Chains of transforms, and the names that recipes and inference files call them by.

A transform is a frozen dataclass called with `(Sample, Generator)` (one photo) or `(list[Sample], Generator)`
(a batch). It draws its parameters from the generator, then applies them to image, boxes, masks and label map
together; it never changes the sample it was given. Images are (H, W, 3) until `Permute`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from paddlex.data.transforms.batch import (
    BatchRandomResize,
    BatchRandomResizeByShort,
    MixupImage,
    PadBatch,
)
from paddlex.data.transforms.canvas import CenterCrop, Padding, RandomPaddingCrop
from paddlex.data.transforms.color import (
    CLAHE,
    Clip,
    NormalizeImage,
    Permute,
    RandomBlur,
    RandomDistort,
    ToFloat,
)
from paddlex.data.transforms.crop import RandomCrop, RandomScaleAspect
from paddlex.data.transforms.geometry import (
    Pad,
    PadStride,
    RandomExpand,
    RandomFlip,
    RandomShortSideResize,
    Resize,
)
from paddlex.data.transforms.rotate import RandomRotate
from paddlex.data.transforms.scaling import (
    RandomResize,
    RandomResizeByShort,
    ResizeByLong,
    ResizeByShort,
    ResizeRangeScaling,
    ResizeStepScaling,
)
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ConfigError

__all__ = [
    "BATCH_TRANSFORMS",
    "SAMPLE_TRANSFORMS",
    "BatchCompose",
    "BatchTransform",
    "Compose",
    "SampleTransform",
    "build_batch_transforms",
    "build_transform",
    "build_transforms",
]


class SampleTransform(Protocol):
    """Changes one photo with its annotations."""

    def __call__(self, sample: Sample, rng: np.random.Generator, /) -> Sample:
        """Return the changed sample; the given one stays as it is."""
        ...


class BatchTransform(Protocol):
    """Changes the photos of a batch together."""

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator, /) -> list[Sample]:
        """Return the changed samples; the given ones stay as they are."""
        ...


SAMPLE_TRANSFORMS: dict[str, type[Any]] = {
    "CLAHE": CLAHE,
    "CenterCrop": CenterCrop,
    "Clip": Clip,
    "NormalizeImage": NormalizeImage,
    "Pad": Pad,
    "PadStride": PadStride,
    "Padding": Padding,
    "Permute": Permute,
    "RandomBlur": RandomBlur,
    "RandomCrop": RandomCrop,
    "RandomDistort": RandomDistort,
    "RandomExpand": RandomExpand,
    "RandomFlip": RandomFlip,
    "RandomPaddingCrop": RandomPaddingCrop,
    "RandomResize": RandomResize,
    "RandomResizeByShort": RandomResizeByShort,
    "RandomRotate": RandomRotate,
    "RandomScaleAspect": RandomScaleAspect,
    "RandomShortSideResize": RandomShortSideResize,
    "Resize": Resize,
    "ResizeByLong": ResizeByLong,
    "ResizeByShort": ResizeByShort,
    "ResizeRangeScaling": ResizeRangeScaling,
    "ResizeStepScaling": ResizeStepScaling,
    "ToFloat": ToFloat,
}
BATCH_TRANSFORMS: dict[str, type[Any]] = {
    "BatchRandomResize": BatchRandomResize,
    "BatchRandomResizeByShort": BatchRandomResizeByShort,
    "MixupImage": MixupImage,
    "PadBatch": PadBatch,
}


@dataclass(frozen=True)
class Compose:
    """Transforms of one photo, in order."""

    steps: tuple[SampleTransform, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Apply each step to the result of the one before."""
        for step in self.steps:
            sample = step(sample, rng)
        return sample


@dataclass(frozen=True)
class BatchCompose:
    """Transforms of a batch, in order; a `Compose` among them is applied to each photo."""

    steps: tuple[BatchTransform | Compose, ...] = ()

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
        """Apply each step to the result of the one before."""
        result = list(samples)
        for step in self.steps:
            if isinstance(step, Compose):
                result = [step(sample, rng) for sample in result]
            else:
                result = step(result, rng)
        return result

    def in_epoch(self, epoch: int) -> BatchCompose:
        """The steps that act in an epoch, counted from 0: those limited to the first epochs end."""
        steps = tuple(
            step
            for step in self.steps
            if not isinstance(step, MixupImage) or step.epochs is None or epoch < step.epochs
        )
        return self if len(steps) == len(self.steps) else BatchCompose(steps)


def build_transform(name: str, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 (either kind)
    """Build one transform, of a photo or of a batch, by its registered name.

    Raises:
        ConfigError: `Name.parameter: found ..., expected ...`.
    """
    return _build({**SAMPLE_TRANSFORMS, **BATCH_TRANSFORMS}[name], parameters)


def build_transforms(
    specs: Sequence[Mapping[str, Mapping[str, Any] | None]], *, where: str = "sample_transforms"
) -> Compose:
    """Build the transforms of one photo from a recipe.

    Args:
        specs: one {name: {parameter: value}} each; the inner mapping may be empty or None.
        where: place in the configuration, for messages.

    Raises:
        ConfigError: with every unknown name, unknown or missing parameter and bad value.
    """
    return Compose(tuple(step for _, step in _build_all(specs, SAMPLE_TRANSFORMS, where)))


def build_batch_transforms(
    specs: Sequence[Mapping[str, Mapping[str, Any] | None]], *, where: str = "batch_transforms"
) -> BatchCompose:
    """Build the transforms of a batch from a recipe; those of one photo are applied to each.

    Raises:
        ConfigError: as `build_transforms`.
    """
    built = _build_all(specs, {**SAMPLE_TRANSFORMS, **BATCH_TRANSFORMS}, where)
    return BatchCompose(tuple(step if name in BATCH_TRANSFORMS else Compose((step,)) for name, step in built))


def _build_all(
    specs: Sequence[Mapping[str, Mapping[str, Any] | None]], known: dict[str, type[Any]], where: str
) -> list[tuple[str, Any]]:
    built, problems = [], []
    for position, spec in enumerate(specs):
        place = f"{where}[{position}]"
        if not isinstance(spec, Mapping) or len(spec) != 1:
            problems.append(f"{place}: found {spec!r}, expected one {{Name: {{parameters}}}}"[:200])
            continue
        ((name, parameters),) = spec.items()
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            problems.append(f"{place}: unknown transform {name!r}; {hint}")
            continue
        try:
            built.append((name, _build(known[name], parameters or {})))
        except ConfigError as error:
            problems.append(f"{place}.{error}")
    if problems:
        raise ConfigError(f"{where}: the list of transforms is faulty", problems)
    # Moving channels commutes with padding, which some lists have after it; our padding wants it last.
    return sorted(built, key=lambda pair: pair[0] == "Permute")


def _build(kind: type[Any], parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 (either kind of transform)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in parameters:
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields) or 'none'}"
            raise ConfigError(f"{kind.__name__}.{name}: unknown parameter; {hint}")
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in parameters:
            raise ConfigError(f"{kind.__name__}.{name}: missing; this transform needs it")
    return kind(**{name: _frozen(value) for name, value in parameters.items()})


def _frozen(value: Any) -> Any:  # noqa: ANN401 (any YAML value)
    """YAML lists as tuples, so that a transform can be neither changed nor shared by accident."""
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value
