"""A clean stop when numbers cease to be numbers, with what is needed to find out why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import TrainingDivergedError
from paddlex.utils.files import atomic_path

__all__ = ["require_finite_losses", "stop_for_gradients"]

_REMEDY = (
    "the last checkpoint is untouched; resume from it with a lower Train.learning_rate, "
    "a longer Train.warmup_steps or Train.amp off"
)


def require_finite_losses(
    losses: Mapping[str, float], *, batch: Mapping[str, Any], step: int, folder: Path
) -> None:
    """Raise if a loss is NaN or infinite.

    Raises:
        TrainingDivergedError: naming the terms, the step, the photos, and the file the batch was saved to.
    """
    faulty = {name: value for name, value in losses.items() if not np.isfinite(value)}
    if not faulty:
        return
    # The total is faulty because a term is; name it only when it stands alone.
    terms = {name: value for name, value in faulty.items() if name != "loss"} or faulty
    listed = ", ".join(f"{name} = {value}" for name, value in terms.items())
    _stop(f"loss {listed}", batches=[batch], step=step, folder=folder)


def stop_for_gradients(
    names: Sequence[str], *, batches: Sequence[Mapping[str, Any]], step: int, folder: Path
) -> NoReturn:
    """Raise TrainingDivergedError for parameters whose gradient is NaN or infinite."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    _stop(
        f"gradient of {', '.join(names[:3])}{more} is not finite", batches=batches, step=step, folder=folder
    )


def _stop(what: str, *, batches: Sequence[Mapping[str, Any]], step: int, folder: Path) -> NoReturn:
    path = folder / f"nonfinite_batch_step_{step}.npz"
    arrays = {f"{i}/{name}": value for i, batch in enumerate(batches) for name, value in _flat(batch).items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    photos = [str(image_id) for batch in batches for image_id in batch.get("image_id", ())]
    raise TrainingDivergedError(
        f"step {step}, photos with image id {', '.join(photos) or 'unknown'}: {what}; "
        f"the batch was saved to {path}; {_REMEDY}"
    )


def _flat(batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, value in batch.items():
        if isinstance(value, list) and any(isinstance(item, (np.ndarray, InstanceShapes)) for item in value):
            arrays.update({f"{name}/{i}": _as_array(item) for i, item in enumerate(value)})
        else:
            arrays[name] = np.asarray(value)
    return arrays


def _as_array(value: Any) -> np.ndarray:  # noqa: ANN401 (what a batch may hold)
    """Shapes as the text of their COCO run lengths: a file of arrays alone is safe to open."""
    return np.asarray(json.dumps(value.to_rles()) if isinstance(value, InstanceShapes) else value)
