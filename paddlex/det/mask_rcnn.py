"""Mask R-CNN as PaddleX 2 calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from paddlex.modules.zoo import find_model
from paddlex.repo_apis.spec import ModelSpec
from paddlex.utils.errors import UsageError
from paddlex.utils.logging import logger
from paddlex.v2.detector import Detector

__all__ = ["MaskRCNN"]

_PADDLE_DETECTION = "https://paddledet.bj.bcebos.com/models"
_STRIDE = 32
# Model of the zoo by backbone; with a pyramid unless said otherwise.
_MODELS = {
    "ResNet50": "MaskRCNN-ResNet50-FPN",
    "ResNet50_vd": "MaskRCNN-ResNet50-vd-FPN",
    "ResNet50_vd_ssld": "MaskRCNN-ResNet50-vd-FPN",
    "ResNet101": "MaskRCNN-ResNet101-FPN",
    "ResNet101_vd": "MaskRCNN-ResNet101-vd-FPN",
}
_WITHOUT_PYRAMID = "MaskRCNN-ResNet50"
# A distilled backbone learns slowly.
_DISTILLED = "ResNet50_vd_ssld"
_DISTILLED_RATES = [0.05, 0.05, 0.1, 0.15]
_PRE_NMS, _PRE_NMS_WITHOUT_PYRAMID = 1000, 6000


class MaskRCNN(Detector):
    """Mask R-CNN (arXiv:1703.06870).

    Args:
        num_classes: classes, without the background.
        backbone: ResNet50, ResNet50_vd, ResNet50_vd_ssld, ResNet101 or ResNet101_vd.
        with_fpn: put a feature pyramid on it; without one is known for ResNet50 only.
        aspect_ratios: heights over widths of the anchors.
        anchor_sizes: sides of the anchors, pixels: a list for each of the pyramid's five levels. Without a
            pyramid all of them stand at its one level, and a flat list does, too.
        keep_top_k: most detections of a photo.
        nms_threshold: IoU above which the lower of two detections of a class is dropped.
        score_threshold: score that a detection exceeds.
        fpn_num_channels: width of the pyramid.
        rpn_batch_size_per_im: anchors of a photo that proposals learn from.
        rpn_fg_fraction: largest share of anchors with an object among them.
        test_pre_nms_top_n: boxes that enter the suppression of duplicate proposals, of each level; None: 1000
            with a pyramid, else 6000.
        test_post_nms_top_n: proposals of a photo that are left.

    Raises:
        UsageError: for a backbone that is none, or anchors that do not fit.
    """

    def __init__(
        self,
        num_classes: int = 80,
        backbone: str = "ResNet50_vd",
        with_fpn: bool = True,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        anchor_sizes: Sequence[Any] = ((32,), (64,), (128,), (256,), (512,)),
        keep_top_k: int = 100,
        nms_threshold: float = 0.5,
        score_threshold: float = 0.05,
        fpn_num_channels: int = 256,
        rpn_batch_size_per_im: int = 256,
        rpn_fg_fraction: float = 0.5,
        test_pre_nms_top_n: int | None = None,
        test_post_nms_top_n: int = 1000,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        if backbone not in _MODELS:
            raise UsageError(f"backbone: found {backbone!r}, expected one of {', '.join(_MODELS)}")
        if not with_fpn and backbone != "ResNet50":
            logger.warning("with_fpn=False: known for ResNet50 only; %s gets a pyramid", backbone)
            given["with_fpn"] = with_fpn = True
        given["aspect_ratios"] = [float(ratio) for ratio in aspect_ratios]
        given["anchor_sizes"] = _anchor_sizes(anchor_sizes, with_fpn=with_fpn)
        self._with_fpn = with_fpn
        super().__init__(
            _spec(backbone, with_fpn=with_fpn),
            num_classes=num_classes,
            options=_options(given),
            init_params=given,
        )

    def _padding(self) -> list[Any]:
        return [{"PadBatch": {"stride": _STRIDE if self._with_fpn else 1}}]

    def _operations(self, transforms: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        # The user's transforms need not know what sizes the pyramid can add up.
        stride = [{"type": "PadStride", "stride": _STRIDE}] if self._with_fpn else []
        return [*super()._operations(transforms), *stride]


def _spec(backbone: str, *, with_fpn: bool) -> ModelSpec:
    spec = find_model(_MODELS[backbone] if with_fpn else _WITHOUT_PYRAMID)
    if backbone != _DISTILLED:
        return spec
    return replace(
        spec,
        backbone_url=f"{_PADDLE_DETECTION}/pretrained/ResNet50_vd_ssld_v2_pretrained.pdparams",
        weights_url=f"{_PADDLE_DETECTION}/mask_rcnn_r50_vd_fpn_ssld_2x_coco.pdparams",
    )


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `build_mask_rcnn`, as plain data."""
    pre_nms = given["test_pre_nms_top_n"] or (_PRE_NMS if given["with_fpn"] else _PRE_NMS_WITHOUT_PYRAMID)
    options = {
        "anchor_sizes": given["anchor_sizes"],
        "anchor_ratios": given["aspect_ratios"],
        "test_proposals": {"pre_nms": pre_nms, "post_nms": given["test_post_nms_top_n"]},
        "rpn_criterion": {
            "samples_per_image": given["rpn_batch_size_per_im"],
            "positive_fraction": given["rpn_fg_fraction"],
        },
        "detection_limits": {
            "score_threshold": given["score_threshold"],
            "nms_iou": given["nms_threshold"],
            "keep_top_k": given["keep_top_k"],
        },
        # What the weights of PaddleX 2 were trained with.
        "aligned": True,
    }
    if given["with_fpn"]:
        options["fpn_width"] = given["fpn_num_channels"]
    if given["backbone"] == _DISTILLED:
        options["backbone_learning_rates"] = _DISTILLED_RATES
    return options


def _anchor_sizes(anchor_sizes: Sequence[Any], *, with_fpn: bool) -> list[list[float]]:
    """A list of sides for each level."""
    levels = [
        [float(side) for side in level] if isinstance(level, (list, tuple)) else [float(level)]
        for level in anchor_sizes
    ]
    if not with_fpn:
        return [[side for level in levels for side in level]]
    if len(levels) != 5 or len({len(level) for level in levels}) != 1 or not levels[0]:
        raise UsageError(
            f"anchor_sizes: found {anchor_sizes!r}, expected five lists of equal length, one for each level "
            "of the pyramid, such as [[32], [64], [128], [256], [512]]"
        )
    return levels
