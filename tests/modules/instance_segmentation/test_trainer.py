"""Training from end to end, with a small sibling of a shipped model on tiny photos."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from tiny_coco import edit, write_tiny_coco
from tiny_model import build_tiny, tiny_options, tiny_spec

from paddlex.modules.instance_segmentation.trainer import train
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError, DownloadError, WeightsError
from paddlex.utils.pdparams import read_pdparams

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_coco(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A run of two epochs of two steps, and its result."""
    output = tmp_path_factory.mktemp("run") / "output"
    fields = train(
        spec=tiny_spec(),
        dataset_dir=dataset,
        output_dir=output,
        options=tiny_options(),
        config_text="Global: {model: Mask-RT-DETR-S}\n",
    )
    return output, fields


def test_train_leaves_the_layout_of_the_original_toolkit(finished: tuple[Path, dict]) -> None:
    output, fields = finished
    for name in ("0", "best_model", "model_final"):
        files = {path.name for path in (output / name).iterdir() if path.is_file()}
        suffixes = ("pdparams", "pdema", "pdopt", "pdstates", "info.json")
        assert files == {"model_info.json", *(f"{name}.{suffix}" for suffix in suffixes)}
    assert (output / "config.yaml").read_text() == "Global: {model: Mask-RT-DETR-S}\n"
    assert (output / "training_curve.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((output / "train_results.json").read_text())
    assert results["done_flag"] is True and results["model_name"] == "Mask-RT-DETR-S"
    assert (fields["epochs"], fields["steps"]) == (2, 4)
    assert fields["class_names"] == ["bar", "disc"]
    for name, entry in fields["models"].items():
        assert (output / entry["weights"]).is_file()
        assert (output / name / "inference" / "inference.yml").is_file(), entry.get("export_error")


def test_train_writes_down_what_it_decided(finished: tuple[Path, dict]) -> None:
    text = (finished[0] / "train.log").read_text(encoding="utf-8")
    for said in (
        "training from scratch",
        "learning rate 0.0004: the recipe's from scratch",
        "4 steps in 2 epochs, 1 of warm-up (shortened from 2000",
        "4 training photos with 8 objects, 2 validation photos with 4, 2 classes: bar, disc",
        "first batch: image: float32 (2, 3, ",
        "Epoch: [1] [2/2] learning_rate: ",
    ):
        assert said in text


def test_train_logs_all_twenty_losses(finished: tuple[Path, dict]) -> None:
    lines = [json.loads(line) for line in (finished[0] / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "evaluation" not in line]
    assert len(steps) == 4 and len(lines) == 6
    terms = {name for name in steps[0] if name.startswith("loss_")}
    assert len(terms) == 20
    assert steps[0]["loss"] == pytest.approx(sum(steps[0][name] for name in terms), rel=1e-4)


def test_train_from_scratch_lets_the_whole_backbone_learn(finished: tuple[Path, dict]) -> None:
    output, _ = finished
    first, last = (read_pdparams(output / name / f"{name}.pdema") for name in ("0", "model_final"))
    for name in ("backbone.stem.stem1.conv.weight", "backbone.stem.stem1.bn._mean"):
        assert not np.array_equal(first[name], last[name])


def test_train_from_other_classes_skips_heads_and_keeps_the_stem_frozen(
    dataset: Path, tmp_path: Path
) -> None:
    paddle.seed(3)
    network = build_tiny(num_classes=5)
    paddle.save(network.state_dict(), str(tmp_path / "start.pdparams"))
    train(
        spec=tiny_spec(),
        dataset_dir=dataset,
        output_dir=tmp_path / "output",
        options=tiny_options(
            epochs=1,
            pretrain_weights=str(tmp_path / "start.pdparams"),
            learning_rate=3e-4,
            freeze=("neck",),
            ema=False,
        ),
        config_text="",
    )
    text = (tmp_path / "output" / "train.log").read_text(encoding="utf-8")
    assert "transformer.score_head.weight [256, 5] in the file, [256, 2] here" in text
    assert "learning rate 0.0003, as given, for 2 photos a step" in text
    final = tmp_path / "output" / "model_final"
    assert not (final / "model_final.pdema").exists()
    weights = read_pdparams(final / "model_final.pdparams")
    for name, value in network.state_dict().items():
        if name.startswith(("backbone.stem.", "neck.")):
            np.testing.assert_array_equal(weights[name], value.numpy(), err_msg=name)
    assert not np.array_equal(
        weights["transformer.enc_output.0.weight"], network.state_dict()["transformer.enc_output.0.weight"]
    )


def build_unexportable(**options: Any) -> Any:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("as a bug would")

    network = build_tiny(**options)
    network.forward_official = broken
    return network


def test_a_bug_of_the_export_is_said_and_does_not_fail_the_training(dataset: Path, tmp_path: Path) -> None:
    fields = train(
        spec=dataclasses.replace(tiny_spec(), builder="test_trainer:build_unexportable"),
        dataset_dir=dataset,
        output_dir=tmp_path / "output",
        options=tiny_options(epochs=1),
        config_text="",
    )
    entry = fields["models"]["best_model"]
    assert entry["inference"] is None and "as a bug would" in entry["export_error"]
    assert (tmp_path / "output" / entry["weights"]).is_file()
    log = (tmp_path / "output" / "train.log").read_text(encoding="utf-8")
    assert "best_model.pdparams was not exported: " in log and "Traceback" in log


def run_script(dataset: Path, output: Path, *arguments: object) -> int:
    # One thread: two ways to add the same numbers could differ in the last bit.
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "tiny_model.py"), str(dataset), str(output), *map(str, arguments)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, timeout=300).returncode


