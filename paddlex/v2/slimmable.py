"""Pruning and quantisation of a 2.x model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddlex.compression.calibrate import CalibrationMethod
from paddlex.compression.prune import PruneResult, require_whole
from paddlex.modules.paddle_device import use_device
from paddlex.modules.quantize_run import calibrated_network
from paddlex.modules.trained_network import TrainedNetwork
from paddlex.nn.quantization import QuantizationConfig
from paddlex.v2.base import SavedModel
from paddlex.v2.checks import (
    require_dataset,
    require_positive,
)
from paddlex.v2.slimming import analyze, prune_by, spread_photos

__all__ = ["SlimmableModel"]


class SlimmableModel(SavedModel):
    """A model that can be made smaller and faster; see `SavedModel`."""

    def analyze_sensitivity(
        self,
        dataset: Any,  # noqa: ANN401 (a data set of `paddlex.datasets`)
        batch_size: int = 8,
        criterion: str = "l1_norm",
        save_dir: str = "output",
    ) -> None:
        """Measure what each group of channels is worth: the loss of score at 10 to 90 percent removed.

        Takes up to nine evaluations of the data set for each group; an interrupted analysis goes on where it
        stopped.

        Args:
            dataset: photos with annotations and transforms.
            batch_size: photos of one size that are run at once.
            criterion: which channels of a group go first: those of the least mean absolute weight
                (`l1_norm`), or those nearest to all others (`fpgm`, arXiv:1811.00250).
            save_dir: gets `model.sensi.data`, JSON.

        Raises:
            UsageError: for an argument that makes no sense.
            PruneError: if the model is pruned, or the file there belongs to something else.
        """
        require_dataset(dataset, name="dataset")
        require_positive(batch_size, name="batch_size")
        use_device(None)
        require_whole(self.net)
        self._analysis = analyze(
            self.net,
            dataset=dataset,
            preprocess=self._preprocessor(dataset.transforms),
            evaluate=lambda: self._first_score(dataset, batch_size=batch_size),
            criterion=criterion,
            save_dir=Path(save_dir),
        )

    def prune(self, pruned_flops: float, save_dir: str | None = None) -> PruneResult:
        """Remove channels until a share of the operations is gone; `train` again afterwards.

        Args:
            pruned_flops: that share, between 0 and 1.
            save_dir: gets the pruned model; None saves nothing.

        Returns:
            What was removed, operations and weights before and after.

        Raises:
            PruneError: before `analyze_sensitivity`, a second time, or for a share that cannot be had.
        """
        result = prune_by(self.net, self._analysis, pruned_flops=pruned_flops)
        self._analysis = None
        self._options["channels"] = dict(result.channels)
        self.status = "Pruned"
        if save_dir is not None:
            self.save_model(save_dir)
        return result

    def quantize(
        self,
        dataset: Any,  # noqa: ANN401 (a data set of `paddlex.datasets`)
        save_dir: str | None = None,
        quant_config: Mapping[str, Any] | None = None,
        method: CalibrationMethod = "percentile",
        num_photos: int = 32,
    ) -> dict[str, Any] | None:
        """Quantise without training: photos show the ranges of what flows through the network.

        Args:
            dataset: photos like those to come, such as the training set; annotations are not used. Its
                transforms are taken only where the model knows none.
            save_dir: gets the quantised model and, as `inference_model/`, its int8 graph; None: neither.
            quant_config: keys of `paddlex.nn.quantization.QuantizationConfig`; None takes its defaults.
            method: how ranges are chosen: `minmax`, `percentile` or `entropy`.
            num_photos: so many of the data set are looked at.

        Returns:
            With `save_dir` what `export_inference_model` returns, else None.

        Raises:
            UsageError: for a key or value that is none, or if the model is quantised already.
        """
        require_dataset(dataset, name="dataset")
        require_positive(num_photos, name="num_photos")
        use_device(None)
        self.test_transforms = self.test_transforms or dataset.transforms
        self._photos = spread_photos(dataset.samples, num_photos)
        quantized = calibrated_network(
            self._quantization_task,
            self._as_trained(self._operations(self.test_transforms)),
            spec=self.spec,
            images=self._photos,
            config=QuantizationConfig.from_mapping(quant_config),
            method=method,
        )
        self.net, self._options = quantized.network, dict(quantized.options)
        self.status = "Quantized"
        if save_dir is None:
            return None
        self.save_model(save_dir)
        return self.export_inference_model(save_dir)

    def _as_trained(self, operations: Sequence[Mapping[str, Any]]) -> TrainedNetwork:
        return TrainedNetwork(
            network=self.net,
            class_names=tuple(self.labels or self._default_labels()),
            names_known=self.labels is not None,
            input_size=self.spec.recipe.input_size,
            operations=operations,
            options=dict(self._options),
        )

    def _first_score(self, dataset: Any, *, batch_size: int) -> float:  # noqa: ANN401
        metrics, _ = self._score(dataset, batch_size=batch_size)
        return float(next(iter(metrics.values())))
