"""What Mask-RT-DETR promises beyond the contract of all networks."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.mask_rt_detr import MaskRTDETR, build_mask_rt_detr_s
from paddlex.utils.errors import ShapeError

SIDE = 96


@pytest.fixture(scope="module")
def network() -> MaskRTDETR:
    paddle.seed(0)
    network = build_mask_rt_detr_s(num_classes=3, eval_size=(SIDE, SIDE))
    for parameter in network.parameters():
        parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    network.eval()
    return network


def make_image(height: int, width: int) -> paddle.Tensor:
    rng = np.random.default_rng(0)
    return paddle.to_tensor(rng.random((1, 3, height, width), dtype=np.float32))


@paddle.no_grad()
def test_detections_are_the_best_pairs_of_the_raw_outputs(network: MaskRTDETR) -> None:
    image = make_image(SIDE, SIDE)
    raw, found = network({"image": image}), network.detect(image, paddle.full([1, 2], float(SIDE)))

    probabilities = 1 / (1 + np.exp(-raw["logits"].numpy().astype(np.float64)))
    best = np.sort(probabilities.reshape(-1))[::-1][: network.num_detections]
    np.testing.assert_allclose(found["scores"][0].numpy(), best, rtol=1e-5)
    assert set(np.unique(found["class_ids"].numpy())) <= {0, 1, 2}


@pytest.mark.parametrize("size", [(SIDE, SIDE), (64, 128)], ids=["square", "oblong"])
@paddle.no_grad()
def test_masks_have_a_quarter_of_the_images_sides(network: MaskRTDETR, size: tuple[int, int]) -> None:
    raw = network({"image": make_image(*size)})

    assert list(raw["masks"].shape[2:]) == [size[0] // 4, size[1] // 4]


def test_a_size_that_the_strides_do_not_divide_is_refused_with_a_proposal(network: MaskRTDETR) -> None:
    with pytest.raises(ShapeError, match=r"100 x 96 pixels, expected multiples of 32; resize to 96 x 96"):
        network({"image": make_image(100, 96)})
