"""Dice loss (V-Net, arXiv:1606.04797): one minus the overlap of soft prediction and label."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.utils.errors import ConfigError

__all__ = ["DiceLoss"]


@dataclass(frozen=True, kw_only=True)
class DiceLoss:
    """Mean of `1 - (2 |P T| + smooth) / (|P| + |T| + smooth + epsilon)` over classes.

    PaddleX 2 sums over the whole batch, unsmoothed: `DiceLoss(per_image=False, smooth=0.0, epsilon=1e-5)`.

    Attributes:
        class_weights: one factor a class; None is 1 for all.
        ignore_index: label of pixels that count for nothing.
        smooth: added to both sums, so that a class that is nowhere and not predicted costs nothing.
        epsilon: keeps the division defined.
        per_image: take the overlap of each image and average; False takes that of the batch as a whole.
    """

    class_weights: tuple[float, ...] | None = None
    ignore_index: int = 255
    smooth: float = 1.0
    epsilon: float = 1e-8
    per_image: bool = True

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: (B, C, H, W).
            labels: (B, H, W) integers in 0..C-1, or `ignore_index`; they stay as they are.

        Raises:
            ConfigError: if there is not one weight a class.
        """
        num_classes = logits.shape[1]
        labels = labels.astype("int64").unsqueeze(1)
        probs = F.softmax(logits.astype("float32"), axis=1) * (labels != self.ignore_index).astype("float32")
        classes = paddle.arange(num_classes).reshape([1, num_classes, 1, 1])
        truth = (labels == classes).astype("float32")
        axes = [2, 3] if self.per_image else [0, 2, 3]
        overlap = (probs * truth).sum(axes)
        extent = probs.sum(axes) + truth.sum(axes)
        losses = 1 - (2 * overlap + self.smooth) / (extent + self.smooth + self.epsilon)
        if self.per_image:
            losses = losses.mean(0)
        return (losses * self._factors(num_classes)).mean()

    def _factors(self, num_classes: int) -> Tensor:
        factors = self.class_weights or (1.0,) * num_classes
        if len(factors) != num_classes:
            raise ConfigError(
                f"DiceLoss.class_weights: {len(factors)} weights for {num_classes} classes; give one a class"
            )
        return paddle.to_tensor(factors, dtype="float32")
