"""The chain of `inference.yml` against numbers recorded from the official operators."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.structures.moves import restore_labels
from paddlex.utils.errors import ConfigError, ShapeError

GOLDEN = Path(__file__).parents[2] / "parity" / "engine"
RECORDED = json.loads((GOLDEN / "preprocess.json").read_text(encoding="utf-8"))
# One grey level between OpenCV builds, after normalisation (see "tolerance" in the file).
ONE_LEVEL = 0.0175

FIXED = {"type": "Resize", "target_size": [640, 640], "keep_ratio": False, "interp": 2}
UNIT = {"type": "NormalizeImage", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "norm_type": "none"}
KEEP = {"type": "Resize", "target_size": [800, 1333], "keep_ratio": True, "interp": 2}
IMAGENET = {
    "type": "NormalizeImage",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "is_scale": True,
}
PERMUTE = {"type": "Permute"}
CHAINS = {
    "fixed_640_cubic": [FIXED, UNIT, PERMUTE],
    "rcnn_fpn": [KEEP, IMAGENET, PERMUTE, {"type": "PadStride", "stride": 32}],
    "rcnn_c4": [KEEP, IMAGENET, PERMUTE, {"type": "PadStride", "stride": -1}],
    "solov2": [IMAGENET, {**KEEP, "interp": 1}, PERMUTE, {"type": "PadStride", "stride": 32}],
}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    tiny = np.random.RandomState(5).randint(0, 256, (10, 14, 3)).astype(np.uint8)
    return cv2.resize(tiny, (150, 97), interpolation=cv2.INTER_LINEAR)


def test_photo_is_the_recorded_one(photo):
    assert hashlib.sha256(photo.tobytes()).hexdigest() == RECORDED["image_sha256"]


@pytest.mark.parametrize("name", CHAINS)
def test_chain_equals_the_official_operators(name, photo):
    golden = RECORDED["chains"][name]
    stored = np.load(GOLDEN / "preprocess.npz")
    found = Preprocessor(CHAINS[name])(photo)
    assert [1, *found["image"].shape] == golden["image_shape"]
    assert str(found["image"].dtype) == golden["dtype"]
    assert found["im_shape"].tolist() == golden["im_shape"]
    np.testing.assert_allclose(found["scale_factor"], golden["scale_factor"], rtol=1e-7)
    flat = found["image"].reshape(-1)
    values = flat[np.linspace(0, flat.size - 1, 1024).astype(np.int64)]
    np.testing.assert_allclose(values, stored[f"{name}/values"], atol=ONE_LEVEL)
    np.testing.assert_allclose(flat.mean(), stored[f"{name}/mean"], atol=1e-4)
    np.testing.assert_allclose(flat.std(), stored[f"{name}/std"], atol=1e-4)


def test_input_size_is_known_only_when_fixed():
    assert Preprocessor(CHAINS["fixed_640_cubic"]).input_size == (640, 640)
    assert Preprocessor(CHAINS["rcnn_fpn"]).input_size is None


def test_photo_stays_as_it_was(photo):
    before = photo.copy()
    Preprocessor(CHAINS["solov2"])(photo)
    np.testing.assert_array_equal(photo, before)


def test_official_pad_counts_channels(photo):
    chain = [UNIT, PERMUTE, {"type": "Pad", "size": [3, 160, 160], "fill_value": [0.5, 0.5, 0.5]}]
    found = Preprocessor(chain)(photo)
    assert found["image"].shape == (3, 160, 160)
    assert found["image"][:, -1, -1].tolist() == [0.5, 0.5, 0.5]
    assert found["im_shape"].tolist() == [97, 150]


def test_stack_joins_equal_sizes_and_refuses_others(photo):
    fixed, free = Preprocessor(CHAINS["fixed_640_cubic"]), Preprocessor(CHAINS["rcnn_c4"])
    batch = Preprocessor.stack([fixed(photo), fixed(photo[:50])])
    assert batch["image"].shape == (2, 3, 640, 640)
    assert batch["scale_factor"].shape == batch["im_shape"].shape == (2, 2)
    with pytest.raises(ShapeError, match="use batch_size 1"):
        Preprocessor.stack([free(photo), free(photo[:50])])


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ([{"type": "WarpAffine"}], r"inference.yml\[0\]: unknown operation 'WarpAffine'"),
        ([FIXED, "Permute"], r"inference.yml\[1\]: unknown operation None"),
        ([FIXED, UNIT], "Permute is missing"),
        ([FIXED, PERMUTE], "NormalizeImage is missing"),
        ([{**FIXED, "interp": 7}, UNIT, PERMUTE], r"inference.yml\[0\].Resize.interp: found 7"),
        ([{**FIXED, "size": 7}, UNIT, PERMUTE], r"Resize.size: unknown parameter; known: target_size"),
    ],
    ids=["unknown", "no_mapping", "no_permute", "no_normalize", "bad_value", "bad_name"],
)
def test_bad_chain_is_refused_with_its_place(chain, message):
    with pytest.raises(ConfigError, match=message):
        Preprocessor(chain, where="inference.yml")


def test_a_prepared_photo_knows_the_way_back() -> None:
    chain = [
        {"type": "ResizeByLong", "long_size": 32},
        {"type": "Padding", "target_size": [32, 32]},
        {"type": "NormalizeImage", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"type": "Permute"},
    ]
    prepared = Preprocessor(chain).prepare(np.zeros((48, 64, 3), np.uint8))
    assert prepared.image.shape == (3, 32, 32)
    assert restore_labels(np.zeros((32, 32), np.uint8), prepared.moves).shape == (48, 64)
