"""ModelSpec: the one place where a model is declared; every list of models is derived from these."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paddlex.repo_apis.pretrained import PretrainedWeights
from paddlex.repo_apis.recipe import Recipe, read_recipe
from paddlex.utils.cpu import prepare_cpu

if TYPE_CHECKING:
    from paddle import nn

__all__ = ["ModelSpec", "Task"]

Task = Literal["instance_segmentation", "semantic_segmentation"]

_OFFICIAL_INFERENCE = "https://paddle-model-ecology.bj.bcebos.com/paddlex/official_inference_model/paddle3.0b1_v2/{name}_infer.tar"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model by its public name.

    Attributes:
        name: public name, also the name of its YAML file.
        task: what it predicts.
        family: title of the group it is listed under.
        builder: `module:function`; it takes `num_classes`, the recipe's `network` keys and, unless the recipe
            says `keep_ratio`, `eval_size`.
        recipe_file: YAML file of upstream's recipe.
        score: published accuracy on its benchmark, percent (mask AP on COCO val2017, mIoU on Cityscapes).
        parameters: trainable and frozen weights at the benchmark's class count, millions.
        size_mb: published size of the inference model, MB; None when unpublished.
        backbone_url: classification weights the published training started from, or None.
        weights_url: weights of the published model, or None.
        pretrained: published weights by the names that users give them, where these are not `coco` for
            `weights_url` and `imagenet` for `backbone_url`.
    """

    name: str
    task: Task
    family: str
    builder: str
    recipe_file: Path
    score: float | None
    parameters: float
    size_mb: float | None
    backbone_url: str | None
    weights_url: str | None
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict, hash=False)

    @property
    def recipe(self) -> Recipe:
        """Upstream's recipe, read on first use."""
        return read_recipe(self.recipe_file)

    @property
    def start_weights(self) -> Mapping[str, PretrainedWeights]:
        """Published weights by name; a training that names none starts from the first."""
        if self.task == "semantic_segmentation":
            return self.pretrained
        found: dict[str, PretrainedWeights] = {}
        if self.weights_url is not None:
            found["coco"] = PretrainedWeights(url=self.weights_url)
        if self.backbone_url is not None:
            found["imagenet"] = PretrainedWeights(url=self.backbone_url, part="backbone")
        return found

    @property
    def counts_iterations(self) -> bool:
        """Whether configurations count a run's length and its evaluations in iterations, not in epochs."""
        return self.task == "semantic_segmentation"

    @property
    def inference_url(self) -> str:
        """Archive of the official inference model."""
        return _OFFICIAL_INFERENCE.format(name=self.name)

    def build(
        self,
        *,
        num_classes: int,
        eval_size: tuple[int, int] | None = None,
        channels: Mapping[str, Sequence[int | None]] | None = None,
        quantization: Mapping[str, Any] | None = None,
        **options: Any,  # noqa: ANN401 (the builder types them)
    ) -> nn.Layer:
        """Build the network; imports Paddle.

        Args:
            num_classes: object classes, without background.
            eval_size: (height, width) of the network input at evaluation, for what can be tabulated; None is
                the builder's default. Without meaning where photos keep their aspect.
            channels: shapes of what pruning made smaller, see `nn.channels.fit_channels`.
            quantization: values of a `QuantizationConfig` that the network is trained or deployed under, last
                of all; None for a float network.
            **options: further keyword arguments of the builder, above the recipe's.

        Raises:
            WeightsError: if `channels` are another network's.
        """
        prepare_cpu()
        if eval_size is not None and not self.recipe.keep_ratio:
            options["eval_size"] = eval_size
        module, _, function = self.builder.partition(":")
        build = getattr(importlib.import_module(module), function)
        network: nn.Layer = build(num_classes=num_classes, **{**self.recipe.network, **options})
        if channels:
            from paddlex.nn.channels import fit_channels

            fit_channels(network, channels)
        if quantization is not None:
            from paddlex.nn.quantization import QuantizationConfig, quantize_network

            quantize_network(network, QuantizationConfig.from_mapping(quantization))
        return network
