"""Every documented argument of the 2.x API, in its place and with its default."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import paddlex as pdx

SEGMENTER = {
    "train": "num_epochs, train_dataset, train_batch_size=2, eval_dataset=None, optimizer=None, "
    "save_interval_epochs=1, log_interval_steps=2, save_dir='output', pretrain_weights='CITYSCAPES', "
    "learning_rate=0.01, lr_decay_power=0.9, early_stop=False, early_stop_patience=5, use_vdl=True, "
    "resume_checkpoint=None",
    "evaluate": "eval_dataset, batch_size=1, return_details=False",
    "predict": "img_file, transforms=None",
    "analyze_sensitivity": "dataset, batch_size=8, criterion='l1_norm', save_dir='output'",
    "prune": "pruned_flops, save_dir=None",
    "quant_aware_train": "num_epochs, train_dataset, train_batch_size=2, eval_dataset=None, optimizer=None, "
    "save_interval_epochs=1, log_interval_steps=2, save_dir='output', learning_rate=0.0001, "
    "lr_decay_power=0.9, early_stop=False, early_stop_patience=5, use_vdl=True, quant_config=None",
}
DETECTOR = {
    "train": "num_epochs, train_dataset, train_batch_size=64, eval_dataset=None, optimizer=None, "
    "save_interval_epochs=1, log_interval_steps=10, save_dir='output', pretrain_weights='IMAGENET', "
    "learning_rate=.001, warmup_steps=0, warmup_start_lr=0.0, lr_decay_epochs=(216, 243), "
    "lr_decay_gamma=0.1, metric=None, use_ema=False, early_stop=False, early_stop_patience=5, use_vdl=True, "
    "resume_checkpoint=None",
    "evaluate": "eval_dataset, batch_size=1, metric=None, return_details=False",
    "predict": SEGMENTER["predict"],
    "analyze_sensitivity": SEGMENTER["analyze_sensitivity"],
    "prune": SEGMENTER["prune"],
    "quant_aware_train": "num_epochs, train_dataset, train_batch_size=64, eval_dataset=None, optimizer=None, "
    "save_interval_epochs=1, log_interval_steps=10, save_dir='output', learning_rate=.00001, warmup_steps=0, "
    "warmup_start_lr=0.0, lr_decay_epochs=(216, 243), lr_decay_gamma=0.1, metric=None, use_ema=False, "
    "early_stop=False, early_stop_patience=5, use_vdl=True, quant_config=None",
}
CONSTRUCTORS = {
    "det.MaskRCNN": "num_classes=80, backbone='ResNet50_vd', with_fpn=True, aspect_ratios=[0.5, 1.0, 2.0], "
    "anchor_sizes=[[32], [64], [128], [256], [512]], keep_top_k=100, nms_threshold=0.5, "
    "score_threshold=0.05, fpn_num_channels=256, rpn_batch_size_per_im=256, rpn_fg_fraction=0.5, "
    "test_pre_nms_top_n=None, test_post_nms_top_n=1000",
    "seg.DeepLabV3P": "num_classes=2, backbone='ResNet50_vd', use_mixed_loss=False, output_stride=8, "
    "backbone_indices=(0, 3), aspp_ratios=(1, 12, 24, 36), aspp_out_channels=256, align_corners=False",
    "seg.BiSeNetV2": "num_classes=2, use_mixed_loss=False, align_corners=False",
    "seg.UNet": "num_classes=2, use_mixed_loss=False, use_deconv=False, align_corners=False",
    "seg.HRNet": "num_classes=2, width=48, use_mixed_loss=False, align_corners=False",
    "seg.FastSCNN": "num_classes=2, use_mixed_loss=False, align_corners=False",
}


def _find(path: str) -> Any:
    package, name = path.split(".")
    return getattr(getattr(pdx, package), name)


def _documented(text: str) -> dict[str, Any]:
    found = eval(f"lambda {text}: None")  # the constants above
    return {name: _plain(value.default) for name, value in inspect.signature(found).parameters.items()}


def _actual(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: _plain(value.default) for name, value in parameters.items() if name != "self"}


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("path", CONSTRUCTORS)
def test_constructors_take_what_is_documented(path: str) -> None:
    expected, actual = _documented(CONSTRUCTORS[path]), _actual(_find(path))
    assert list(actual.items()) == list(expected.items())


@pytest.mark.parametrize("path", CONSTRUCTORS)
@pytest.mark.parametrize("method", SEGMENTER)
def test_methods_take_what_is_documented(path: str, method: str) -> None:
    documented = (DETECTOR if path.startswith("det.") else SEGMENTER)[method]
    expected, actual = _documented(documented), _actual(getattr(_find(path), method))
    # Further arguments may follow.
    assert list(actual.items())[: len(expected)] == list(expected.items())
