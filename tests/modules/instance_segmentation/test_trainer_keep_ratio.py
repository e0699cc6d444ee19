"""Training a family whose photos keep their aspect and whose masks stay shapes, with a shipped model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_coco import edit, write_tiny_coco
from tiny_model import tiny_options

from paddlex.modules.instance_segmentation.evaluator import evaluate
from paddlex.modules.instance_segmentation.train_data import read_datasets
from paddlex.modules.instance_segmentation.trainer import INSTANCE_TRAINING
from paddlex.modules.start_weights import StartWeights
from paddlex.modules.training_run import TrainingRun
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.utils.pdparams import read_pdparams

SPEC = MODELS["MaskRCNN-ResNet50-FPN"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos to train on; the first has no object."""
    folder = write_tiny_coco(tmp_path_factory.mktemp("data") / "tiny")
    edit(
        folder / "annotations" / "instance_train.json",
        lambda content: content.update(annotations=content["annotations"][2:]),
    )
    return folder


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An epoch of two steps at a short side of 64, from weights that are not trained."""
    output = tmp_path_factory.mktemp("run") / "output"
    output.mkdir()
    options = tiny_options(epochs=1, learning_rate=1e-4, clip_norm=1.0)
    run = TrainingRun(
        INSTANCE_TRAINING,
        SPEC,
        datasets=read_datasets(dataset, num_classes=None, allow_empty=True, masks=SPEC.recipe.masks),
        store=CheckpointStore(output),
        options=options,
        start=StartWeights(from_scratch=False),
    )
    before = {name: value.numpy().copy() for name, value in run.network.state_dict().items()}
    run.train()
    np.savez(output / "before.npz", **before)
    return output


def test_every_loss_is_finite_and_adds_up(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "evaluation" not in line]
    terms = {"rpn_cls", "rpn_reg", "rcnn_cls", "rcnn_reg", "mask"}
    assert len(steps) == 2 and terms | {"loss"} <= set(steps[0])
    for step in steps:
        assert step["loss"] == pytest.approx(sum(step[name] for name in terms), rel=1e-5)


def test_what_the_recipe_freezes_stays_and_the_rest_learns(finished: Path) -> None:
    after = read_pdparams(finished / "model_final" / "model_final.pdparams")
    network = SPEC.build(num_classes=2)
    trainable = {name for name, value in network.named_parameters() if not value.stop_gradient}
    with np.load(finished / "before.npz") as before:
        moved = {name for name in before.files if not np.array_equal(before[name], after[name])}
    assert moved == trainable


def test_the_limits_that_photos_were_resized_into_are_remembered(finished: Path) -> None:
    info = json.loads((finished / "model_final" / "model_info.json").read_text())
    assert info["input_size"] == [64, 107]


def test_evaluating_the_saved_weights_gives_what_training_reported(
    finished: Path, dataset: Path, tmp_path: Path
) -> None:
    reported = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])["evaluation"]
    result = evaluate(
        spec=SPEC,
        dataset_dir=dataset,
        output_dir=tmp_path,
        weight_path=finished / "model_final" / "model_final.pdparams",
        device="cpu",
        num_workers=0,
    )
    found = {name: value for name, value in result["metrics"].items() if name in reported}
    expected = {name: np.nan if reported[name] is None else reported[name] for name in found}
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
