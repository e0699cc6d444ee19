"""Mask-RT-DETR-S with few queries and layers, so that a training step takes a fraction of a second.

As a script it trains, and may be killed: python tiny_model.py DATASET OUTPUT [--kill-after STEPS]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.options import TrainOptions


def build_tiny(*, num_classes: int, eval_size: tuple[int, int] = (64, 64), **options: Any) -> Any:
    from paddlex.repo_apis.paddle_detection.mask_rt_detr import build_mask_rt_detr_s

    small = {
        "num_queries": 20,
        "num_detections": 10,
        "num_denoising": 10,
        "num_decoder_layers": 2,
        "decoder_hidden_width": 64,
    }
    return build_mask_rt_detr_s(num_classes=num_classes, eval_size=eval_size, **{**small, **options})


def tiny_spec() -> ModelSpec:
    return dataclasses.replace(MODELS["Mask-RT-DETR-S"], builder="tiny_model:build_tiny")


def tiny_options(**changes: Any) -> TrainOptions:
    options = TrainOptions(
        epochs=2,
        batch_size=2,
        pretrain_weights="none",
        device="cpu",
        num_workers=0,
        input_size=64,
        log_interval=1,
    )
    return dataclasses.replace(options, **changes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kill-after", type=int)
    arguments = parser.parse_args()
    from paddlex.modules import training_run
    from paddlex.modules.instance_segmentation import trainer
    from paddlex.training.hooks import Hook
    from paddlex.training.loop import Loop, StepReport

    class KillAfter(Hook):
        def after_step(self, loop: Loop, report: StepReport) -> None:
            if loop.position.step == arguments.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

    run_init = training_run.TrainingRun.__init__

    def init_with_kill(self: Any, *args: Any, **kwargs: Any) -> None:
        run_init(self, *args, **kwargs)
        self.loop.hooks.append(KillAfter())

    training_run.TrainingRun.__init__ = init_with_kill
    trainer.train(
        spec=tiny_spec(),
        dataset_dir=arguments.dataset,
        output_dir=arguments.output,
        options=tiny_options(save_interval=1, resume_path="auto"),
        config_text="",
    )


if __name__ == "__main__":
    main()
