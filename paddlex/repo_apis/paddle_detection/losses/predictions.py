"""What a query network hands to its criterion."""

from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor

from paddlex.repo_apis.paddle_detection.losses.ground_truth import require_class_ids
from paddlex.utils.errors import ShapeError

__all__ = ["BatchObjects", "DenoisingMeta", "QueryPredictions", "Targets"]


@dataclass(frozen=True, kw_only=True)
class QueryPredictions:
    """Predictions of all layers, the main (last) one included.

    The mask logits of a query are the inner product of its embedding with the prototypes. They are never
    computed for all queries: every consumer forms only the part it needs.

    Attributes:
        logits: (L, B, Q, C) class logits.
        boxes: (L, B, Q, 4) cxcywh, fractions of the image.
        mask_embeds: (L, B, Q, P).
        prototypes: (B, P, h, w).

    Raises:
        ShapeError: if the four do not fit together.
    """

    logits: Tensor
    boxes: Tensor
    mask_embeds: Tensor
    prototypes: Tensor

    def __post_init__(self) -> None:
        lead = list(self.logits.shape[:3])
        batch, width = self.prototypes.shape[:2]
        fits = (
            list(self.boxes.shape) == [*lead, 4]
            and list(self.mask_embeds.shape) == [*lead, width]
            and lead[1] == batch
        )
        if not fits:
            raise ShapeError(
                "query predictions: expected logits (L, B, Q, C), boxes (L, B, Q, 4), mask_embeds "
                f"(L, B, Q, P) and prototypes (B, P, h, w), got {self.logits.shape}, {self.boxes.shape}, "
                f"{self.mask_embeds.shape} and {self.prototypes.shape}"
            )

    def float(self) -> "QueryPredictions":
        """Return the predictions in float32, whatever mixed precision made of them."""
        return QueryPredictions(
            logits=self.logits.astype("float32"),
            boxes=self.boxes.astype("float32"),
            mask_embeds=self.mask_embeds.astype("float32"),
            prototypes=self.prototypes.astype("float32"),
        )

    def detach(self) -> "QueryPredictions":
        """Return the same values without gradient."""
        return QueryPredictions(
            logits=self.logits.detach(),
            boxes=self.boxes.detach(),
            mask_embeds=self.mask_embeds.detach(),
            prototypes=self.prototypes.detach(),
        )


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Ground truth of a batch, one entry per image; an image may have no object.

    Attributes:
        boxes: per image (n, 4) float32 cxcywh, fractions of the image.
        class_ids: per image (n,) int64, contiguous from 0.
        masks: per image (n, S, S) uint8 with values 0 and 1, at the size of the network input.
    """

    boxes: list[Tensor]
    class_ids: list[Tensor]
    masks: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class DenoisingMeta:
    """Layout of the denoising queries (DN-DETR, arXiv:2203.01305).

    Query `group * group_size + k` of an image is the noised copy of its object k; slots with k beyond the
    image's own number of objects are padding.

    Attributes:
        num_groups: copies of each object.
        group_size: largest number of objects of an image of the batch.
    """

    num_groups: int
    group_size: int


@dataclass(frozen=True, kw_only=True)
class BatchObjects:
    """The objects of all images of a batch in one row, T in total.

    Attributes:
        counts: objects of each image.
        boxes: (T, 4) float32 cxcywh.
        class_ids: (T,) int64 on the host.
        masks: (T, S, S) uint8.
    """

    counts: list[int]
    boxes: Tensor
    class_ids: NDArray[np.int64]
    masks: Tensor

    @property
    def total(self) -> int:
        """Number of objects T."""
        return len(self.class_ids)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(B + 1,) index of each image's first object, then T."""
        return np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)

    @classmethod
    def from_targets(cls, targets: Targets, *, num_classes: int) -> "BatchObjects":
        """Join the images' objects after checking them.

        Raises:
            ShapeError: if an image's boxes, class ids and masks differ in number.
            DatasetError: if a class id is outside [0, num_classes).
        """
        counts = [int(ids.shape[0]) for ids in targets.class_ids]
        for image, (count, boxes, masks) in enumerate(zip(counts, targets.boxes, targets.masks, strict=True)):
            if list(boxes.shape) != [count, 4] or masks.ndim != 3 or masks.shape[0] != count:
                raise ShapeError(
                    f"targets of image {image} of the batch: {count} class ids, boxes {boxes.shape}, masks "
                    f"{masks.shape}; expected boxes ({count}, 4) and masks ({count}, S, S)"
                )
        class_ids = paddle.concat([ids.astype("int64") for ids in targets.class_ids]).numpy()
        require_class_ids(class_ids, num_classes=num_classes)
        filled = [image for image, count in enumerate(counts) if count] or [0]
        return cls(
            counts=counts,
            boxes=paddle.concat(targets.boxes).astype("float32"),
            class_ids=class_ids,
            # An image without objects may carry masks of size 0 x 0, which do not concatenate.
            masks=paddle.concat([targets.masks[image] for image in filled]),
        )
