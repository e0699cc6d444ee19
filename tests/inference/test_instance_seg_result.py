"""A result as dict, text, picture and files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from paddlex.data.formats.labelme import read_labelme
from paddlex.inference.results import InstanceSegResult
from paddlex.structures.masks import MaskCrops
from paddlex.structures.photo import Photo
from paddlex.utils.errors import UsageError

SIZE = (40, 60)


def _result(**options) -> InstanceSegResult:
    dense = np.zeros((2, *SIZE), bool)
    dense[0, 10:20, 5:25] = True
    dense[0, 12:14, 8:10] = False  # a hole
    dense[1, 25:35, 30:50] = True
    pixels = options.pop("pixels", np.full((*SIZE, 3), (10, 20, 200), np.uint8))
    return InstanceSegResult(
        boxes=np.array([[4.4, 9.5, 25.6, 20.4], [30, 25, 50, 35]], np.float32),
        scores=np.array([0.875, 0.5], np.float32),
        class_ids=np.array([1, 0]),
        masks=MaskCrops.from_dense(dense),
        labels=("榛子", "fig"),
        photo=Photo(pixels),
        **options,
    )


@pytest.fixture
def result(tmp_path: Path) -> InstanceSegResult:
    path = tmp_path / "photos" / "照片 1.jpg"
    path.parent.mkdir()
    Image.new("RGB", SIZE[::-1], (10, 20, 200)).save(path)
    return _result(input_path=str(path))


# ---------------------------------------------------------------- dict


def test_keys_are_those_of_paddlex_3_7(result: InstanceSegResult) -> None:
    # Fixture peer_3_7_2.json: key_order.
    assert list(result.keys()) == ["input_path", "page_index", "input_img", "boxes", "masks"]
    assert set(dict(result)) == set(result.keys())


def test_boxes_are_dicts(result: InstanceSegResult) -> None:
    first = result["boxes"][0]
    assert list(first) == ["cls_id", "label", "score", "coordinate"]
    assert (first["cls_id"], first["label"], first["score"]) == (1, "榛子", 0.875)
    assert first["coordinate"] == pytest.approx([4.4, 9.5, 25.6, 20.4])


def test_masks_are_cut_at_the_half_even_rounded_boxes(result: InstanceSegResult) -> None:
    first, second = result["masks"]
    assert first.dtype == np.int32
    assert first.shape == (20 - 10, 26 - 4)  # 9.5 rounds to 10
    assert first.sum() == 10 * 20 - 4
    assert first[:, 0].sum() == 0
    assert first[2, 4] == 0  # the hole at (12, 8)
    assert second.shape == (10, 20)
    assert second.all()


def test_input_img_is_bgr(result: InstanceSegResult) -> None:
    assert result["input_img"][0, 0].tolist() == [200, 20, 10]
    assert result.image[0, 0].tolist() == [10, 20, 200]


def test_unknown_key_names_the_keys(result: InstanceSegResult) -> None:
    with pytest.raises(KeyError, match="boxes, masks"):
        result["mask"]


# ---------------------------------------------------------------- text


def test_json_holds_run_lengths_on_the_whole_photo(result: InstanceSegResult) -> None:
    content = json.loads(json.dumps(result.json))["res"]
    assert list(content) == ["input_path", "page_index", "boxes", "masks"]
    assert content["masks"][0]["size"] == list(SIZE)
    decoded = np.stack([coco_mask.decode(rle) for rle in content["masks"]])
    assert np.array_equal(decoded, result.masks.to_dense())


def test_print_goes_to_standard_output_without_masks(result: InstanceSegResult, capsys) -> None:
    result.print()
    plain = capsys.readouterr().out
    result.print(json_format=True)
    laid_out = json.loads(capsys.readouterr().out)
    assert plain.startswith("{'res': {'input_path': ")
    assert "榛子" in plain
    assert laid_out["res"]["masks"] == "..."
    assert result.str + "\n" == plain


def test_print_can_escape(result: InstanceSegResult, capsys) -> None:
    result.print(json_format=True, ensure_ascii=True)
    assert capsys.readouterr().out.isascii()


# ---------------------------------------------------------------- files


def test_folder_gets_the_names_of_paddlex_3_7(result: InstanceSegResult, tmp_path: Path) -> None:
    result.save_all(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["照片 1_res.jpg", "照片 1_res.json"]


def test_file_names_are_taken_as_they_are(result: InstanceSegResult, tmp_path: Path) -> None:
    assert result.save_to_json(tmp_path / "r.JSON") == tmp_path / "r.JSON"
    assert result.save_to_img(tmp_path / "deep" / "x.PNG") == tmp_path / "deep" / "x.PNG"
    assert json.loads((tmp_path / "r.JSON").read_text(encoding="utf-8"))["boxes"][0]["label"] == "榛子"


def test_saved_picture_is_the_drawing(result: InstanceSegResult, tmp_path: Path) -> None:
    saved = np.asarray(Image.open(result.save_to_img(tmp_path / "x.png")))
    assert np.array_equal(saved, np.asarray(result.img))
    assert not np.array_equal(saved, result.image)


def test_picture_of_an_unknown_kind_is_refused(result: InstanceSegResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.gif: cannot write \.gif"):
        result.save_to_img(tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"input_path": "a/scan.pdf", "page_index": 3}, "scan_3_res.png"),
        ({"input_path": "film.mp4", "frame_index": 12}, "film_12_res.png"),
        ({"input_path": "a.tif"}, "a_res.tif"),
    ],
    ids=["page", "frame", "photo"],
)
def test_names_of_pages_and_frames_carry_their_number(options: dict, expected: str, tmp_path: Path) -> None:
    assert _result(**options).save_to_img(tmp_path).name == expected


def test_result_of_an_array_gets_one_name_for_all_its_files(tmp_path: Path) -> None:
    picture, text = _result().save_all(tmp_path)
    assert picture.suffix == ".png"
    assert picture.stem == text.stem


def test_dense_masks_on_demand(result: InstanceSegResult, tmp_path: Path) -> None:
    content = json.loads(result.save_to_json(tmp_path / "r.json", masks="dense").read_text(encoding="utf-8"))
    assert np.array_equal(np.array(content["masks"][0]), result["masks"][0])


def test_run_lengths_stay_small(tmp_path: Path) -> None:
    # The reference writes 357 MB for 100 full-photo instances of 500 x 375 pixels.
    count = 100
    result = InstanceSegResult(
        boxes=np.tile(np.array([0, 0, 500, 375], np.float32), (count, 1)),
        scores=np.ones(count, np.float32),
        class_ids=np.zeros(count, np.int64),
        masks=MaskCrops.from_dense(np.ones((count, 375, 500), np.uint8)),
        labels=("a",) * count,
        photo=Photo(np.zeros((375, 500, 3), np.uint8)),
    )
    assert result.save_to_json(tmp_path).stat().st_size < 100_000


def test_coco_results_hold_xywh_boxes_and_run_lengths(result: InstanceSegResult, tmp_path: Path) -> None:
    path = result.save_to_coco(tmp_path, image_id=7, category_ids=[10, 20])
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert (first["image_id"], first["category_id"], second["category_id"]) == (7, 20, 10)
    assert second["bbox"] == [30, 25, 20, 10]
    assert np.array_equal(coco_mask.decode(first["segmentation"]), result.masks.dense(0))


def test_labelme_file_refers_to_the_photo_and_holds_the_shapes(
    result: InstanceSegResult, tmp_path: Path
) -> None:
    path = result.save_to_labelme(tmp_path / "annotations")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "照片 1.json"
    assert (path.parent / content["imagePath"]).resolve() == Path(result.input_path).resolve()
    assert {shape.label for shape in read_labelme(path).shapes} == {"榛子", "fig"}


def test_labelme_keeps_a_handmade_file(result: InstanceSegResult, tmp_path: Path) -> None:
    mine = tmp_path / "照片 1.json"
    mine.write_text("by hand", encoding="utf-8")
    result.save_to_labelme(tmp_path)
    result.save_to_labelme(tmp_path)
    assert (tmp_path / "照片 1.json.bak").read_text(encoding="utf-8") == "by hand"


def test_labelme_of_a_page_saves_the_page_beside(tmp_path: Path) -> None:
    path = _result(input_path="scan.pdf", page_index=1).save_to_labelme(tmp_path)
    assert path.name == "scan_1.json"
    assert json.loads(path.read_text(encoding="utf-8"))["imagePath"] == "scan_1.png"
    assert np.asarray(Image.open(tmp_path / "scan_1.png"))[0, 0].tolist() == [10, 20, 200]
