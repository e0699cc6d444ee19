"""The network of a 2.x model, and the files it is saved to, loaded from and deployed as."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.export_int8 import sample_photos_for
from paddlex.modules.model_info import ModelInfo
from paddlex.modules.paddle_device import use_device
from paddlex.modules.quantize_run import QuantizationTask
from paddlex.modules.trained_network import save_network
from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.utils.errors import UsageError
from paddlex.utils.files import write_json
from paddlex.utils.logging import logger, set_up_logging
from paddlex.utils.pdparams import read_pdparams
from paddlex.v2.checks import require_positive
from paddlex.v2.rebuild import adopt_parameters, have_same_parameters
from paddlex.v2.saved_folder import WEIGHTS, write_description
from paddlex.v2.slimming import Analysis

__all__ = ["SavedModel"]

Status = Literal["Normal", "Pruned", "Quantized"]

_DETAILS = "eval_details.json"


class SavedModel(ABC):
    """A model of the 2.x API.

    Args:
        spec: the model of the zoo that it is made from.
        num_classes: classes, as the network counts them.
        options: keyword arguments of the builder above those of the recipe; plain data.
        init_params: arguments of the subclass, which `model.yml` keeps.

    Attributes:
        net: the network; an optimiser of your own takes `model.net.parameters()`.
        num_classes: classes.
        labels: names in order of class index, once a data set has told them.
        test_transforms: what is done to photos in evaluation and prediction, once a data set has told it.
        status: "Normal", "Pruned" or "Quantized".
        completed_epochs: epochs that the weights have been trained for.
        eval_metrics: of the last evaluation while training.
    """

    model_type: ClassVar[Literal["segmenter", "detector"]]
    # Metrics that are drawn, and their largest values.
    curves: ClassVar[Mapping[str, float]]

    def __init__(
        self,
        spec: ModelSpec,
        *,
        num_classes: int,
        options: Mapping[str, Any],
        init_params: Mapping[str, Any],
    ) -> None:
        set_up_logging()
        require_positive(num_classes, name="num_classes")
        self.spec, self.num_classes = spec, num_classes
        self.init_params = dict(init_params)
        self.labels: list[str] | None = None
        self.test_transforms: Any = None
        self.status: Status = "Normal"
        self.completed_epochs = 0
        self.eval_metrics: dict[str, float] = {}
        self._options = dict(options)
        self._eval_details: Mapping[str, Any] | None = None
        self._analysis: Analysis | None = None
        self._photos: list[NDArray[np.uint8]] = []
        use_device(None)
        self.net = self._build()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.init_params.items())
        return f"{type(self).__name__}({arguments})"

    @property
    def eval_transforms(self) -> Any:  # noqa: ANN401 (a Compose of any namespace)
        """The same as `test_transforms`."""
        return self.test_transforms

    # ---------------------------------------------------------------- what a kind of model brings

    @abstractmethod
    def evaluate(self, eval_dataset: Any, batch_size: int = 1, **options: Any) -> Any:  # noqa: ANN401
        """Score the network on a data set."""

    @abstractmethod
    def _score(
        self,
        dataset: Any,  # noqa: ANN401
        *,
        batch_size: int = 1,
    ) -> tuple[OrderedDict[str, Any], dict[str, Any]]:
        """(metrics, details) of a data set."""

    @abstractmethod
    def _fit_classes(self, labels: Sequence[str] | None, *, may_rebuild: bool) -> None:
        """Check that the network has the classes of a training set; rebuild it where that is clear."""

    @property
    @abstractmethod
    def _quantization_task(self) -> QuantizationTask:
        """How networks of this kind are run for calibration."""

    @abstractmethod
    def _padding(self) -> list[Any]:
        """What the network wants of a batch after the user's transforms."""

    @abstractmethod
    def _export_to(
        self, folder: Path, *, operations: Sequence[Mapping[str, Any]], photos: Sequence[NDArray[np.uint8]]
    ) -> dict[str, Any]:
        """Write the inference model, compared with the network on photos."""

    # ---------------------------------------------------------------- the network

    def _build(self) -> nn.Layer:
        return self.spec.build(num_classes=self.num_classes, **self._options)

    def _rebuild(self, options: Mapping[str, Any]) -> None:
        """Give the network other options; its parameters stay the objects that they are."""
        before = self.net
        self._rebuild_as(options)
        if self.net is not before and have_same_parameters(self.net, before):
            adopt_parameters(self.net, before)

    def _rebuild_as(self, options: Mapping[str, Any]) -> None:
        """Make the network anew if its options are others."""
        if dict(options) != self._options:
            self._options = dict(options)
            self.net = self._build()

    def _load(self, path: Path) -> None:
        """Fill the network, wholly."""
        arrays = read_pdparams(path)
        load_weights(
            self.net, arrays, source=str(path), allow_partial=False, num_classes=self.num_classes
        ).log(str(path))
        self.net.eval()

    def _default_labels(self) -> list[str]:
        return [f"class {index}" for index in range(self.num_classes)]

    def _transforms(self, given: Any) -> Any:  # noqa: ANN401 (a Compose of any namespace)
        """Those given, else those of the data set that training was evaluated on.

        Raises:
            UsageError: if there are none.
        """
        transforms = given if given is not None else self.test_transforms
        if transforms is None:
            raise UsageError(
                "transforms: the model knows none, since it was not trained with an eval_dataset; give "
                "transforms=paddlex.transforms.Compose([...])"
            )
        return transforms

    def _preprocessor(self, transforms: Any) -> Preprocessor:  # noqa: ANN401
        return Preprocessor(self._operations(transforms), where="transforms")

    def _operations(self, transforms: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        found: list[dict[str, Any]] = transforms.operations()
        return found

    # ---------------------------------------------------------------- files

    def save_model(self, save_dir: str | Path) -> None:
        """Save weights and description; `paddlex.load_model` reads the folder.

        Args:
            save_dir: is made if need be.
        """
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_network(self.net, folder / WEIGHTS, info=self._info(None))
        self._describe(folder)
        logger.info("Model saved in %s.", folder)

    def export_inference_model(
        self,
        save_dir: str | Path,
        fixed_input_shape: Sequence[int] | None = None,
        sample_photos: str | Path | None = None,
    ) -> dict[str, Any]:
        """Export for deployment to `save_dir/inference_model`; `create_model` opens it.

        The folder holds a Paddle graph that official PaddleX 3 opens and, with paddle2onnx, a fast ONNX
        graph; both have been compared with the network.

        Args:
            save_dir: a folder.
            fixed_input_shape: [height, width] that every photo is resized to; None: as `test_transforms` say.
            sample_photos: folder of photos that network and graphs are compared on, and that show a
                quantised model its ranges; None: some of the training's, where it was in this process, else
                drawn patterns.

        Returns:
            The model, its classes, the files, and the differences measured.

        Raises:
            UsageError: without `test_transforms`, or for a shape that is none.
            ExportError: if a graph cannot be made, or finds something else than the network does.
        """
        from paddlex.v2.fixed_shape import with_fixed_shape

        operations = self._operations(self._transforms(None))
        if fixed_input_shape is not None:
            keep_ratio = self.model_type == "detector"
            operations = with_fixed_shape(operations, fixed_input_shape, keep_ratio=keep_ratio)
        folder = Path(save_dir) / "inference_model"
        folder.mkdir(parents=True, exist_ok=True)
        photos = self._photos if sample_photos is None else []
        photos = photos or sample_photos_for(self.net, None if sample_photos is None else Path(sample_photos))
        fields = self._export_to(folder, operations=operations, photos=photos)
        write_description(folder, {**self._description(), "status": "Infer"})
        logger.info("Model exported to %s; open it with paddlex.create_model(%r)", folder, str(folder))
        return fields

    def _describe(self, folder: Path) -> None:
        if self._eval_details is not None:
            write_json(folder / _DETAILS, self._eval_details, indent=None)
        write_description(folder, self._description())

    def _description(self) -> dict[str, Any]:
        metrics = dict(list(self.eval_metrics.items())[:1])
        content: dict[str, Any] = {
            "Model": type(self).__name__,
            "_Attributes": {
                "model_type": self.model_type,
                "num_classes": self.num_classes,
                "labels": self.labels,
                "fixed_input_shape": None,
                "eval_metrics": metrics,
            },
            "_init_params": self.init_params,
            "completed_epochs": self.completed_epochs,
            "status": self.status,
        }
        if self.test_transforms is not None:
            content["Transforms"] = self.test_transforms.to_list()
        return content

    def _info(self, dataset: Any) -> ModelInfo:  # noqa: ANN401 (a data set of any kind, or None)
        """What the command line needs to use the weights."""
        labels = self.labels or self._default_labels()
        ids = getattr(getattr(dataset, "samples", None), "category_ids", None)
        operations = None
        if self.test_transforms is not None:
            operations = tuple(self._operations(self.test_transforms))
        return ModelInfo(
            model_name=self.spec.name,
            class_names=tuple(labels),
            category_ids=tuple(ids) if ids is not None else tuple(range(len(labels))),
            input_size=None,
            network=dict(self._options),
            preprocess=operations,
        )