def test_train_killed_and_resumed_equals_one_go(dataset: Path, tmp_path: Path) -> None:
    def losses(output: Path) -> list[dict]:
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        timing = ("images_per_second", "data_seconds", "memory_mb")
        return [{key: line[key] for key in line if key not in timing} for line in lines]

    assert run_script(dataset, tmp_path / "whole") == 0
    assert run_script(dataset, tmp_path / "parts", "--kill-after", 2) == -signal.SIGKILL
    assert run_script(dataset, tmp_path / "parts") == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, two = (
        read_pdparams(tmp_path / part / "model_final" / "model_final.pdparams") for part in ("whole", "parts")
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


def test_train_on_photos_without_objects(tmp_path: Path) -> None:
    """Batches of nothing, and batches of one object: five of six photos are empty."""
    folder = write_tiny_coco(tmp_path / "data", train=6)
    annotations = folder / "annotations" / "instance_train.json"
    edit(annotations, lambda content: content.update(annotations=content["annotations"][:1]))
    fields = train(
        spec=tiny_spec(),
        dataset_dir=folder,
        output_dir=tmp_path / "output",
        options=tiny_options(epochs=1),
        config_text="",
    )
    assert fields["steps"] == 3


def test_train_on_fewer_photos_than_a_batch(tmp_path: Path) -> None:
    folder = write_tiny_coco(tmp_path / "data", train=1)
    fields = train(
        spec=tiny_spec(),
        dataset_dir=folder,
        output_dir=tmp_path / "output",
        options=tiny_options(epochs=1, batch_size=3),
        config_text="",
    )
    assert fields["steps"] == 1
    assert "photos are repeated to fill the batch" in (tmp_path / "output" / "train.log").read_text()


def fail(dataset: Path, output: Path, **options: object) -> None:
    train(
        spec=tiny_spec(),
        dataset_dir=dataset,
        output_dir=output,
        options=tiny_options(**options),
        config_text="",
    )


def test_train_refuses_another_class_count(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"num_classes is 3, but the data set has 2 classes \(bar, disc\)"):
        fail(dataset, tmp_path, num_classes=3)


def test_train_refuses_val_of_other_classes(tmp_path: Path) -> None:
    folder = write_tiny_coco(tmp_path / "data")
    annotations = folder / "annotations" / "instance_val.json"
    edit(annotations, lambda content: content["categories"][1].update(name="ring"))
    with pytest.raises(DatasetError, match="train has the classes bar, disc, val has bar, ring"):
        fail(folder, tmp_path / "output")


def test_train_without_data_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="absent: no such folder"):
        fail(tmp_path / "absent", tmp_path / "output")


@pytest.mark.parametrize("resume_path", ["absent.pdparams", "train.log"])
def test_train_refuses_to_resume_from_what_is_no_checkpoint(
    dataset: Path, tmp_path: Path, resume_path: str
) -> None:
    with pytest.raises(WeightsError, match=r"resume_path .*: not a \.pdparams file"):
        fail(dataset, tmp_path, resume_path=resume_path)


def test_train_with_named_weights_insists_on_them(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("coco", "imagenet"):
        with pytest.raises(DownloadError, match=r"PADDLE_PDX_OFFLINE is set; .* put it at .*\.pdparams"):
            fail(dataset, tmp_path, pretrain_weights=name)
    with pytest.raises(WeightsError, match=r"absent\.pdparams: no such file"):
        fail(dataset, tmp_path, pretrain_weights="absent.pdparams")
