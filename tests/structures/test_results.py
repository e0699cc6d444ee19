"""Detections, photos and results hold together or refuse."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.structures.masks import MaskCrops
from paddlex.structures.photo import Photo
from paddlex.structures.results import Detections, InstanceResult, label_names
from paddlex.utils.errors import ImageReadError, ShapeError


def _fields(count: int, size: tuple[int, int] = (8, 9)) -> dict:
    return {
        "boxes": np.zeros((count, 4), np.float32),
        "scores": np.zeros(count, np.float32),
        "class_ids": np.zeros(count, np.int64),
        "masks": MaskCrops.from_dense(np.ones((count, *size))),
    }


def test_empty_detections_have_a_canvas() -> None:
    nothing = Detections.empty((8, 9))
    assert len(nothing) == 0
    assert nothing.masks.size == (8, 9)


@pytest.mark.parametrize("name", ["boxes", "scores", "class_ids"])
def test_unequal_counts_are_refused(name: str) -> None:
    fields = _fields(2)
    fields[name] = fields[name][:1]
    with pytest.raises(ShapeError, match="for 2 masks"):
        Detections(**fields)


def test_result_refuses_masks_of_another_photo() -> None:
    photo = Photo(np.zeros((8, 10, 3), np.uint8))
    with pytest.raises(ShapeError, match=r"masks of size \(8, 9\) on a photo of size \(8, 10\)"):
        InstanceResult(**_fields(1), labels=("a",), photo=photo)


def test_result_refuses_missing_labels() -> None:
    photo = Photo(np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ShapeError, match="0 labels for 1 masks"):
        InstanceResult(**_fields(1), labels=(), photo=photo)


def test_released_photo_is_read_again() -> None:
    reads = []

    def read() -> np.ndarray:
        reads.append(1)
        return np.full((2, 3, 3), 7, np.uint8)

    photo = Photo(read(), read_again=read)
    assert (photo.pixels == 7).all()
    assert len(reads) == 1
    photo.release()
    assert (photo.pixels == 7).all()
    assert len(reads) == 2


def test_photo_that_cannot_be_read_again_is_kept() -> None:
    photo = Photo(np.full((2, 3, 3), 7, np.uint8))
    photo.release()
    assert (photo.pixels == 7).all()


def test_photo_that_changed_meanwhile_is_refused() -> None:
    photo = Photo(np.zeros((2, 3, 3), np.uint8), read_again=lambda: np.zeros((5, 3, 3), np.uint8))
    photo.release()
    with pytest.raises(ImageReadError, match="predict it again"):
        _ = photo.pixels


def test_class_beyond_the_names_is_named_by_its_number() -> None:
    assert label_names(np.array([1, 0, 5]), class_names=["fig", "date"]) == ("date", "fig", "class 5")
