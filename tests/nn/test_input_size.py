"""Sizes that a network accepts."""

import pytest

from paddlex.nn.input_size import require_multiples
from paddlex.utils.errors import ShapeError


def test_multiples_of_the_stride_pass() -> None:
    require_multiples((64, 96), stride=32)


@pytest.mark.parametrize(("size", "nearest"), [((100, 96), "96 x 96"), ((5, 63), "32 x 64")])
def test_other_sizes_are_refused_with_the_nearest_one(size: tuple[int, int], nearest: str) -> None:
    with pytest.raises(ShapeError, match=f"expected multiples of 32; resize to {nearest}"):
        require_multiples(size, stride=32)
