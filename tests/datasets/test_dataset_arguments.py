"""Names, order and defaults of every data set's arguments are those of the documents of PaddleX 1 and 2."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

from paddlex import datasets

NEEDED = inspect.Parameter.empty
_LOADING = {"transforms": None, "num_workers": "auto", "shuffle": False}
_EMPTY = {"allow_empty": False, "empty_ratio": 1.0}
_LISTS = {"data_dir": NEEDED, "file_list": NEEDED, "label_list": NEEDED}
_OWN_LISTS = {"data_dir": NEEDED, "file_list": None, "label_list": None}
_BUFFERED = {
    "transforms": None,
    "num_workers": "auto",
    "buffer_size": 100,
    "parallel_method": "process",
    "shuffle": False,
}

DOCUMENTED: dict[str, dict[str, Any]] = {
    "CocoDetection": {"data_dir": NEEDED, "ann_file": NEEDED, **_LOADING, **_EMPTY},
    "VOCDetection": {**_LISTS, **_LOADING, **_EMPTY},
    "SegDataset": {**_LISTS, "label_list": None, **_LOADING},
    "EasyDataDet": {**_LISTS, **_BUFFERED},
    "EasyDataSeg": {**_LISTS, **_BUFFERED},
    "LabelMeDetection": {**_OWN_LISTS, **_LOADING, **_EMPTY},
    "LabelMeSeg": {**_OWN_LISTS, **_LOADING},
}


def test_every_name_is_documented() -> None:
    assert set(datasets.__all__) == DOCUMENTED.keys()
    assert all(getattr(datasets, name).__doc__ for name in datasets.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'ImageNet'; it has CocoDetection, "):
        datasets.ImageNet  # noqa: B018


@pytest.mark.parametrize("name", DOCUMENTED)
def test_arguments_are_those_of_the_documents(name: str) -> None:
    parameters = inspect.signature(getattr(datasets, name)).parameters.values()
    found = {one.name: one.default for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    assert found == DOCUMENTED[name]
    assert list(found) == list(DOCUMENTED[name])


def test_negative_samples_have_the_documented_arguments() -> None:
    for name in ("CocoDetection", "VOCDetection"):
        parameters = inspect.signature(getattr(datasets, name).add_negative_samples).parameters
        assert {one.name: one.default for one in parameters.values()} == {
            "self": NEEDED,
            "image_dir": NEEDED,
            "empty_ratio": 1,
        }


def test_data_sets_and_transforms_need_no_paddle() -> None:
    statements = [
        "import sys, paddlex as pdx",
        *(f"pdx.datasets.{name}" for name in datasets.__all__),
        "pdx.transforms.Compose, pdx.transforms.Resize, pdx.det.transforms, pdx.seg.transforms",
        "print('paddle' in sys.modules, 'matplotlib' in sys.modules)",
    ]
    out = subprocess.check_output([sys.executable, "-c", "\n".join(statements)], text=True)
    assert out.split() == ["False", "False"]
