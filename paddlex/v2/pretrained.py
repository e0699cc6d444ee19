"""`pretrain_weights` of the 2.x API: a name, a path, or None."""

from __future__ import annotations

from pathlib import Path

from paddlex.modules.start_weights import StartWeights, find_start_weights
from paddlex.repo_apis.spec import ModelSpec
from paddlex.utils.errors import DownloadError, WeightsError
from paddlex.utils.logging import logger

__all__ = ["find_pretrained"]

_SUFFIX = ".pdparams"


def find_pretrained(spec: ModelSpec, wanted: str | None, *, default: str | None) -> StartWeights:
    """Read the weights that a training starts from.

    Args:
        spec: the model.
        wanted: a `.pdparams` file; a name such as `IMAGENET`, unknown ones falling back to the model's first;
            or None, which starts from nothing.
        default: the name that users get who name none; if it cannot be downloaded, training starts from
            nothing with a warning.

    Raises:
        WeightsError: if a path is no such file.
        DownloadError: if weights that the user named cannot be had.
    """
    if wanted is None:
        return StartWeights(from_scratch=True)
    names = {name.upper(): name for name in spec.start_weights}
    if wanted.upper() not in names:
        if Path(wanted).suffix or Path(wanted).exists():
            return _from_file(wanted, spec)
        first = next(iter(spec.start_weights))
        logger.warning(
            "pretrain_weights: %s has no weights %r (it has %s); taking %s",
            *(spec.name, wanted, ", ".join(names), first.upper()),
        )
        wanted = first
    try:
        return find_start_weights(names[wanted.upper()], spec)
    except DownloadError as error:
        if default is None or wanted.upper() != default.upper():
            raise
        logger.warning("NO PRETRAINED WEIGHTS: %s", error)
        logger.warning("TRAINING FROM SCRATCH instead; if that is meant, say so with pretrain_weights=None")
        return StartWeights(from_scratch=True)


def _from_file(wanted: str, spec: ModelSpec) -> StartWeights:
    path = Path(wanted)
    if path.suffix != _SUFFIX or not path.is_file():
        problem = "no such file" if not path.exists() else f"found {path.suffix or 'no suffix'}"
        raise WeightsError(
            f"pretrain_weights {wanted}: {problem}; expected a {_SUFFIX} file, None, or one of "
            f"{', '.join(name.upper() for name in spec.start_weights)}"
        )
    return find_start_weights(str(path), spec)
