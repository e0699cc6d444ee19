"""Matched pairs of queries and objects, and those that denoising fixes beforehand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, DenoisingMeta

__all__ = ["MatchedPairs", "pair_denoising_queries"]

Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MatchedPairs:
    """M pairs in each of L layers, in the order of the images.

    All layers have the same M: an image with n objects gives min(n, Q) pairs, whatever the layer.

    Attributes:
        images: (M,) index of the image.
        queries: (L, M) index of the query within its image.
        objects: (L, M) index of the object within the batch.
    """

    images: Index
    queries: Index
    objects: Index

    def __len__(self) -> int:
        return len(self.images)


def pair_denoising_queries(meta: DenoisingMeta, objects: BatchObjects, *, num_layers: int) -> MatchedPairs:
    """Return the pairs of the denoising queries: every copy with its own object, group by group."""
    images, queries, indices = [], [], []
    for image, (count, offset) in enumerate(zip(objects.counts, objects.offsets, strict=False)):
        group, slot = np.divmod(np.arange(meta.num_groups * count), max(count, 1))
        images.append(np.full(len(slot), image))
        queries.append(group * meta.group_size + slot)
        indices.append(offset + slot)
    shape = (num_layers, sum(map(len, images)))
    return MatchedPairs(
        images=np.concatenate(images).astype(np.int64),
        queries=np.broadcast_to(np.concatenate(queries).astype(np.int64), shape),
        objects=np.broadcast_to(np.concatenate(indices).astype(np.int64), shape),
    )
