"""Training of a 2.x model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from paddlex.modules.paddle_device import use_device
from paddlex.modules.start_weights import StartWeights
from paddlex.nn.quantization import QuantizationConfig, quantize_network
from paddlex.repo_apis.recipe import Recipe
from paddlex.training.checkpoint import read_facts
from paddlex.training.results import Evaluated
from paddlex.training.schedules import LearningRate
from paddlex.v2.base import SavedModel
from paddlex.v2.checks import (
    checkpoint_file,
    require_datasets,
    require_parameters,
    require_positive,
)
from paddlex.v2.pretrained import find_pretrained
from paddlex.v2.run import EpochRun, run_epochs
from paddlex.v2.slimming import spread_photos

__all__ = ["TrainableModel"]

# Of the training set, for the comparison at export.
_SAMPLE_PHOTOS = 8

TrainArguments = Mapping[str, Any]


class TrainableModel(SavedModel):
    """A model that learns; see `SavedModel`."""

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
        require_parameters(optimizer, self.net)
        self._photos = spread_photos(train.samples, _SAMPLE_PHOTOS)
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
