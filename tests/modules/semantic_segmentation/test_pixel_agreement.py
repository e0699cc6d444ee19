"""Rounding may decide between classes that the network holds for equal; nothing else may."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.modules.semantic_segmentation.agreement import compare_pixels, summarise_pixels

# Three pixels: sure of class 0, sure of class 1, in doubt between both.
LOGITS = np.array([[[10.0, 0.0, 5.0]], [[0.0, 10.0, 5.001]]], np.float32)


@pytest.mark.parametrize(
    ("classes", "differing", "wrong"),
    [([0, 1, 1], 0, 0), ([0, 1, 0], 1 / 3, 0), ([1, 1, 1], 1 / 3, 1 / 3)],
    ids=["equal", "rounding", "wrong"],
)
def test_compare_pixels(classes: list[int], differing: float, wrong: float) -> None:
    found = compare_pixels(LOGITS, np.array([classes], np.int32))
    assert (found.pixels, found.differing, found.wrong) == pytest.approx((3, differing, wrong))
    assert found.problems() == (["33.33% of the pixels have another class"] if wrong else [])


def test_each_pixel_weighs_alike() -> None:
    small = compare_pixels(LOGITS[:, :, :1], np.array([[1]], np.int32))
    large = compare_pixels(LOGITS, np.array([[0, 1, 1]], np.int32))
    assert summarise_pixels([small, large]).to_json() == pytest.approx(
        {"pixels": 4, "differing": 0.25, "wrong": 0.25, "far_wrong": 0.25}
    )


@pytest.mark.parametrize(
    ("noise", "far_wrong"), [(0.0, 1 / 3), (4.9, 1 / 3), (5.1, 0.0)], ids=["none", "little", "much"]
)
def test_integer_graphs_may_differ_where_quantisation_changed_more(noise: float, far_wrong: float) -> None:
    """Class 0 is 10 behind where it was chosen; two logits that moved by 5.1 each could do that."""
    found = compare_pixels(LOGITS, np.array([[0, 0, 1]], np.int32), noise=noise)
    assert found.far_wrong == pytest.approx(far_wrong)
    assert found.problems() == ["33.33% of the pixels have another class"]
    expected = ["33.33% of the pixels have quite another class, limit 2%"] if far_wrong else []
    assert found.problems(quantized=True) == expected
