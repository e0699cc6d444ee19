"""Pairs of the denoising queries."""

import numpy as np
import paddle

from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, DenoisingMeta
from paddlex.repo_apis.paddle_detection.matching.pairs import pair_denoising_queries


def test_every_copy_meets_its_object_and_padding_meets_none() -> None:
    objects = BatchObjects(
        counts=[2, 0, 3],
        boxes=paddle.zeros([5, 4]),
        class_ids=np.zeros(5, np.int64),
        masks=paddle.zeros([5, 4, 4], dtype="uint8"),
    )
    pairs = pair_denoising_queries(DenoisingMeta(num_groups=2, group_size=3), objects, num_layers=2)

    assert pairs.images.tolist() == [0, 0, 0, 0, 2, 2, 2, 2, 2, 2]
    assert pairs.queries.tolist() == [[0, 1, 3, 4, 0, 1, 2, 3, 4, 5]] * 2
    assert pairs.objects.tolist() == [[0, 1, 0, 1, 2, 3, 4, 2, 3, 4]] * 2
