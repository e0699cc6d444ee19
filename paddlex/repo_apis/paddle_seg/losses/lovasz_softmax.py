"""Lovász-softmax loss (arXiv:1705.08790): a convex surrogate of the mean IoU."""

from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["LovaszSoftmaxLoss"]


@dataclass(frozen=True, kw_only=True)
class LovaszSoftmaxLoss:
    """Mean over the classes that are present of the Lovász extension of their Jaccard loss.

    Attributes:
        ignore_index: label of pixels that count for nothing.
    """

    ignore_index: int = 255

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss over all pixels of the batch together; zero where every pixel is ignored.

        Args:
            logits: (B, C, H, W).
            labels: (B, H, W) integers in 0..C-1, or `ignore_index`.
        """
        labels = labels.astype("int64").flatten()
        valid = paddle.nonzero(labels != self.ignore_index).flatten()
        if not valid.size:
            return logits.astype("float32").sum() * 0.0
        labels = paddle.gather(labels, valid)
        num_classes = logits.shape[1]
        counts = paddle.bincount(labels, minlength=num_classes).tolist()
        # (C, B * H * W), taken apart at once: the gradient of each single row would be as large as the whole.
        probs = F.softmax(logits.astype("float32"), axis=1).transpose([1, 0, 2, 3]).reshape([num_classes, -1])
        losses = [
            _lovasz_hinge(paddle.gather(class_probs, valid), labels == class_id, count=counts[class_id])
            for class_id, class_probs in enumerate(paddle.unbind(probs))
            if counts[class_id]
        ]
        return paddle.stack(losses).mean()


def _lovasz_hinge(probs: Tensor, truth: Tensor, *, count: int) -> Tensor:
    """Loss of one class.

    Args:
        probs: (P,) in [0, 1].
        truth: (P,) bool.
        count: how many are true.
    """
    errors = (truth.astype("float32") - probs).abs()
    order = _descending(errors.detach())
    return (paddle.gather(errors, order) * _jaccard_gradient(paddle.gather(truth, order), count)).sum()


def _jaccard_gradient(truth: Tensor, count: int) -> Tensor:
    """What each further wrong pixel, in this order, adds to the Jaccard loss (the paper's equation 8).

    With all wrong up to pixel k the loss is 1 - I_k / U_k. The differences are written without subtracting
    neighbours, which in float32 would leave few digits of them.
    """
    intersection = (count - paddle.cumsum(truth.astype("int64"))).astype("float32")
    union = (count + paddle.cumsum((~truth).astype("int64"))).astype("float32")
    # A pixel of the class takes one from I; another one adds one to U.
    return paddle.where(truth, 1 / union, intersection / (union * (union - 1).clip(min=1)))


def _descending(errors: Tensor) -> Tensor:
    """(P,) indices that sort `errors`, all in [0, 1], from large to small."""
    if not errors.place.is_cpu_place():
        return paddle.argsort(errors, descending=True)
    # Paddle's sort runs in one thread here. NumPy sorts plain integers with SIMD: bits of floats that are not
    # negative are in the order of their values, and the index rides along below them.
    bits = (~errors.numpy().view(np.uint32)).astype(np.uint64)
    packed = np.sort((bits << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64))
    return paddle.to_tensor((packed & np.uint64(0xFFFFFFFF)).astype(np.int64))
