"""The mask costs of `mask_costs` for the CPU.

Points are compared a block at a time for all queries, so that their logits stay in the processor's cache.
"""

import math
from typing import cast

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from scipy.sparse import csr_matrix

from paddlex.nn.host_threads import share_among_threads
from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix
from paddlex.nn.softplus import softplus_sums

__all__ = ["mask_costs_cpu"]

Array = NDArray[np.float32]

_POINTS_IN_CACHE = 256


def mask_costs_cpu(
    embeds: Tensor, prototypes: Tensor, masks: Tensor, *, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute what `mask_costs.mask_costs` does; the arguments are the same."""
    places = points.numpy()
    number, height, width = prototypes.shape
    blocks = [
        bilinear_matrix(places[start : start + _POINTS_IN_CACHE], size=(height, width))
        for start in range(0, len(places), _POINTS_IN_CACHE)
    ]
    targets = BinaryMaskSampler(masks.numpy()).sample(np.arange(masks.shape[0]), places)
    labels: Array = np.concatenate([targets, np.ones((1, len(places)), np.float32)])
    maps = np.pad(prototypes.numpy(), ((0, 0), (1, 1), (1, 1))).reshape(number, -1).T
    # Sampling the masks costs less than forming them at each point, where points outnumber pixels.
    by_map = maps.shape[0] < len(places)
    columns = paddle.to_tensor(maps.copy() if by_map else np.concatenate([block @ maps for block in blocks]))
    bce, dice = [], []
    for layer in embeds:
        logits = cast(Array, np.from_dlpack(paddle.matmul(columns, layer, transpose_y=True)))
        softplus, overlap, products = _sums(logits, labels, blocks if by_map else None)
        bce.append((softplus - overlap[:-1]) / np.float32(len(places)))
        # The probability is (1 + tanh(z / 2)) / 2.
        sums = (products + labels.sum(1, keepdims=True)) * np.float32(0.5)
        dice.append(1 - (2 * sums[:-1] + 1) / (sums[-1] + targets.sum(1, keepdims=True) + 1))
    bce, dice = (np.stack(part).swapaxes(1, 2) for part in (bce, dice))
    return paddle.to_tensor(bce), paddle.to_tensor(dice)


def _sums(logits: Array, labels: Array, blocks: list[csr_matrix] | None) -> tuple[Array, Array, Array]:
    """Return the sums over the points of softplus(z), and of z and tanh(z / 2) times each label.

    Args:
        logits: (pixels, Q), or (K, Q).
        labels: (n, K).
        blocks: the points' sampling matrices in order, (_POINTS_IN_CACHE, pixels); None if the logits are
            sampled already.

    Returns:
        (Q,), (n, Q) and (n, Q).
    """
    num_labels, count = labels.shape
    num_queries, num_blocks = logits.shape[1], math.ceil(count / _POINTS_IN_CACHE)
    softplus = np.empty((num_blocks, num_queries), np.float32)
    products = np.empty((num_blocks, 2, num_labels, num_queries), np.float32)

    def add(share: range) -> None:
        tanh = np.empty((_POINTS_IN_CACHE, num_queries), np.float32)
        for index in share:
            rows = slice(index * _POINTS_IN_CACHE, (index + 1) * _POINTS_IN_CACHE)
            sampled = logits[rows] if blocks is None else blocks[index] @ logits
            part = np.multiply(sampled, np.float32(0.5), out=tanh[: len(sampled)])
            np.tanh(part, out=part)
            np.matmul(labels[:, rows], sampled, out=products[index, 0])
            np.matmul(labels[:, rows], part, out=products[index, 1])
            softplus[index] = softplus_sums(sampled, part)

    share_among_threads(add, num_blocks)
    overlap, of_tanh = products.sum(0)
    return softplus.sum(0), overlap, of_tanh
