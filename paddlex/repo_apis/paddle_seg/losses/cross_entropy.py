"""Cross-entropy per pixel, over all pixels or the hardest ones (OHEM, arXiv:1604.03540)."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.utils.errors import ConfigError

__all__ = ["CrossEntropyLoss"]

_EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss:
    """Mean cross-entropy of the pixels that are not ignored.

    Attributes:
        class_weights: one weight a class; the mean is then the weighted mean. None weighs all alike.
        ignore_index: label of pixels that count for nothing.
        top_k_percent_pixels: share of the pixels, those of largest loss, that the mean is taken over.
        avg_non_ignore: divide by the weight of the pixels that count; False divides by the number of all.
    """

    class_weights: tuple[float, ...] | None = None
    ignore_index: int = 255
    top_k_percent_pixels: float = 1.0
    avg_non_ignore: bool = True

    def __post_init__(self) -> None:
        share = self.top_k_percent_pixels
        if not 0 < share <= 1:
            raise ConfigError(f"CrossEntropyLoss.top_k_percent_pixels: found {share}, expected 0 to 1")

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; zero where every pixel is ignored.

        Args:
            logits: (B, C, H, W).
            labels: (B, H, W) integers in 0..C-1, or `ignore_index`.

        Raises:
            ConfigError: if there is not one weight a class.
        """
        labels = labels.astype("int64")
        losses = F.cross_entropy(
            logits.astype("float32"),
            labels.unsqueeze(1),
            ignore_index=self.ignore_index,
            reduction="none",
            axis=1,
        ).squeeze(1)
        weights = self._pixel_weights(labels, num_classes=logits.shape[1])
        if self.class_weights is not None:
            losses = losses * weights
        if self.top_k_percent_pixels < 1.0:
            return self._hardest(losses, weights)
        total = weights.mean() if self.avg_non_ignore else 1.0
        return losses.mean() / (total + _EPSILON)

    def _pixel_weights(self, labels: Tensor, *, num_classes: int) -> Tensor:
        """(B, H, W): weight of each pixel's class, 0 where it is ignored."""
        valid = labels != self.ignore_index
        if self.class_weights is None:
            return valid.astype("float32")
        if len(self.class_weights) != num_classes:
            raise ConfigError(
                f"CrossEntropyLoss.class_weights: {len(self.class_weights)} weights for {num_classes} "
                "classes; give one a class"
            )
        weights = paddle.to_tensor(self.class_weights, dtype="float32")
        return weights[paddle.where(valid, labels, paddle.zeros_like(labels))] * valid.astype("float32")

    def _hardest(self, losses: Tensor, weights: Tensor) -> Tensor:
        count = max(1, int(self.top_k_percent_pixels * losses.size))
        hardest, places = paddle.topk(losses.flatten(), count)
        if self.class_weights is None:
            return hardest.mean()
        return hardest.mean() / (weights.flatten()[places].mean() + _EPSILON)
