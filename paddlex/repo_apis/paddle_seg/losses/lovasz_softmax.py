"""Lovász-softmax loss (arXiv:1705.08790): a convex surrogate of the mean IoU."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
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
    if not errors.place.is_cpu_place():
        order = paddle.argsort(errors.detach(), descending=True)
        gradient = _jaccard_gradient(paddle.gather(truth, order), count, arrays=paddle)
        return (paddle.gather(errors, order) * gradient).sum()
    # On the host NumPy sorts several times faster than Paddle, and no gradient is taken through the order.
    order = _descending(errors.detach().numpy())
    gradient = np.empty(len(order), np.float32)
    gradient[order] = _jaccard_gradient(truth.numpy()[order], count, arrays=np)
    return (errors * paddle.to_tensor(gradient)).sum()


def _jaccard_gradient(truth: Any, count: int, *, arrays: ModuleType) -> Any:  # noqa: ANN401 (either's array)
    """What each further wrong pixel, in this order, adds to the Jaccard loss (the paper's equation 8).

    With all wrong up to pixel k the loss is 1 - I_k / U_k. The differences are written without subtracting
    neighbours, which in float32 would leave few digits of them.

    Args:
        truth: (P,) bool, a tensor or an array.
        count: how many are true.
        arrays: `paddle` or `numpy`, whichever `truth` belongs to.
    """
    intersection = (count - arrays.cumsum(truth.astype("int64"))).astype("float32")
    union = (count + arrays.cumsum((~truth).astype("int64"))).astype("float32")
    # A pixel of the class takes one from I; another one adds one to U.
    return arrays.where(truth, 1 / union, intersection / (union * (union - 1).clip(min=1)))


def _descending(errors: NDArray[np.float32]) -> NDArray[np.int64]:
    """(P,) indices that sort `errors`, none negative, from large to small.

    Plain integers are sorted with SIMD: bits of floats that are not negative are in the order of their
    values, and the index rides along below them.
    """
    bits = (~errors.view(np.uint32)).astype(np.uint64)
    packed = np.sort((bits << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64))
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
