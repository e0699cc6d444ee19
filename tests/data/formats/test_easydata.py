"""EasyData files: what is written is read back; masks are painted in their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paddlex.data.formats.easydata import EasyDataObject, easydata_label_map, read_easydata, write_easydata
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import FileFormatError

HEIGHT, WIDTH = 20, 30
CLASS_IDS = {"background": 0, "leaf": 1, "stem": 2}


def counts(y1: int, x1: int, y2: int, x2: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    """Run lengths of a rectangle."""
    mask = np.zeros((1, *size), bool)
    mask[0, y1:y2, x1:x2] = True
    text = MaskCrops.from_dense(mask).to_rles()[0]["counts"]
    assert isinstance(text, str)
    return text


def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    return path


def written(folder: Path, labels: Any) -> Path:
    path = folder / "photo.json"
    path.write_text(json.dumps({"labels": labels}))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    objects = (
        EasyDataObject("叶", (1.5, 2, 9, 8), counts(2, 2, 9, 9)),
        EasyDataObject("box", (0, 0, 5, 5)),
        EasyDataObject("mask", None, counts(0, 0, 3, 3)),
    )
    write_easydata(tmp_path / "photo.json", objects)
    assert read_easydata(tmp_path / "photo.json") == objects


def test_what_is_listed_later_covers_what_was_before(tmp_path: Path) -> None:
    labels = [{"name": "leaf", "mask": counts(0, 0, 10, 10)}, {"name": "stem", "mask": counts(5, 5, 15, 15)}]
    label_map = easydata_label_map(written(tmp_path, labels), photo(tmp_path), class_ids=CLASS_IDS)
    assert label_map.shape == (HEIGHT, WIDTH) and label_map.dtype == np.uint8
    assert (label_map[4, 4], label_map[6, 6], label_map[14, 14], label_map[16, 16]) == (1, 2, 2, 0)
    assert np.bincount(label_map.ravel()).tolist() == [600 - 175, 75, 100]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (3, "no list `labels`; expected an EasyData annotation"),
        ([5], "object 1: found int, expected an object with a name"),
        ([{"mask": counts(0, 0, 1, 1)}], "object 1: found the name 'None', expected a class"),
        ([{"name": "leaf"}], "object 1: neither mask nor x1, y1, x2, y2"),
        ([{"name": "leaf", "x1": 3}], "object 1: found the corners"),
        ([{"name": "leaf", "x1": 3, "y1": "a", "x2": 4, "y2": 5}], "object 1: found the corners"),
        ([{"name": "leaf", "mask": [1, 2]}], "object 1: found a mask of list, expected run lengths as text"),
        ([{"name": "tree", "mask": counts(0, 0, 1, 1)}], "label 'tree' is not in the list of labels"),
        ([{"name": "leaf", "x1": 0, "y1": 0, "x2": 4, "y2": 4}], "object 1: only a box; classes of pixels"),
        (
            [{"name": "leaf", "mask": counts(0, 0, 3, 3, size=(40, 40))}],
            "object 1: RLE whose runs do not add up to its size",
        ),
        ([{"name": "leaf", "mask": "\x7f~~"}], "object 1: RLE counts that cannot be decoded"),
    ],
    ids=range(11),
)
def test_faulty_files_give_one_line(tmp_path: Path, labels: Any, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        easydata_label_map(written(tmp_path, labels), photo(tmp_path), class_ids=CLASS_IDS)
    assert "\n" not in str(caught.value)
