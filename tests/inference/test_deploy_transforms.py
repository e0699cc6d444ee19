"""The official list of transforms, to and fro."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.deploy_transforms import operations_from_transforms, transforms_from_operations
from paddlex.modules.inference_config import preprocess_operations
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.utils.errors import FileFormatError

FILE = Path("inference.yml")
HALVES = [0.5, 0.5, 0.5]
NORMALIZE = {"type": "NormalizeImage", "is_scale": True, "mean": HALVES, "std": HALVES}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("short_side", [None, 96])
def test_what_is_written_is_read_back(name: str, short_side: int | None) -> None:
    operations = preprocess_operations(MODELS[name], short_side=short_side)
    read = operations_from_transforms(FILE, transforms_from_operations(operations))
    assert list(read) == operations


@pytest.mark.parametrize("transforms", [None, [], [{"type": "Normalize"}]], ids=str)
def test_without_transforms_values_are_normalised_by_halves(transforms: object) -> None:
    assert operations_from_transforms(FILE, transforms) == (NORMALIZE, {"type": "Permute"})


def test_official_sizes_have_the_width_first() -> None:
    transforms = [{"type": "Resize", "target_size": [64, 32]}, {"type": "Normalize", "mean": HALVES}]
    operations = operations_from_transforms(FILE, transforms)
    assert operations[0]["target_size"] == [32, 64]
    assert Preprocessor(operations).input_size == (32, 64)


@pytest.mark.parametrize(
    ("transforms", "fault"),
    [
        ("Normalize", r"inference\.yml: Deploy\.transforms: expected a list, found 'Normalize'"),
        (
            [{"type": "WarpAffine"}],
            r"Deploy\.transforms\[0\]: found .*'WarpAffine'.*; expected one of",
        ),
        (["Normalize"], r"Deploy\.transforms\[0\]: found 'Normalize'"),
    ],
    ids=["no list", "unknown", "no mapping"],
)
def test_what_cannot_be_read_is_named(transforms: object, fault: str) -> None:
    with pytest.raises(FileFormatError, match=fault):
        operations_from_transforms(FILE, transforms)
