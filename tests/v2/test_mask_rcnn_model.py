"""MaskRCNN of PaddleX 2, trained as the tutorial of PaddleX 1 prints it, with a narrow network."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from v2.conftest import TINY, coco_sets

import paddlex as pdx
from paddlex.modules.instance_segmentation.evaluator import evaluate
from paddlex.modules.zoo import find_model
from paddlex.utils.errors import UsageError


def train(data: Path, save_dir: Path, *, epochs: int = 1, **options: Any) -> pdx.det.MaskRCNN:
    train_set, val_set = coco_sets(data)
    model = options.pop("model", None) or pdx.det.MaskRCNN(num_classes=2, **TINY)
    arguments = {"pretrain_weights": None, "use_vdl": False, "learning_rate": 0.001, **options}
    model.train(epochs, train_set, 2, val_set, save_dir=str(save_dir), **arguments)
    return model


@pytest.fixture(scope="module")
def run(coco_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pdx.det.MaskRCNN, Path]:
    folder = tmp_path_factory.mktemp("run") / "output"
    options = {"warmup_steps": 1, "lr_decay_epochs": [1], "use_ema": True}
    return train(coco_data, folder, epochs=2, **options), folder


# ---------------------------------------------------------------- constructor


def test_every_argument_reaches_the_network() -> None:
    model = pdx.det.MaskRCNN(
        num_classes=3,
        backbone="ResNet50",
        aspect_ratios=[1.0],
        anchor_sizes=[[8], [16], [32], [64], [128]],
        keep_top_k=7,
        nms_threshold=0.4,
        score_threshold=0.2,
        fpn_num_channels=8,
        rpn_batch_size_per_im=64,
        rpn_fg_fraction=0.25,
        test_pre_nms_top_n=30,
        test_post_nms_top_n=20,
    )
    net = model.net
    assert net.num_classes == 3
    limits = net.detection_limits
    assert (limits.keep_top_k, limits.nms_iou, limits.score_threshold) == (7, 0.4, 0.2)
    assert (net.test_proposals.pre_nms, net.test_proposals.post_nms) == (30, 20)
    criterion = net.rpn_criterion
    assert (criterion.samples_per_image, criterion.positive_fraction) == (64, 0.25)
    assert net.anchors.num_anchors == 1
    assert net.rpn_head.rpn_feat.rpn_conv.weight.shape[:2] == [8, 8]


@pytest.mark.parametrize(("with_fpn", "pre_nms"), [(True, 1000), (False, 6000)])
def test_the_count_before_suppression_depends_on_the_pyramid(with_fpn: bool, pre_nms: int) -> None:
    model = pdx.det.MaskRCNN(num_classes=1, backbone="ResNet50", with_fpn=with_fpn)
    assert model.net.test_proposals.pre_nms == pre_nms
    # Without a pyramid all sizes of the default list stand at its one level.
    assert model.net.anchors.num_anchors == (3 if with_fpn else 15)


def test_only_resnet50_is_known_without_a_pyramid(
    monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    model = pdx.det.MaskRCNN(num_classes=1, backbone="ResNet50_vd_ssld", with_fpn=False)
    assert "ResNet50_vd_ssld gets a pyramid" in told.text
    assert model.spec.start_weights["imagenet"].url.endswith("ResNet50_vd_ssld_v2_pretrained.pdparams")
    assert model._options["backbone_learning_rates"] == [0.05, 0.05, 0.1, 0.15]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"backbone": "DarkNet53"}, "expected one of ResNet50, ResNet50_vd"),
        ({"anchor_sizes": [[32], [64]]}, "five lists of equal length"),
        ({"num_classes": "2"}, "num_classes: found '2'"),
    ],
)
def test_arguments_that_make_no_sense_are_told(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pdx.det.MaskRCNN(**arguments)


# ---------------------------------------------------------------- training


def test_the_rate_warms_up_and_falls_after_an_epoch(run: tuple[pdx.det.MaskRCNN, Path]) -> None:
    lines = [json.loads(line) for line in (run[1] / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "evaluation" not in line]
    assert rates == pytest.approx([0.0, 0.001, 0.0001, 0.0001])


def test_evaluations_while_training_score_boxes_and_masks(run: tuple[pdx.det.MaskRCNN, Path]) -> None:
    lines = [json.loads(line) for line in (run[1] / "metrics.jsonl").read_text().splitlines()]
    assert [list(line["evaluation"]) for line in lines if "evaluation" in line] == [
        ["bbox_mmap", "segm_mmap"],
        ["bbox_mmap", "segm_mmap"],
    ]
    details = json.loads((run[1] / "epoch_2" / "eval_details.json").read_text())
    assert set(details) == {"bbox", "mask", "gt"} and len(details["gt"]["images"]) == 2


def test_the_best_by_voc_is_drawn_within_the_chart(coco_data: Path, tmp_path: Path) -> None:
    train(coco_data, tmp_path, metric="VOC")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [list(line["evaluation"]) for line in lines if "evaluation" in line] == [["bbox_map"]]
    assert pdx.det.MaskRCNN.curves["bbox_map"] == 100, "percent, unlike the others"
    assert (tmp_path / "training_curve.png").is_file()


def test_background_among_the_classes_is_recognised_and_said(
    coco_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    model = train(coco_data, tmp_path, model=pdx.det.MaskRCNN(num_classes=3, **TINY))
    assert model.num_classes == 2 and model.net.num_classes == 2
    assert "the background seems to be counted" in told.text
    with pytest.raises(UsageError, match="the background does not count: give num_classes=2"):
        train(coco_data, tmp_path / "other", model=pdx.det.MaskRCNN(num_classes=80, **TINY))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"warmup_steps": 3, "lr_decay_epochs": [1]}, "warmup_steps: found 3"),
        ({"metric": "mAP"}, "metric: found 'mAP'"),
    ],
)
def test_what_cannot_be_trained_is_told(
    coco_data: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        train(coco_data, tmp_path, **options)


# ---------------------------------------------------------------- scores and predictions


def test_scores_by_coco_and_by_voc(run: tuple[pdx.det.MaskRCNN, Path], coco_data: Path) -> None:
    val_set = coco_sets(coco_data)[1]
    metrics, details = run[0].evaluate(val_set, return_details=True)
    assert isinstance(metrics, OrderedDict) and list(metrics) == ["bbox_mmap", "segm_mmap"]
    assert all(0 <= value <= 1 for value in metrics.values())
    assert set(details["bbox"][0]) == {"image_id", "category_id", "bbox", "score"}
    assert set(details["mask"][0]["segmentation"]) == {"size", "counts"}
    voc = run[0].evaluate(val_set, metric="VOC")
    assert list(voc) == ["bbox_map"] and 0 <= voc["bbox_map"] <= 100


def test_instances_have_boxes_and_masks_of_the_photo(run: tuple[pdx.det.MaskRCNN, Path]) -> None:
    photos = [np.random.default_rng(i).integers(0, 255, (48 + i, 64, 3), dtype=np.uint8) for i in range(2)]
    lists = run[0].predict(photos)
    assert len(lists) == 2 and all(lists)
    for photo, instances in zip(photos, lists, strict=True):
        for instance in instances:
            assert set(instance) == {"category_id", "category", "bbox", "mask", "score"}
            assert instance["mask"].shape == photo.shape[:2] and instance["mask"].dtype == np.uint8
            assert instance["category"] == ["bar", "disc"][instance["category_id"]]
            x, y, width, height = instance["bbox"]
            assert x >= 0 and y >= 0 and x + width <= 64 and y + height <= photo.shape[0]
        scores = [instance["score"] for instance in instances]
        assert scores == sorted(scores, reverse=True)
    alone = run[0].predict(photos[0])
    assert [one["bbox"] for one in alone] == [one["bbox"] for one in lists[0]]


def test_what_a_training_found_can_be_analysed(run: tuple[pdx.det.MaskRCNN, Path], tmp_path: Path) -> None:
    file = run[1] / "epoch_2" / "eval_details.json"
    pdx.det.draw_pr_curve(str(file), save_dir=str(tmp_path))
    pdx.det.coco_error_analysis(str(file), save_dir=str(tmp_path / "errors"))
    names = ["bbox_pr_curve(iou-0.5).png", "errors", "segm_pr_curve(iou-0.5).png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for kind in ("bbox", "segm"):
        drawn = {path.name for path in (tmp_path / "errors" / kind).iterdir()}
        assert drawn == {"all.png", "classes.png", "bar.png", "disc.png"}


def test_predictions_can_be_drawn(run: tuple[pdx.det.MaskRCNN, Path], tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    pdx.det.visualize(photo, run[0].predict(photo), threshold=0.0, save_dir=str(tmp_path))
    assert len(list(tmp_path.glob("visualize_*"))) == 1


# ---------------------------------------------------------------- files


def test_a_loaded_model_finds_the_same(run: tuple[pdx.det.MaskRCNN, Path]) -> None:
    loaded = pdx.load_model(run[1] / "best_model")
    assert loaded.init_params["fpn_num_channels"] == 8 and loaded.labels == ["bar", "disc"]
    photo = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    again = pdx.load_model(run[1] / "best_model").predict(photo)
    assert [one["score"] for one in loaded.predict(photo)] == [one["score"] for one in again]


def test_the_command_line_scores_the_folder_alike(
    run: tuple[pdx.det.MaskRCNN, Path], coco_data: Path, tmp_path: Path
) -> None:
    report = evaluate(
        spec=find_model("MaskRCNN-ResNet50-FPN"),
        dataset_dir=coco_data,
        output_dir=tmp_path,
        weight_path=run[1] / "best_model" / "model.pdparams",
        num_workers=0,
    )
    expected = pdx.load_model(run[1] / "best_model").evaluate(coco_sets(coco_data)[1])
    assert report["metrics"]["AP"] == pytest.approx(expected["segm_mmap"], abs=1e-9)
    assert report["metrics"]["bbox_AP"] == pytest.approx(expected["bbox_mmap"], abs=1e-9)


@pytest.mark.onnx_export
@pytest.mark.parametrize("fixed_shape", [None, [96, 128]], ids=["any_size", "fixed_size"])
def test_an_export_opens_in_create_model(
    run: tuple[pdx.det.MaskRCNN, Path], tmp_path: Path, fixed_shape: list[int] | None
) -> None:
    model = pdx.load_model(run[1] / "best_model")
    model.export_inference_model(tmp_path, fixed_input_shape=fixed_shape)
    photo = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    predictor = pdx.create_model(tmp_path / "inference_model", threshold=0.05)
    (result,) = predictor.predict(photo)
    if fixed_shape is None:
        expected = [one["score"] for one in model.predict(photo)]
        assert sorted(result.scores.tolist(), reverse=True) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(UsageError, match="multiples of 32"):
        model.export_inference_model(tmp_path, fixed_input_shape=[100, 128])


def test_official_weights_fit() -> None:
    published = find_model("MaskRCNN-ResNet50-vd-FPN").build(num_classes=2).state_dict()
    ours = pdx.det.MaskRCNN(num_classes=2, backbone="ResNet50_vd").net.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in published.items()
    }
