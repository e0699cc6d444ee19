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


@dataclass(frozen=True, kw_only=True)
class PixelAgreement:
    """What was compared.

    Attributes:
        pixels: compared.
        differing: share of them that have another class.
        wrong: share that have another class where the network is in no doubt.
    """

    pixels: int
    differing: float
    wrong: float

    def problems(self) -> list[str]:
        """What is more than rounding, one line each."""
        return [f"{self.wrong:.2%} of the pixels have another class"] if self.wrong else []

    def to_json(self) -> dict[str, float]:
        """Fields for a result file."""
        return asdict(self)


def compare_pixels(logits: NDArray[np.float32], label_map: NDArray[np.int32]) -> PixelAgreement:
    """Compare the classes that another run found with the network's logits.

    Args:
        logits: (C, H, W) of the network, on the photo.
        label_map: (H, W) of the other run.
    """
    best = logits.max(axis=0)
    chosen = np.take_along_axis(logits, label_map[None].astype(np.int64), axis=0)[0]
    differing = logits.argmax(axis=0) != label_map
    wrong = differing & (best - chosen > _ROUNDING * np.abs(logits).max())
    return PixelAgreement(pixels=label_map.size, differing=float(differing.mean()), wrong=float(wrong.mean()))


def summarise_pixels(agreements: Sequence[PixelAgreement]) -> PixelAgreement:
    """One agreement over several photos; each pixel weighs alike."""
    weights = np.array([agreement.pixels for agreement in agreements], float)
    weights /= weights.sum()
    return PixelAgreement(
        pixels=sum(agreement.pixels for agreement in agreements),
        differing=float(weights @ [agreement.differing for agreement in agreements]),
        wrong=float(weights @ [agreement.wrong for agreement in agreements]),
    )
