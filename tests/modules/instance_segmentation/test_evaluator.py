"""Scores in the result are those that pycocotools computes from the predictions saved beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import paddle
import pytest
from data.tiny_coco import VAL, edit, load, write_tiny_coco
from metrics.coco_reference import NAMES, pycocotools_scores
from modules.instance_segmentation.filled_network import SIZE, SPEC, filled_network, write_weights
from PIL import Image

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.instance_segmentation.evaluator import evaluate, evaluate_network
from paddlex.utils.errors import DatasetError, DeviceError, ImageReadError, WeightsError

CHARTS = ["box_pr_curve.png", "confusion_matrix.png", "mask_pr_curve.png"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("run") / "best_model")


@pytest.fixture(scope="module")
def dataset(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos; on two of them some of what the network finds is annotated, on the last nothing."""
    folder = write_tiny_coco(tmp_path_factory.mktemp("data") / "tiny", train=1, val=3)
    found = _evaluate(weights, folder, tmp_path_factory.mktemp("first"))[1]
    empty = max(image["id"] for image in load(folder / VAL)["images"])

    def annotate(content: dict[str, Any]) -> None:
        content["annotations"] = [
            {**row, "id": number, "iscrowd": 0, "bbox": row["bbox"]}
            for number, row in enumerate(_annotations(found, photo_without=empty), start=1)
        ]

    edit(folder / VAL, annotate)
    return folder


def _annotations(found: dict[str, list[dict[str, Any]]], *, photo_without: int) -> list[dict[str, Any]]:
    """Every seventh found object."""
    rows = []
    for box, mask in list(zip(found["box"], found["mask"], strict=True))[::7]:
        if box["image_id"] != photo_without and box["bbox"][2] > 1 and box["bbox"][3] > 1:
            area = box["bbox"][2] * box["bbox"][3]
            keys = {key: box[key] for key in ("image_id", "category_id", "bbox")}
            rows.append({**keys, "segmentation": mask["segmentation"], "area": area})
    return rows


def _evaluate(
    weights: Path, dataset: Path, output: Path, *, batch_size: int = 1, num_workers: int = 0, **options: Any
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    result = evaluate(
        spec=SPEC,
        dataset_dir=dataset,
        output_dir=output,
        weight_path=weights,
        device="cpu",
        batch_size=batch_size,
        num_workers=num_workers,
        **options,
    )
    saved = {word: output / "evaluate" / f"{word}_predictions.json" for word in ("box", "mask")}
    return result, {word: json.loads(path.read_text(encoding="utf-8")) for word, path in saved.items()}


@pytest.fixture(scope="module")
def evaluated(
    weights: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], Path]:
    output = tmp_path_factory.mktemp("output")
    return (*_evaluate(weights, dataset, output), output / "evaluate")


def test_scores_equal_pycocotools_on_the_saved_predictions(evaluated: Any, dataset: Path) -> None:
    result, saved, _ = evaluated
    for word, prefix, kind in (("mask", "", "segm"), ("box", "bbox_", "bbox")):
        expected = pycocotools_scores(load(dataset / VAL), saved[word], kind)
        found = {name: result["metrics"][prefix + name] for name in NAMES}
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert 0 < result["metrics"]["AP"] < 1


def test_photos_without_objects_are_evaluated_too(evaluated: Any, dataset: Path) -> None:
    photos = {image["id"] for image in load(dataset / VAL)["images"]}
    annotated = {row["image_id"] for row in load(dataset / VAL)["annotations"]}
    assert {row["image_id"] for row in evaluated[1]["mask"]} == photos > annotated


def test_photos_without_objects_can_be_left_out(weights: Path, dataset: Path, tmp_path: Path) -> None:
    saved = _evaluate(weights, dataset, tmp_path, allow_empty=False)[1]
    annotated = {row["image_id"] for row in load(dataset / VAL)["annotations"]}
    assert {row["image_id"] for row in saved["mask"]} == annotated


def test_every_score_is_ranked_up_to_a_hundred_a_photo(evaluated: Any) -> None:
    assert len(evaluated[1]["mask"]) == len(evaluated[1]["box"]) == 3 * 100


