"""Checks of the size of network inputs."""

from paddlex.utils.errors import ShapeError

__all__ = ["require_multiples"]


def require_multiples(size: tuple[int, int], *, stride: int) -> None:
    """Refuse inputs whose features would not fit one another.

    Args:
        size: (height, width), pixels.
        stride: largest stride of the features.

    Raises:
        ShapeError: if a side is not a multiple of `stride`; proposes the nearest size that is.
    """
    height, width = size
    if height % stride or width % stride:
        nearest = [max(1, round(side / stride)) * stride for side in size]
        raise ShapeError(
            f"network input is {height} x {width} pixels, expected multiples of {stride}; "
            f"resize to {nearest[0]} x {nearest[1]}"
        )
