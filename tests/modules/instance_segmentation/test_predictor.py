"""Predictions through a real backend and a tiny exported model (see tiny_models)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import photo, write_onnx_model

from paddlex.modules.instance_segmentation.predictor import InstancePredictor, run_predict
from paddlex.utils.errors import ConfigError, ImageReadError, InputError, UsageError

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(folder: Path) -> InstancePredictor:
    return InstancePredictor(folder, device="cpu")


def _save(path: Path, rgb: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)
    return path


def _bgr(rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rgb[:, :, ::-1])


# ---------------------------------------------------------------- results


def test_instance_is_found_in_photo_pixels(predictor: InstancePredictor, tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", photo(60, 80))
    (result,) = predictor.predict(str(path))
    # The model's threshold of 0.5 keeps "bright" (0.75) and drops "dark" (0.25).
    assert result.labels == ("bright",)
    assert result.scores.tolist() == pytest.approx([0.75], abs=0.02)
    assert result.boxes.tolist() == [[0, 0, 80, 60]]
    expected = np.zeros((60, 80), bool)
    expected[:, :60] = True
    assert (result.masks.dense(0) != expected).mean() < 0.02
    assert result.input_path == str(path)


def test_array_is_taken_as_bgr(predictor: InstancePredictor) -> None:
    assert [result.labels for result in predictor.predict(_bgr(photo()))] == [("bright",)]
    # The same array as RGB has no red at all.
    assert [result.labels for result in predictor.predict(photo())] == [("dark",)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batches_reach_across_list_elements_and_sizes(predictor: InstancePredictor, batch_size: int) -> None:
    photos = [photo(40, 60), photo(90, 30), photo(64, 64), photo(20, 200), photo(33, 47)]
    alone = [next(iter(predictor.predict(_bgr(one)))) for one in photos]
    together = list(predictor.predict([_bgr(one) for one in photos], batch_size=batch_size))
    assert [result.size for result in together] == [one.shape[:2] for one in photos]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
        assert one.masks.to_rles() == other.masks.to_rles()


def test_model_that_keeps_the_aspect_takes_batches_of_mixed_sizes(tmp_path: Path) -> None:
    steps = [
        {"type": "Resize", "target_size": [32, 64], "keep_ratio": True, "interp": 2},
        {"type": "NormalizeImage", "mean": [0.0] * 3, "std": [1.0] * 3, "norm_type": "none"},
        {"type": "Permute"},
    ]
    folder = write_onnx_model(tmp_path, side="S", Preprocess=steps)
    predictor = InstancePredictor(folder, device="cpu", batch_size=4)
    sizes = [(32, 64), (64, 32), (40, 40), (80, 80)]
    results = list(predictor.predict([_bgr(photo(*size)) for size in sizes]))
    assert [result.size for result in results] == sizes
    assert all(result.labels == ("bright",) for result in results)


def test_threshold_of_the_call_wins_over_that_of_the_predictor(folder: Path) -> None:
    predictor = InstancePredictor(folder, device="cpu", threshold=0.9)
    image = _bgr(photo())
    assert [len(result) for result in predictor.predict(image)] == [0]
    assert [result.labels for result in predictor.predict(image, threshold=0.1)] == [("bright", "dark")]


def test_photo_pixels_are_released_after_use(predictor: InstancePredictor, tmp_path: Path) -> None:
    paths = [_save(tmp_path / f"{i}.png", photo()) for i in range(3)]
    results = list(predictor.predict([str(path) for path in paths]))
    paths[0].unlink()
    with pytest.raises(ImageReadError, match=r"0\.png"):
        _ = results[0].image
    assert np.array_equal(results[1].image, photo())


def test_nothing_is_read_before_it_is_asked_for(predictor: InstancePredictor, tmp_path: Path) -> None:
    results = predictor.predict(str(tmp_path / "missing.png"))
    with pytest.raises(InputError, match=r"missing\.png: no such file"):
        next(results)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"batch_size": 1.5}, {"threshold": 1.5}, {"threshold": "0.5"}], ids=str
)
def test_wrong_argument_is_refused_at_once(predictor: InstancePredictor, options: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        predictor.predict(_bgr(photo()), **options)


def test_folder_of_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="holds Mask-RT-DETR-S, not Mask-RT-DETR-X"):
        InstancePredictor(folder, model_name="Mask-RT-DETR-X", device="cpu")


def test_unknown_preprocessing_is_refused(tmp_path: Path) -> None:
    write_onnx_model(tmp_path, Preprocess=[{"type": "WarpAffine"}])
    with pytest.raises(ConfigError, match=r"inference\.yml: Preprocess\[0\]: unknown operation 'WarpAffine'"):
        InstancePredictor(tmp_path, device="cpu")


# ---------------------------------------------------------------- predict mode


def _run(folder: Path, source: object, output: Path, **options: object) -> dict:
    return run_predict(
        model_name="Mask-RT-DETR-S",
        model_dir=folder,
        input=source,
        output_dir=output,
        device="cpu",
        **options,
    )


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_every_result_is_printed_and_saved(folder: Path, tmp_path: Path, capsys) -> None:
    for name in ("b.png", "a.png", "sub/a.png"):
        _save(tmp_path / "photos" / name, photo())
    report = _run(folder, str(tmp_path / "photos"), tmp_path / "out", batch_size=2)
    # Sub-folders are repeated, so that photos of one name do not overwrite each other.
    assert _files(tmp_path / "out") == [
        "a_res.json",
        "a_res.png",
        "b_res.json",
        "b_res.png",
        "sub/a_res.json",
        "sub/a_res.png",
    ]
    assert capsys.readouterr().out.count("'label': 'bright'") == 3
    assert report == {
        "model_name": "Mask-RT-DETR-S",
        "backend": "onnx",
        "device": "cpu",
        "images": 3,
        "instances": 3,
        "class_counts": {"bright": 3},
        "unreadable": [],
    }


def test_photos_that_would_share_a_name_are_numbered(folder: Path, tmp_path: Path) -> None:
    paths = [_save(tmp_path / name, photo()) for name in ("x/a.png", "y/a.png", "x/A.bmp")]
    _run(folder, [str(path) for path in paths], tmp_path / "out")
    assert _files(tmp_path / "out") == [
        "A_3_res.bmp",
        "A_3_res.json",
        "a_2_res.json",
        "a_2_res.png",
        "a_res.json",
        "a_res.png",
    ]


def test_unreadable_photo_is_left_out_and_listed(folder: Path, tmp_path: Path) -> None:
    _save(tmp_path / "photos" / "good.png", photo())
    (tmp_path / "photos" / "bad.png").write_bytes(b"no photo")
    report = _run(folder, tmp_path / "photos", tmp_path / "out")
    assert report["images"] == 1
    assert len(report["unreadable"]) == 1
    assert "bad.png" in report["unreadable"][0]


def test_no_readable_photo_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"no photo could be read; .*bad\.png"):
        _run(folder, tmp_path / "bad.png", tmp_path / "out")


def test_report_and_saved_json_agree(folder: Path, tmp_path: Path) -> None:
    _save(tmp_path / "照片.png", photo())
    report = _run(folder, str(tmp_path / "照片.png"), tmp_path / "out", threshold=0.1)
    saved = json.loads((tmp_path / "out" / "照片_res.json").read_text(encoding="utf-8"))
    assert [box["label"] for box in saved["boxes"]] == ["bright", "dark"]
    assert report["class_counts"] == {"bright": 1, "dark": 1}
