"""The loop: steps, accumulation, and a clean stop when numbers cease to be numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn
from pycocotools import mask as coco_mask
from toy import ToyLoader, toy_loop

from paddlex.nn import onednn
from paddlex.nn.convolution import Conv2D
from paddlex.structures.shapes import InstanceShapes
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop, Position, StepReport
from paddlex.training.optim import build_optimizer
from paddlex.utils.errors import TrainingDivergedError


class Record(Hook):
    def __init__(self) -> None:
        self.reports: list[StepReport] = []

    def after_step(self, loop: Loop, report: StepReport) -> None:
        self.reports.append(report)


def test_run_takes_every_batch_of_every_epoch(tmp_path: Path) -> None:
    record = Record()
    loop = toy_loop(tmp_path, epochs=2, hooks=[record])
    loop.run()
    assert [(report.epoch, report.step) for report in record.reports] == [(i // 5, i) for i in range(10)]
    assert {report.images for report in record.reports} == {2}
    assert (loop.position.epoch, loop.position.step) == (2, 10)
    assert record.reports[3].learning_rate == 0.01, "three steps of warm-up are over"


def test_only_training_steps_ask_onednn_for_convolutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    compute = Conv2D.forward

    def watched(layer: Conv2D, x: paddle.Tensor) -> paddle.Tensor:
        y = compute(layer, x)
        asked.append("_Convolve" in y.grad_fn.name())
        return y

    monkeypatch.setattr(Conv2D, "forward", watched)
    available = onednn._library() is not None
    loop = toy_loop(tmp_path, epochs=1)
    loop.run()
    loop.network.conv(paddle.zeros([1, 3, 6, 6]))
    assert asked == [available] * 5 + [False]


def test_an_optimiser_with_a_scheduler_follows_it_and_a_resumed_run_takes_it_up(tmp_path: Path) -> None:
    def rates(from_step: int) -> list[float]:
        record = Record()
        scheduler = paddle.optimizer.lr.PiecewiseDecay(boundaries=[2, 4], values=[0.4, 0.2, 0.1])
        loop = toy_loop(tmp_path, epochs=1, hooks=[record], scheduler=scheduler)
        loop.position = Position(step=from_step, step_in_epoch=from_step)
        loop.run()
        return [report.learning_rate for report in record.reports]

    assert rates(0) == [0.4, 0.4, 0.2, 0.2, 0.1]
    assert rates(3) == [0.2, 0.1]


def test_accumulation_takes_one_step_for_several_batches(tmp_path: Path) -> None:
    record = Record()
    toy_loop(tmp_path, epochs=1, hooks=[record], accumulate_steps=2).run()
    assert [report.images for report in record.reports] == [4, 4, 2]


class Regression(nn.Layer):
    """Mean squared error of one weight: linear in the photos, so accumulation is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, batch: dict[str, Any]) -> dict[str, paddle.Tensor]:
        return {"loss": ((batch["image"].mean(axis=[1, 2, 3]) * self.weight - 2.0) ** 2).mean()}


class Pieces:
    """Twelve fixed photos in batches of a given size."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size

    def __len__(self) -> int:
        return 12 // self._batch_size

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        photos = np.random.default_rng(0).random((12, 3, 4, 4), dtype=np.float32)
        for index in range(start, len(self)):
            part = slice(index * self._batch_size, (index + 1) * self._batch_size)
            yield {"image": photos[part], "image_id": list(range(12))[part]}


def test_accumulated_small_batches_equal_one_large_batch(tmp_path: Path) -> None:
    def trained(batch_size: int, accumulate_steps: int) -> float:
        network = Regression()
        Loop(
            network=network,
            loader=Pieces(batch_size),
            optimizer=build_optimizer(network.parameters(), algorithm="momentum", weight_decay=0.0),
            learning_rate=lambda _: 0.1,
            epochs=3,
            output_dir=tmp_path,
            accumulate_steps=accumulate_steps,
        ).run()
        return network.weight.item()

    assert trained(2, 3) == pytest.approx(trained(6, 1), rel=1e-6)


class Faulty(ToyLoader):
    """The third batch holds a NaN."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        for index, batch in enumerate(super().epoch(epoch, start=start), start=start):
            if index == 2:
                batch["target"][0, 0] = np.nan
            yield batch


def test_a_loss_that_is_not_finite_stops_with_term_step_photos_and_batch(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, loader=Faulty())
    with pytest.raises(TrainingDivergedError) as error:
        loop.run()
    message = str(error.value)
    assert "step 2" in message and "loss_first = nan" in message and "4, 5" in message
    assert "loss_second" not in message
    with np.load(tmp_path / "nonfinite_batch_step_2.npz") as saved:
        assert np.isnan(saved["0/target"][0, 0]) and saved["0/image"].shape == (2, 3, 8, 8)
    for value in loop.network.state_dict().values():
        assert np.isfinite(value.numpy()).all(), "the network is that of the last good step"


class Drawn(ToyLoader):
    """As Faulty, with masks as they were drawn."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        shapes = InstanceShapes.from_polygons([[[0, 0, 4, 0, 4, 4, 0, 4]]], size=(8, 8))
        for batch in super().epoch(epoch, start=start):
            batch["target"][0, 0] = np.nan
            yield {**batch, "gt_masks": [shapes, shapes[:0]]}


def test_a_saved_batch_holds_shapes_as_run_lengths(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError):
        toy_loop(tmp_path, loader=Drawn()).run()
    with np.load(tmp_path / "nonfinite_batch_step_0.npz") as saved:
        (rle,) = json.loads(str(saved["0/gt_masks/0"]))
        assert json.loads(str(saved["0/gt_masks/1"])) == []
    expected = np.zeros((8, 8), np.uint8)
    expected[:4, :4] = 1
    np.testing.assert_array_equal(coco_mask.decode(rle), expected)


class InfiniteSlope(nn.Layer):
    """A finite loss whose gradient is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.steep = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.0))

    def forward(self, batch: dict[str, Any]) -> dict[str, paddle.Tensor]:
        return {"loss": paddle.sqrt(self.steep).sum()}


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    network = InfiniteSlope()
    loop = Loop(
        network=network,
        loader=ToyLoader(),
        optimizer=build_optimizer(network.parameters(), algorithm="adamw", weight_decay=0.0),
        learning_rate=lambda _: 0.1,
        epochs=1,
        output_dir=tmp_path,
        clip_norm=1.0,
    )
    with pytest.raises(TrainingDivergedError, match="gradient of steep is not finite"):
        loop.run()
    assert network.steep.item() == 0.0
    assert (tmp_path / "nonfinite_batch_step_0.npz").is_file()
