"""What is written down during a run, and how a signal ends it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
from pathlib import Path

import pytest
from toy import toy_checkpoints, toy_loop

from paddlex.structures.shapes import InstanceShapes
from paddlex.training.hooks import Hook, ProgressReport, StopOnSignal, _headline, describe_batch
from paddlex.training.loop import Loop, StepReport
from paddlex.training.metrics_log import MetricsLog, read_curves
from paddlex.training.run_log import RunLog
from paddlex.utils.errors import PaddleXError

LINE = re.compile(
    r"\[\d\d/\d\d \d\d:\d\d:\d\d\] paddlex INFO: Epoch: \[0\] \[2/5\] learning_rate: \S+ "
    r"loss_first: \d+\.\d{6} loss_second: \d+\.\d{6} loss: \d+\.\d{6} grad_norm: \d+\.\d{4} "
    r"eta: \d+:\d\d:\d\d batch_cost: \d+\.\d{4} data_cost: \d+\.\d{4} ips: \d+\.\d{4} images/s "
    r"memory: \d+ MB"
)


def test_train_log_has_a_line_every_interval_and_at_each_epochs_end(tmp_path: Path) -> None:
    with RunLog() as log:
        log.open(tmp_path / "train.log", append=False)
        toy_loop(tmp_path, epochs=2, hooks=[ProgressReport(2)]).run()
    text = (tmp_path / "train.log").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "Epoch:" in line]
    assert [re.search(r"\[(\d)/5\]", line)[1] for line in lines] == ["2", "4", "5", "1", "3", "5"]
    assert LINE.fullmatch(lines[0])
    assert "first batch: image: float32 (2, 3, 8, 8)" in text


def test_a_line_of_many_terms_leaves_the_auxiliary_ones_to_the_metrics_log() -> None:
    few = ["loss_box", "loss_box_aux", "loss"]
    assert _headline(few) == few
    many = [f"loss_{term}{kind}" for term in ("a", "b", "c") for kind in ("", "_aux", "_dn", "_aux_dn")]
    assert _headline([*many, "loss"]) == ["loss_a", "loss_b", "loss_c", "loss"]
    stages = [f"rcnn_{term}_stage{i}" for i in range(3) for term in ("cls", "reg")]
    assert _headline(["rpn_cls", "rpn_reg", *stages, "mask", "loss"])[2:-2] == stages


def test_metrics_log_has_a_line_for_each_step_and_evaluation(tmp_path: Path) -> None:
    toy_loop(tmp_path, epochs=2, hooks=[MetricsLog(tmp_path), toy_checkpoints(tmp_path, [0.25, 0.5])]).run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9]
    assert lines[5]["evaluation"] == {"AP": 0.25}
    assert {"loss", "loss_first", "learning_rate", "images_per_second", "memory_mb"} <= set(lines[0])
    losses, scores = read_curves(tmp_path)
    assert set(losses) == {"loss", "loss_first", "loss_second"} and len(losses["loss"]) == 10
    assert scores == {"AP": [(4, 0.25), (9, 0.5)]}


def test_every_loss_has_a_curve_whatever_its_name(tmp_path: Path) -> None:
    report = StepReport(
        step=0,
        epoch=0,
        losses={"rpn_cls": 0.5, "mask": 0.25, "loss": 0.75},
        learning_rate=0.1,
        gradient_norm=2.0,
        images=2,
        data_seconds=0.1,
        seconds=0.5,
    )
    log = MetricsLog(tmp_path)
    loop = toy_loop(tmp_path, epochs=1)
    log.before_training(loop)
    log.after_step(loop, report)
    log.close()
    assert read_curves(tmp_path)[0] == {"rpn_cls": [(0, 0.5)], "mask": [(0, 0.25)], "loss": [(0, 0.75)]}


def test_shapes_are_described_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    shapes = InstanceShapes.from_polygons([[[0, 0, 4, 0, 4, 4]]], size=(6, 8))
    with caplog.at_level(logging.INFO, "paddlex"):
        describe_batch({"gt_masks": [shapes, shapes[:0]]})
    assert caplog.messages == [
        "first batch: gt_masks: [1 polygon and 0 bitmap instances on 6 x 8 pixels; "
        "0 polygon and 0 bitmap instances on 6 x 8 pixels]"
    ]


def test_metrics_log_drops_steps_that_are_taken_again_and_a_torn_line(tmp_path: Path) -> None:
    old = [json.dumps({"step": step, "epoch": 0, "loss": 1.0}) for step in range(4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(old) + '\n{"step": 4, "lo')
    loop = toy_loop(tmp_path, epochs=1, hooks=[MetricsLog(tmp_path)])
    loop.position.step = loop.position.step_in_epoch = 2
    loop.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["loss"] == 1.0 for line in lines] == [True, True, False, False, False]


class Signal(Hook):
    """Sends this process a signal after so many steps."""

    def __init__(self, number: signal.Signals, *, after: int) -> None:
        self._number, self._after = number, after

    def after_step(self, loop: Loop, report: StepReport) -> None:
        if loop.position.step == self._after:
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_stops_with_one_line(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop, checkpoints = StopOnSignal(), toy_checkpoints(tmp_path)
    loop = toy_loop(tmp_path, hooks=[Signal(number, after=3), stop, checkpoints])
    with pytest.raises(PaddleXError, match=f"stopped by {number.name} after step 3 of 15.*resume_path=auto"):
        loop.run()
    assert signal.getsignal(number) == before
    resumed = toy_loop(tmp_path)
    checkpoints.resume(resumed, tmp_path / "latest" / "latest.pdparams")
    assert resumed.position.step == 3
