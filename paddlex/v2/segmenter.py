"""Networks that give every pixel a class, as PaddleX 2 calls them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.batch import collate
from paddlex.modules.evaluation_batches import evaluation_mode
from paddlex.modules.paddle_device import use_device
from paddlex.modules.quantize_run import QuantizationTask
from paddlex.modules.semantic_segmentation.evaluator import evaluate_network, run_network
from paddlex.modules.semantic_segmentation.exporter import export_network
from paddlex.modules.semantic_segmentation.quantizer import SEMANTIC_QUANTIZATION
from paddlex.repo_apis.recipe import Optimizer
from paddlex.training.schedules import LearningRate
from paddlex.utils.errors import UsageError
from paddlex.v2.checks import require_dataset, require_positive
from paddlex.v2.model import Model
from paddlex.v2.photos import ImageFile, read_photos

__all__ = ["Segmenter"]

_MOMENTUM, _WEIGHT_DECAY = 0.9, 4e-5

Metrics = OrderedDict[str, Any]


class Segmenter(Model):
    """What `paddlex.seg` offers; see `SavedModel` for the constructor and the attributes."""

    model_type: ClassVar = "segmenter"
    curves: ClassVar = {"miou": 1.0, "oacc": 1.0}

    # The names are the API's; what they mean is told once, here.
    def train(
        self,
        num_epochs: int,
        train_dataset: Any,  # noqa: ANN401 (a data set of `paddlex.datasets`)
        train_batch_size: int = 2,
        eval_dataset: Any = None,  # noqa: ANN401
        optimizer: Any = None,  # noqa: ANN401 (paddle.optimizer.Optimizer)
        save_interval_epochs: int = 1,
        log_interval_steps: int = 2,
        save_dir: str = "output",
        pretrain_weights: str | None = "CITYSCAPES",
        learning_rate: float = 0.01,
        lr_decay_power: float = 0.9,
        early_stop: bool = False,
        early_stop_patience: int = 5,
        use_vdl: bool = True,
        resume_checkpoint: str | None = None,
    ) -> None:
        """Train; polynomial decay, Momentum with L2.

        Args:
            num_epochs: length of the run.
            train_dataset: photos with masks and transforms.
            train_batch_size: photos per step.
            eval_dataset: photos that the model is scored on, and whose transforms it predicts with; or None.
            optimizer: over `model.net.parameters()`, with a rate or scheduler of its own; or None.
            save_interval_epochs: epochs between saved models and evaluations.
            log_interval_steps: steps between log lines.
            save_dir: gets `epoch_<n>/`, `best_model/` (highest `miou`), train.log, curves.
            pretrain_weights: CITYSCAPES, PascalVOC or IMAGENET where the model has them, a `.pdparams` file,
                or None.
            learning_rate: first rate.
            lr_decay_power: of the polynomial.
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
        self._train_polynomial(locals(), default_weights="CITYSCAPES")

    def quant_aware_train(
        self,
        num_epochs: int,
        train_dataset: Any,  # noqa: ANN401
        train_batch_size: int = 2,
        eval_dataset: Any = None,  # noqa: ANN401
        optimizer: Any = None,  # noqa: ANN401
        save_interval_epochs: int = 1,
        log_interval_steps: int = 2,
        save_dir: str = "output",
        learning_rate: float = 0.0001,
        lr_decay_power: float = 0.9,
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
            lr_decay_power: as `train`.
            early_stop: as `train`.
            early_stop_patience: as `train`.
            use_vdl: as `train`.
            quant_config: keys of `paddlex.nn.quantization.QuantizationConfig`; None takes its defaults.
            resume_checkpoint: as `train`.

        Raises:
            UsageError: for a key or value that is none, or if the model is quantised in another way.
        """
        self._prepare_quantization(quant_config)
        self._train_polynomial({**locals(), "pretrain_weights": None}, default_weights=None)

    def _train_polynomial(self, arguments: Mapping[str, Any], *, default_weights: str | None) -> None:
        recipe = replace(
            self.spec.recipe,
            optimizer=Optimizer(type="momentum", momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY),
            ema=None,
        )

        def learning_rate(steps_per_epoch: int) -> LearningRate:
            return LearningRate(
                base=arguments["learning_rate"],
                total_steps=steps_per_epoch * arguments["num_epochs"],
                decay="polynomial",
                power=arguments["lr_decay_power"],
            )

        self._train(arguments, recipe=recipe, learning_rate=learning_rate, default_weights=default_weights)

    # ---------------------------------------------------------------- scores and predictions

    def evaluate(  # type: ignore[override]
        self,
        eval_dataset: Any,  # noqa: ANN401
        batch_size: int = 1,
        return_details: bool = False,
    ) -> Metrics | tuple[Metrics, dict[str, Any]]:
        """Score the network on a data set, each photo at its own size.

        Args:
            eval_dataset: photos with masks and transforms.
            batch_size: photos of one size that are run at once.
            return_details: also give the confusion matrix.

        Returns:
            An OrderedDict: `miou`, `category_iou` (a class that neither occurs nor is predicted counts 0),
            `oacc` (overall accuracy), `category_acc` (precision of each class), `kappa`,
            `category_F1-score`. With `return_details` a tuple of it and
            {'confusion_matrix': rows labelled, columns predicted, pixels}.
        """
        require_dataset(eval_dataset, name="eval_dataset")
        require_positive(batch_size, name="batch_size")
        use_device(None)
        metrics, details = self._score(eval_dataset, batch_size=batch_size)
        return (metrics, details) if return_details else metrics

    def _score(self, dataset: Any, *, batch_size: int = 1) -> tuple[Metrics, dict[str, Any]]:  # noqa: ANN401
        report = evaluate_network(
            self.net,
            dataset=dataset.samples,
            preprocess=self._preprocessor(dataset.transforms),
            batch_size=batch_size,
            num_workers=dataset.num_workers,
        )
        confusion = report["confusion"]
        iou = confusion.iou(absent=0.0)
        metrics: Metrics = OrderedDict(
            [
                ("miou", float(iou.mean())),
                ("category_iou", iou),
                ("oacc", confusion.overall_accuracy),
                ("category_acc", confusion.precision()),
                ("kappa", confusion.kappa),
                ("category_F1-score", confusion.dice()),
            ]
        )
        return metrics, {"confusion_matrix": confusion.counts.tolist()}

    def predict(
        self,
        img_file: ImageFile | Sequence[ImageFile],
        transforms: Any = None,  # noqa: ANN401 (a Compose of any namespace)
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Give every pixel a class.

        Args:
            img_file: a path, a BGR array (H, W, 3), or a list of these, of any sizes.
            transforms: what is done to a photo first; None: as in the evaluations of the training.

        Returns:
            {'label_map': (H, W) int32, 'score_map': (H, W, classes) float32 probabilities}, at the photo's
            size; for a list a list of these.

        Raises:
            UsageError: if there are no transforms.
            InputError, ImageReadError: for what is no photo.
        """
        preprocess = self._preprocessor(self._transforms(transforms))
        photos, is_list = read_photos(img_file)
        use_device(None)
        results = []
        with evaluation_mode(self.net):
            for photo in photos:
                sample = preprocess.prepare(photo)
                (raw,) = run_network(self.net, collate([sample])["image"])
                results.append(
                    {"label_map": raw.to_label_map(sample.moves), "score_map": raw.to_score_map(sample.moves)}
                )
        return results if is_list else results[0]

    # ---------------------------------------------------------------- what differs from detectors

    def _fit_classes(self, labels: Sequence[str] | None, *, may_rebuild: bool) -> None:
        if labels is None or len(labels) == self.num_classes:
            return
        raise UsageError(
            f"num_classes: {type(self).__name__} was made for {self.num_classes}, the label list of "
            f"train_dataset names {len(labels)} ({', '.join(labels)}); every line of it counts, that of the "
            f"background included: give num_classes={len(labels)}"
        )

    def _padding(self) -> list[Any]:
        return []

    @property
    def _quantization_task(self) -> QuantizationTask:
        return SEMANTIC_QUANTIZATION

    def _export_to(
        self, folder: Path, *, operations: Sequence[Mapping[str, Any]], photos: Sequence[NDArray[np.uint8]]
    ) -> dict[str, Any]:
        return export_network(
            self.net,
            spec=self.spec,
            class_names=self.labels or self._default_labels(),
            folder=folder,
            sample_images=photos,
            operations=operations,
            options=self._options,
        )