def test_per_class_scores_average_to_the_whole(evaluated: Any, dataset: Path) -> None:
    rows = evaluated[0]["per_class"]
    assert [(row["name"], row["category_id"]) for row in rows] == [("bar", 1), ("disc", 2)]
    assert sum(row["annotated"] for row in rows) == len(load(dataset / VAL)["annotations"])
    valid = [row["AP"] for row in rows if row["annotated"]]
    assert sum(valid) / len(valid) == pytest.approx(evaluated[0]["metrics"]["AP"])


def test_charts_and_predictions_are_written(evaluated: Any) -> None:
    result, _, folder = evaluated
    assert sorted(result["files"]) == sorted(path.name for path in folder.iterdir())
    for name in CHARTS:
        with Image.open(folder / name) as chart:
            assert chart.width > 400 and len(chart.convert("RGB").getcolors(1 << 24) or []) > 10


@pytest.mark.parametrize("batch_size", [2, 5])
def test_any_batch_size_gives_the_same_scores(
    evaluated: Any, weights: Path, dataset: Path, tmp_path: Path, batch_size: int
) -> None:
    result, saved = _evaluate(weights, dataset, tmp_path, batch_size=batch_size, num_workers=2)
    assert [row["image_id"] for row in saved["mask"]] == [row["image_id"] for row in evaluated[1]["mask"]]
    assert result["metrics"]["AP"] == pytest.approx(evaluated[0]["metrics"]["AP"], abs=0.02)


def test_the_network_comes_back_in_the_mode_it_was_in(dataset: Path) -> None:
    network = filled_network()
    network.train()
    data = InstanceDataset(dataset / "images", dataset / VAL)
    preprocess = Preprocessor(preprocess_operations(SPEC, input_size=SIZE))
    result = evaluate_network(network, spec=SPEC, dataset=data, preprocess=preprocess, num_workers=0)
    assert network.training and result["files"] == []


# ---------------------------------------------------------------- what cannot be evaluated


def _rename(dataset: Path, copy: Path, names: list[str]) -> Path:
    """A data set of the same photos with other categories."""
    folder = write_tiny_coco(copy / "tiny", train=1, val=1)

    def change(content: dict[str, Any]) -> None:
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]

    edit(folder / VAL, change)
    return folder


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["bar", "disc", "cone"], r"weights for 2 classes, .*instance_val\.json has 3"),
        (["disc", "bar"], "class 0 is 'bar' in the weights, 'disc' in .*order of the training"),
    ],
)
def test_weights_of_other_classes_are_refused(
    weights: Path, dataset: Path, tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        _evaluate(weights, _rename(dataset, tmp_path, names), tmp_path)
    assert "\n" not in str(caught.value)


def test_renamed_classes_are_evaluated_with_a_warning(
    weights: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="paddlex"):
        _evaluate(weights, _rename(dataset, tmp_path, ["bar", "ring"]), tmp_path)
    assert "class 1 is 'disc' in the weights, 'ring' in" in caplog.text


def test_missing_weights_are_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pdparams: no such file"):
        _evaluate(tmp_path / "none.pdparams", dataset, tmp_path)


def test_a_missing_data_set_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"instance_val\.json") as caught:
        _evaluate(weights, tmp_path / "none", tmp_path)
    assert isinstance(caught.value, DatasetError) or "cannot be read" in str(caught.value)


def test_a_photo_that_cannot_be_decoded_is_named(weights: Path, tmp_path: Path) -> None:
    folder = write_tiny_coco(tmp_path / "tiny", train=1, val=2)
    photo = folder / "images" / "p2.png"
    photo.write_bytes(photo.read_bytes()[:200])
    with pytest.raises(ImageReadError, match=r"p2\.png"):
        _evaluate(weights, folder, tmp_path, num_workers=2)


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle knows GPUs")
def test_an_absent_gpu_is_named(weights: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="gpu:0"):
        evaluate(
            spec=SPEC,
            dataset_dir=dataset,
            output_dir=tmp_path,
            weight_path=weights,
            device="gpu:0",
            batch_size=1,
        )
