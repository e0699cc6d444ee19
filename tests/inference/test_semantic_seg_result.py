"""The classes of a photo's pixels as dict, text, picture and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from paddlex.data.formats.index_mask import read_mask
from paddlex.inference.semantic_result import SemanticSegResult
from paddlex.structures.photo import Photo
from paddlex.utils.errors import ShapeError
from paddlex.utils.palette import mask_palette

SIZE = (40, 60)


def build(**options: Any) -> SemanticSegResult:
    """The upper half is class 0, of the lower half ten columns are class 2."""
    label_map = np.zeros(SIZE, np.int32)
    label_map[20:, :10] = 2
    fields = {
        "label_map": label_map,
        "class_names": ("背景", "leaf"),
        "input_path": "photos/a.jpg",
        **options,
    }
    return SemanticSegResult(photo=Photo(np.full((*SIZE, 3), 100, np.uint8)), **fields)


def test_keys_are_those_of_paddlex_and_the_maps() -> None:
    found = build()
    assert list(found.keys()) == ["input_path", "page_index", "input_img", "pred", "label_map"]
    assert found["pred"][0] is found["label_map"]
    scored = build(score_map=np.ones((*SIZE, 3), np.float32))
    assert scored["score_map"].shape == (*SIZE, 3)
    with pytest.raises(KeyError, match="a result has input_path"):
        _ = found["score_map"]


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"map of \(3, 4\) on a photo of \(40, 60\)"):
        build(label_map=np.zeros((3, 4), np.int32))


def test_printing_leaves_the_map_out(capsys: pytest.CaptureFixture[str]) -> None:
    build().print()
    printed = capsys.readouterr().out
    assert "'pred': '...'" in printed and "'label': '背景', 'pixels': 2200" in printed


def test_json_has_run_lengths_of_each_class_that_occurs(tmp_path: Path) -> None:
    path = build().save_to_json(tmp_path)
    assert path.name == "a_res.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["size"] == list(SIZE)
    assert [(c["class_id"], c["label"], c["pixels"]) for c in content["classes"]] == [
        (0, "背景", 2200),
        (2, "class 2", 200),
    ]
    mask = coco_mask.decode(content["classes"][1]["segmentation"]).astype(bool)
    assert mask[20:, :10].all() and mask.sum() == 200


def test_json_holds_the_nested_lists_of_paddlex_on_demand(tmp_path: Path) -> None:
    path = build().save_to_json(tmp_path / "x.json", labels="dense")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert np.array_equal(content["pred"], [build().label_map])


def test_palette_png_can_be_trained_on(tmp_path: Path) -> None:
    path = build().save_to_palette(tmp_path)
    assert path.name == "a_mask.png"
    assert np.array_equal(read_mask(path), build().label_map)
    with Image.open(path) as image:
        assert image.mode == "P" and image.convert("RGB").getpixel((0, 0)) == tuple(mask_palette()[0])


def test_drawing_tints_the_photo_and_names_the_classes_beside_it() -> None:
    drawn = build().drawing
    colors = mask_palette().astype(float)
    assert drawn.shape[0] == SIZE[0] and drawn.shape[1] > SIZE[1]
    np.testing.assert_allclose(drawn[5, 5], 0.6 * 100 + 0.4 * colors[0], atol=1)
    np.testing.assert_allclose(drawn[30, 5], 0.6 * 100 + 0.4 * colors[2], atol=1)
    legend = drawn[:, SIZE[1] :].reshape(-1, 3)
    for class_id in (0, 2):
        assert (legend == mask_palette()[class_id]).all(axis=1).any()


def test_all_files_of_a_photo(tmp_path: Path) -> None:
    names = [path.name for path in build().save_all(tmp_path)]
    assert names == ["a_res.jpg", "a_mask.png", "a_res.json"]
