"""Whether two runs of one network classify the same pixels alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelAgreement", "compare_pixels", "summarise_pixels"]

# Of the largest logit: where the two best classes of the network are nearer to each other than this, rounding
# decides between them. Logits on two runtimes differ by about 1e-6 of it, as measured.
_ROUNDING = 1e-3
# Graphs of 8-bit integers round between all operators, the fake-quantised network at inputs of layers only.
# Where a class is further behind than twice what quantisation itself changed, rounding is no excuse.
_MAX_FAR_WRONG = 0.02


@dataclass(frozen=True, kw_only=True)
class PixelAgreement:
    """What was compared.

    Attributes:
        pixels: compared.
        differing: share of them that have another class.
        wrong: share that have another class where the network is in no doubt.
        far_wrong: share that have one which the network holds for worse by more than quantisation changed.
    """

    pixels: int
    differing: float
    wrong: float
    far_wrong: float = 0.0

    def problems(self, *, quantized: bool = False) -> list[str]:
        """What is more than rounding, of floats or of 8-bit integers; one line each."""
        if quantized:
            if self.far_wrong <= _MAX_FAR_WRONG:
                return []
            limit = f"limit {_MAX_FAR_WRONG:.0%}"
            return [f"{self.far_wrong:.2%} of the pixels have quite another class, {limit}"]
        return [f"{self.wrong:.2%} of the pixels have another class"] if self.wrong else []

    def to_json(self) -> dict[str, float]:
        """Fields for a result file."""
        return asdict(self)


def compare_pixels(
    logits: NDArray[np.float32], label_map: NDArray[np.int32], *, noise: float = 0.0
) -> PixelAgreement:
    """Compare the classes that another run found with the network's logits.

    Args:
        logits: (C, H, W) of the network, on the photo.
        label_map: (H, W) of the other run.
        noise: largest change of a logit by the network's quantisation.
    """
    best = logits.max(axis=0)
    chosen = np.take_along_axis(logits, label_map[None].astype(np.int64), axis=0)[0]
    differing = logits.argmax(axis=0) != label_map
    rounding = _ROUNDING * float(np.abs(logits).max())
    wrong = differing & (best - chosen > rounding)
    far_wrong = differing & (best - chosen > max(2 * noise, rounding))
    return PixelAgreement(
        pixels=label_map.size,
        differing=float(differing.mean()),
        wrong=float(wrong.mean()),
        far_wrong=float(far_wrong.mean()),
    )


def summarise_pixels(agreements: Sequence[PixelAgreement]) -> PixelAgreement:
    """One agreement over several photos; each pixel weighs alike."""
    weights = np.array([agreement.pixels for agreement in agreements], float)
    weights /= weights.sum()
    return PixelAgreement(
        pixels=sum(agreement.pixels for agreement in agreements),
        differing=float(weights @ [agreement.differing for agreement in agreements]),
        wrong=float(weights @ [agreement.wrong for agreement in agreements]),
        far_wrong=float(weights @ [agreement.far_wrong for agreement in agreements]),
    )
