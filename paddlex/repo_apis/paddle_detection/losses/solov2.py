"""Losses of SOLOv2 (arXiv:2003.10152): Dice of the masks, focal loss of the categories."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.repo_apis.paddle_detection.heads.solov2_targets import CellTargets
from paddlex.repo_apis.paddle_detection.losses.focal import sigmoid_focal_loss

__all__ = ["category_loss", "dice_loss", "mask_loss"]

_SMOOTHING = 0.001


def dice_loss(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - 2 sum(p t) / (sum(p^2) + sum(t^2)) of each row, smoothed (V-Net, arXiv:1606.04797).

    Args:
        probabilities: (N, P).
        targets: (N, P) of 0 and 1.

    Returns:
        (N,) in [0, 1].
    """
    overlap = (probabilities * targets).sum(axis=1)
    total = (probabilities**2).sum(axis=1) + (targets**2).sum(axis=1) + 2.0 * _SMOOTHING
    return 1.0 - 2.0 * overlap / total


def mask_loss(kernels: Tensor, features: Tensor, targets: Sequence[CellTargets]) -> Tensor:
    """Return the mean Dice loss over all claims of the batch whose mask is not empty.

    Args:
        kernels: (B, S, D) mask kernels of all cells.
        features: (B, D, h, w) what they are multiplied with.
        targets: one a photo.

    Returns:
        Scalar; 0 where nothing is claimed, with a gradient of zero for everything.
    """
    # Reaches every parameter, also when no photo of the batch shows an object.
    total = 0.0 * (kernels.mean() + features.mean()).astype("float32")
    count = 0
    for image, target in enumerate(targets):
        filled = (target.masks.sum(axis=(1, 2)) > 0)[target.objects]
        if not filled.any():
            continue
        cells, objects = (paddle.to_tensor(index[filled]) for index in (target.cells, target.objects))
        drawn = paddle.matmul(paddle.gather(kernels[image], cells), features[image].flatten(1))
        masks = paddle.gather(paddle.to_tensor(target.masks).flatten(1), objects).astype("float32")
        total = total + dice_loss(F.sigmoid(drawn.astype("float32")), masks).sum()
        count += int(filled.sum())
    return total / max(count, 1)


def category_loss(logits: Tensor, categories: Tensor) -> Tensor:
    """Return the focal loss of all cells over the number of claimed cells, plus one.

    Args:
        logits: (B, S, C).
        categories: (B, S) int64, class + 1 or 0 for background.
    """
    labels = F.one_hot(categories, logits.shape[2] + 1)[..., 1:]
    claimed = (categories > 0).astype("float32").sum()
    return sigmoid_focal_loss(logits, labels).sum() / (claimed + 1.0)
