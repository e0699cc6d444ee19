"""Networks that find instances, as PaddleX 2 calls them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.postprocess import postprocess
from paddlex.metrics.voc_ap import voc_average_precision
from paddlex.modules.evaluation_batches import evaluation_mode
from paddlex.modules.instance_segmentation.evaluator import evaluate_network, run_network
from paddlex.modules.instance_segmentation.exporter import export_network
from paddlex.modules.instance_segmentation.quantizer import INSTANCE_QUANTIZATION
from paddlex.modules.paddle_device import use_device
from paddlex.modules.quantize_run import QuantizationTask
from paddlex.repo_apis.recipe import Optimizer
from paddlex.structures.results import Detections
from paddlex.training.schedules import LearningRate
from paddlex.utils.errors import UsageError
from paddlex.utils.logging import logger
from paddlex.v2.checks import require_dataset, require_positive
from paddlex.v2.model import Model
from paddlex.v2.photos import ImageFile, read_photos

__all__ = ["Detector", "Metric"]

_MOMENTUM, _WEIGHT_DECAY = 0.9, 1e-4

Metric = Literal["COCO", "VOC"]
Metrics = OrderedDict[str, Any]
Instance = dict[str, Any]


class Detector(Model):
    """What `paddlex.det` offers; see `SavedModel` for the constructor and the attributes."""

    model_type: ClassVar = "detector"
    curves: ClassVar = {"segm_mmap": 1.0, "bbox_mmap": 1.0, "bbox_map": 100.0}

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401 (those of SavedModel)
        self._metric: Metric | None = None
        super().__init__(*args, **keywords)

    def train(
        self,
        num_epochs: int,
        train_dataset: Any,  # noqa: ANN401 (a data set of `paddlex.datasets`)
        train_batch_size: int = 64,
        eval_dataset: Any = None,  # noqa: ANN401
        optimizer: Any = None,  # noqa: ANN401 (paddle.optimizer.Optimizer)
        save_interval_epochs: int = 1,
        log_interval_steps: int = 10,
        save_dir: str = "output",
        pretrain_weights: str | None = "IMAGENET",
        learning_rate: float = 0.001,
        warmup_steps: int = 0,
        warmup_start_lr: float = 0.0,
        lr_decay_epochs: Sequence[int] = (216, 243),
        lr_decay_gamma: float = 0.1,
        metric: str | None = None,
        use_ema: bool = False,
        early_stop: bool = False,
        early_stop_patience: int = 5,
        use_vdl: bool = True,
        resume_checkpoint: str | None = None,
    ) -> None:
        """Train; piecewise decay, Momentum with L2.

        Args:
            num_epochs: length of the run.
            train_dataset: annotated photos with transforms.
            train_batch_size: photos per step.
            eval_dataset: photos that the model is scored on, and whose transforms it predicts with; or None.
            optimizer: over `model.net.parameters()`, with a rate or scheduler of its own; or None.
            save_interval_epochs: epochs between saved models and evaluations.
            log_interval_steps: steps between log lines.
            save_dir: gets `epoch_<n>/`, `best_model/` (highest first metric), train.log, curves.
            pretrain_weights: IMAGENET (the backbone), COCO (the whole network), a `.pdparams` file, or None.
            learning_rate: rate after the warm-up.
            warmup_steps: steps of linear warm-up, at most up to the first decay.
            warmup_start_lr: rate it begins at.
            lr_decay_epochs: epochs after which the rate is multiplied by
            lr_decay_gamma: this.
            metric: COCO, VOC, or None: as the data set.
            use_ema: score and save an exponential moving average of the weights.
            early_stop: end the run when the score no longer rises.
            early_stop_patience: evaluations in a row that it falls or stands still for that.
            use_vdl: write curves for VisualDL to `save_dir/vdl_log`.
            resume_checkpoint: folder of a saved model of an unfinished run to go on with; `pretrain_weights`
                must be None then.

        Raises:
            UsageError: for an argument that makes no sense.
            DatasetError: if the data sets do not fit.
            WeightsError, DownloadError: if start weights cannot be had.
        """
        self._train_piecewise(locals(), default_weights="IMAGENET")

    def quant_aware_train(
        self,
        num_epochs: int,
        train_dataset: Any,  # noqa: ANN401
        train_batch_size: int = 64,
        eval_dataset: Any = None,  # noqa: ANN401
        optimizer: Any = None,  # noqa: ANN401
        save_interval_epochs: int = 1,
        log_interval_steps: int = 10,
        save_dir: str = "output",
        learning_rate: float = 0.00001,
        warmup_steps: int = 0,
        warmup_start_lr: float = 0.0,
        lr_decay_epochs: Sequence[int] = (216, 243),
        lr_decay_gamma: float = 0.1,
        metric: str | None = None,
        use_ema: bool = False,
        early_stop: bool = False,
        early_stop_patience: int = 5,
        use_vdl: bool = True,
        quant_config: Mapping[str, Any] | None = None,
        resume_checkpoint: str | None = None,
    ) -> None:
        """Train on under quantisation, so that the exported model computes in 8-bit integers.

        Args:
            num_epochs: as `train`, like all arguments but one.
            train_dataset: as `train`.
            train_batch_size: as `train`.
            eval_dataset: as `train`.
            optimizer: as `train`.
            save_interval_epochs: as `train`.
            log_interval_steps: as `train`.
            save_dir: as `train`.
            learning_rate: as `train`.
            warmup_steps: as `train`.
            warmup_start_lr: as `train`.
            lr_decay_epochs: as `train`.
            lr_decay_gamma: as `train`.
            metric: as `train`.
            use_ema: as `train`.
            early_stop: as `train`.
            early_stop_patience: as `train`.
            use_vdl: as `train`.
            quant_config: keys of `paddlex.nn.quantization.QuantizationConfig`; None takes its defaults.
            resume_checkpoint: as `train`.

        Raises:
            UsageError: for a key or value that is none, or if the model is quantised in another way.
        """
        self._prepare_quantization(quant_config)
        self._train_piecewise({**locals(), "pretrain_weights": None}, default_weights=None)

    def _train_piecewise(self, arguments: Mapping[str, Any], *, default_weights: str | None) -> None:
        self._metric = _checked_metric(arguments["metric"])
        optimizer = Optimizer(type="momentum", momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY)
        self._train(
            arguments,
            recipe=replace(self.spec.recipe, optimizer=optimizer),
            learning_rate=lambda steps_per_epoch: _piecewise_rate(arguments, steps_per_epoch),
            default_weights=default_weights,
            use_ema=arguments["use_ema"],
        )

    # ---------------------------------------------------------------- scores and predictions

    def evaluate(  # type: ignore[override]
        self,
        eval_dataset: Any,  # noqa: ANN401
        batch_size: int = 1,
        metric: str | None = None,
        return_details: bool = False,
    ) -> Metrics | tuple[Metrics, dict[str, Any]]:
        """Score the network on a data set.

        Args:
            eval_dataset: annotated photos with transforms.
            batch_size: photos of one size that are run at once.
            metric: COCO, VOC, or None: as the data set.
            return_details: also give what was found.

        Returns:
            An OrderedDict. COCO: `bbox_mmap` and `segm_mmap`, mean average precision over IoU 0.50 to 0.95, 0
            to 1. VOC: `bbox_map`, mean average precision at IoU 0.5 over eleven recalls, percent. With
            `return_details` a tuple of it and {'bbox': [{image_id, category_id, bbox [x, y, w, h], score}],
            'mask': [{image_id, category_id, segmentation (RLE), score}], 'gt': the annotations}.
        """
        require_dataset(eval_dataset, name="eval_dataset")
        require_positive(batch_size, name="batch_size")
        use_device(None)
        self._metric = _checked_metric(metric)
        metrics, details = self._score(eval_dataset, batch_size=batch_size)
        return (metrics, details) if return_details else metrics

    def _score(self, dataset: Any, *, batch_size: int = 1) -> tuple[Metrics, dict[str, Any]]:  # noqa: ANN401
        report = evaluate_network(
            self.net,
            spec=self.spec,
            dataset=dataset.samples,
            preprocess=self._preprocessor(dataset.transforms),
            batch_size=batch_size,
            num_workers=dataset.num_workers,
        )
        truth = dataset.samples.ground_truth()
        details = {"bbox": report["predictions"]["bbox"], "mask": report["predictions"]["segm"], "gt": truth}
        if (self._metric or dataset.metric_kind) == "VOC":
            found = voc_average_precision(truth, details["bbox"])
            mean = float(np.mean(list(found.values()))) if found else float("nan")
            return OrderedDict([("bbox_map", 100 * mean)]), details
        scores = report["metrics"]
        return OrderedDict([("bbox_mmap", scores["bbox_AP"]), ("segm_mmap", scores["AP"])]), details

    def predict(
        self,
        img_file: ImageFile | Sequence[ImageFile],
        transforms: Any = None,  # noqa: ANN401 (a Compose of any namespace)
    ) -> list[Instance] | list[list[Instance]]:
        """Find instances.

        Args:
            img_file: a path, a BGR array (H, W, 3), or a list of these, of any sizes.
            transforms: what is done to a photo first; None: as in the evaluations of the training.

        Returns:
            A list of dicts, best score first: `category_id` (class index), `category`, `bbox`
            [xmin, ymin, w, h], `mask` (H, W) uint8 of the photo's size, `score`; for a list of photos a list
            of such lists.

        Raises:
            UsageError: if there are no transforms.
            InputError, ImageReadError: for what is no photo.
        """
        preprocess = self._preprocessor(self._transforms(transforms))
        photos, is_list = read_photos(img_file)
        use_device(None)
        labels = self.labels or self._default_labels()
        results: list[list[Instance]] = []
        with evaluation_mode(self.net):
            for photo in photos:
                (raw,) = run_network(self.net, Preprocessor.stack([preprocess(photo)]))
                found = postprocess(raw, size=(photo.shape[0], photo.shape[1]))
                results.append(_instances(found, labels=labels))
        return results if is_list else results[0]

    # ---------------------------------------------------------------- what differs from segmenters

    def _fit_classes(self, labels: Sequence[str] | None, *, may_rebuild: bool) -> None:
        labels = list(labels or ())
        if len(labels) == self.num_classes:
            return
        told = f"train_dataset has {len(labels)} classes ({', '.join(labels)})"
        counts_background = self.num_classes == len(labels) + 1
        if not (counts_background and may_rebuild and self.status == "Normal" and not self.completed_epochs):
            raise UsageError(
                f"num_classes: {type(self).__name__} was made for {self.num_classes}, {told}; the background "
                f"does not count: give num_classes={len(labels)}"
            )
        logger.warning(
            "num_classes: found %d, %s: the background seems to be counted, as PaddleX 1 did. It is not "
            "counted here; the network is made anew for %d",
            *(self.num_classes, told, len(labels)),
        )
        self.num_classes = len(labels)
        self.init_params["num_classes"] = len(labels)
        self.net = self._build()

    @property
    def _quantization_task(self) -> QuantizationTask:
        return INSTANCE_QUANTIZATION

    def _export_to(
        self, folder: Path, *, operations: Sequence[Mapping[str, Any]], photos: Sequence[NDArray[np.uint8]]
    ) -> dict[str, Any]:
        return export_network(
            self.net,
            spec=self.spec,
            class_names=self.labels or self._default_labels(),
            input_size=None,
            folder=folder,
            sample_images=photos,
            operations=operations,
            options=self._options,
        )


def _instances(found: Detections, *, labels: Sequence[str]) -> list[Instance]:
    order = np.argsort(-found.scores, kind="stable")
    return [_instance(found, int(index), labels=labels) for index in order]


def _instance(found: Detections, index: int, *, labels: Sequence[str]) -> Instance:
    x1, y1, x2, y2 = found.boxes[index].tolist()
    class_id = int(found.class_ids[index])
    mask: NDArray[np.uint8] = found.masks.dense(index).astype(np.uint8)
    return {
        "category_id": class_id,
        "category": labels[class_id],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "mask": mask,
        "score": float(found.scores[index]),
    }


def _checked_metric(metric: str | None) -> Metric | None:
    if metric is None:
        return None
    if not isinstance(metric, str) or metric.upper() not in ("COCO", "VOC"):
        raise UsageError(f"metric: found {metric!r}, expected COCO, VOC or None")
    return "COCO" if metric.upper() == "COCO" else "VOC"


def _piecewise_rate(arguments: Mapping[str, Any], steps_per_epoch: int) -> LearningRate:
    epochs, rate = arguments["num_epochs"], arguments["learning_rate"]
    decays, warmup = sorted(arguments["lr_decay_epochs"]), arguments["warmup_steps"]
    first = (decays[0] if decays else epochs) * steps_per_epoch
    if warmup > first:
        raise UsageError(
            f"warmup_steps: found {warmup}, but the rate decays, or the run ends, after {first} steps; give "
            "fewer, or later lr_decay_epochs"
        )
    return LearningRate(
        base=rate,
        total_steps=epochs * steps_per_epoch,
        decay="piecewise",
        milestones=tuple(epoch / epochs for epoch in decays),
        gamma=arguments["lr_decay_gamma"],
        warmup_steps=warmup,
        warmup_start=arguments["warmup_start_lr"] / rate,
    )
