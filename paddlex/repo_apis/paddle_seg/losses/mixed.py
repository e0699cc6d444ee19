"""The loss that the setting `use_mixed_loss` asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from paddle import Tensor

from paddlex.repo_apis.paddle_seg.losses.cross_entropy import CrossEntropyLoss
from paddlex.repo_apis.paddle_seg.losses.dice import DiceLoss
from paddlex.repo_apis.paddle_seg.losses.lovasz_softmax import LovaszSoftmaxLoss
from paddlex.utils.errors import ConfigError

__all__ = ["Loss", "MixedLoss", "choose_loss"]

# (logits (B, C, H, W), labels (B, H, W)) -> scalar.
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_LOSSES: dict[str, Callable[[], Loss]] = {
    "CrossEntropyLoss": CrossEntropyLoss,
    "DiceLoss": DiceLoss,
    "LovaszSoftmaxLoss": LovaszSoftmaxLoss,
}
_DEFAULT_MIXTURE = (("CrossEntropyLoss", 0.8), ("LovaszSoftmaxLoss", 0.2))


@dataclass(frozen=True)
class MixedLoss:
    """Weighted sum of losses; the weights are taken as they are.

    Attributes:
        terms: pairs of a loss and its weight.
    """

    terms: tuple[tuple[Loss, float], ...]

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the sum for logits (B, C, H, W) and labels (B, H, W)."""
        return sum(weight * loss(logits, labels) for loss, weight in self.terms)


def choose_loss(use_mixed_loss: bool | Sequence[tuple[str, float]] = False) -> Loss:
    """Build the loss of a network's heads.

    Args:
        use_mixed_loss: False is cross-entropy; True 0.8 of it and 0.2 of Lovász-softmax; or a list of
            (name, weight) with the names CrossEntropyLoss, DiceLoss and LovaszSoftmaxLoss.

    Raises:
        ConfigError: for anything else.
    """
    if use_mixed_loss is False:
        return CrossEntropyLoss()
    mixture = _DEFAULT_MIXTURE if use_mixed_loss is True else use_mixed_loss
    expected = f"True, False or a list of [name, weight] with names {', '.join(_LOSSES)}"
    if not isinstance(mixture, Sequence) or isinstance(mixture, str) or not mixture:
        raise ConfigError(f"use_mixed_loss: found {mixture!r}, expected {expected}")
    for term in mixture:
        if not _is_term(term):
            raise ConfigError(f"use_mixed_loss: found {term!r}, expected {expected}")
    return MixedLoss(tuple((_LOSSES[name](), float(weight)) for name, weight in mixture))


def _is_term(term: object) -> bool:
    if not isinstance(term, (list, tuple)) or len(term) != 2 or term[0] not in _LOSSES:
        return False
    return isinstance(term[1], (int, float)) and not isinstance(term[1], bool)
