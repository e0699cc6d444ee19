"""What detectors and segmenters share: a network, its data set's facts, training, saving, export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import paddle
from paddle import nn

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.paddle_device import use_device
from paddlex.modules.start_weights import StartWeights
from paddlex.nn.quantization import QuantizationConfig, quantize_network
from paddlex.repo_apis.recipe import Recipe
from paddlex.repo_apis.spec import ModelSpec
from paddlex.repo_apis.weights import load_weights
from paddlex.training.checkpoint import read_facts
from paddlex.training.results import Evaluated
from paddlex.training.schedules import LearningRate
from paddlex.training.tensors import snapshot
from paddlex.utils.errors import UsageError
from paddlex.utils.files import atomic_path, write_json
from paddlex.utils.logging import logger, set_up_logging
from paddlex.utils.pdparams import read_pdparams
from paddlex.v2.checks import checkpoint_file, require_datasets, require_positive
from paddlex.v2.pretrained import find_pretrained
from paddlex.v2.rebuild import adopt_parameters
from paddlex.v2.run import EpochRun, run_epochs
from paddlex.v2.saved_folder import WEIGHTS, write_description

__all__ = ["Model", "TrainArguments"]

TrainArguments = Mapping[str, Any]
Status = Literal["Normal", "Pruned", "Quantized"]

_DETAILS = "eval_details.json"


class Model(ABC):
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
    # The metric that the best model is chosen by, and what is drawn.
    curves: ClassVar[tuple[str, ...]]

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
    def _score(self, dataset: Any) -> tuple[OrderedDict[str, Any], dict[str, Any]]:  # noqa: ANN401
        """(metrics, details) of a data set, for the evaluations of a training."""

    @abstractmethod
    def _fit_classes(self, labels: Sequence[str] | None, *, may_rebuild: bool) -> None:
        """Check that the network has the classes of a training set; rebuild it where that is clear."""

    @abstractmethod
    def _padding(self) -> list[Any]:
        """What the network wants of a batch after the user's transforms."""

    @abstractmethod
    def _export_to(self, folder: Path, *, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Write the inference model."""

    # ---------------------------------------------------------------- training

    def _train(
        self,
        arguments: TrainArguments,
        *,
        recipe: Recipe,
        learning_rate: Callable[[int], LearningRate],
        default_weights: str | None,
        use_ema: bool = False,
    ) -> None:
        """Train as the arguments of `train` or `quant_aware_train` say.

        Args:
            arguments: by name; those that every kind of model has.
            recipe: optimiser, clipping and average.
            learning_rate: from the steps of an epoch.
            default_weights: name of the start weights that a user who names none gets.
            use_ema: average the weights.
        """
        train, evaluation = arguments["train_dataset"], arguments["eval_dataset"]
        require_datasets(train, evaluation, batch_size=arguments["train_batch_size"])
        for name in ("num_epochs", "save_interval_epochs", "log_interval_steps", "early_stop_patience"):
            require_positive(arguments[name], name=name)
        optimizer = arguments["optimizer"]
        self._fit_classes(train.labels, may_rebuild=optimizer is None)
        resume_from = checkpoint_file(arguments["resume_checkpoint"], arguments["pretrain_weights"])
        start = self._start(arguments["pretrain_weights"], default=default_weights, resume_from=resume_from)
        self.labels = list(train.labels) if train.labels else self._default_labels()
        if evaluation is not None:
            self.test_transforms = evaluation.transforms
        use_device(None)
        self.net.train()
        self.completed_epochs = run_epochs(
            EpochRun(
                network=self.net,
                info=self._info(train),
                recipe=recipe,
                dataset=train,
                batch_transforms=train.transforms.batch_chain(extra=self._padding()),
                epochs=arguments["num_epochs"],
                batch_size=arguments["train_batch_size"],
                learning_rate=learning_rate,
                optimizer=optimizer,
                evaluate=None if evaluation is None else partial(self._evaluate_in_run, evaluation),
                save_dir=Path(arguments["save_dir"]),
                save_interval=arguments["save_interval_epochs"],
                log_interval=arguments["log_interval_steps"],
                early_stop_patience=arguments["early_stop_patience"] if arguments["early_stop"] else None,
                use_ema=use_ema,
                use_visualdl=arguments["use_vdl"],
                from_scratch=start.from_scratch,
                resume_from=resume_from,
                complete=self._complete,
                curves=self.curves,
            )
        )
        self.net.eval()

    def _start(self, wanted: str | None, *, default: str | None, resume_from: Path | None) -> StartWeights:
        """Bring the network to where training starts; a checkpoint's weights are read by the run."""
        if resume_from is not None:
            facts = read_facts(resume_from)
            start = StartWeights(from_scratch=bool(facts["from_scratch"]), network=facts.get("network", {}))
        elif wanted is None and (self.completed_epochs or self.status != "Normal"):
            # The network goes on with the weights it has.
            return StartWeights(from_scratch=False)
        else:
            start = find_pretrained(self.spec, wanted, default=default)
        self._rebuild({**self._options, **start.network})
        start.apply(self.net)
        return start

    def _evaluate_in_run(self, dataset: Any) -> tuple[float, dict[str, float]]:  # noqa: ANN401
        metrics, details = self._score(dataset)
        self._eval_details = details
        numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, float)}
        return next(iter(numbers.values())), numbers

    def _complete(self, folder: Path, entry: Evaluated) -> None:
        self.completed_epochs, self.eval_metrics = entry.epoch, dict(entry.metrics)
        self._describe(folder)

    def _prepare_quantization(self, quant_config: Mapping[str, Any] | None) -> None:
        """Let the network see quantised numbers from now on."""
        config = QuantizationConfig.from_mapping(quant_config)
        quantize_network(self.net, config)
        self._options["quantization"] = config.to_mapping()
        self.status = "Quantized"

    # ---------------------------------------------------------------- the network

    def _build(self) -> nn.Layer:
        return self.spec.build(num_classes=self.num_classes, **self._options)

    def _rebuild(self, options: Mapping[str, Any]) -> None:
        """Give the network other options; its parameters stay the objects that they are."""
        before = self.net
        self._rebuild_as(options)
        if self.net is not before:
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
        with atomic_path(folder / WEIGHTS) as temporary:
            paddle.save(snapshot(dict(self.net.state_dict())), str(temporary))
        write_model_info(folder / WEIGHTS, self._info(None))
        self._describe(folder)
        logger.info("Model saved in %s.", folder)

    def export_inference_model(
        self, save_dir: str | Path, fixed_input_shape: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Export for deployment to `save_dir/inference_model`; `create_model` opens it.

        The folder holds a Paddle graph that official PaddleX 3 opens and, with paddle2onnx, a fast ONNX
        graph; both have been compared with the network.

        Args:
            save_dir: a folder.
            fixed_input_shape: [height, width] that every photo is resized to; None: as `test_transforms` say.

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
        fields = self._export_to(folder, operations=operations)
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
