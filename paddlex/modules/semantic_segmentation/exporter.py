"""Weights -> inference folder: a Paddle graph as official PaddleX reads it, and a fast ONNX graph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddlex.data.transforms.batch import collate
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.pixels import LOGITS_OUTPUT, PixelBackend
from paddlex.modules.export_int8 import sample_photos_for
from paddlex.modules.export_onnx import convert_graphs, name_outputs
from paddlex.modules.export_paddle import on_cpu, save_static_graph
from paddlex.modules.export_run import ExportPlan, run_export
from paddlex.modules.inference_config import preprocess_operations, semantic_config
from paddlex.modules.sample_photos import wide_and_high
from paddlex.modules.semantic_segmentation.agreement import PixelAgreement, compare_pixels, summarise_pixels
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.evaluator import run_network
from paddlex.modules.trained_network import load_trained_network
from paddlex.nn.fake_quant import quantizers_off
from paddlex.nn.quantization import quantization_of
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.repo_apis.spec import ModelSpec

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["export", "export_network"]

# Larger photos only take longer; the coarsest feature map still has several cells.
_LONG_SIDE_COMPARED = 320
_ANY_SIZE = (-1, 3, -1, -1)


def export(
    *, spec: ModelSpec, weight_path: str | Path, output_dir: Path, dataset_dir: Path | None = None
) -> dict[str, Any]:
    """Export weights into `output_dir`; the graphs take photos of any size.

    Args:
        spec: the model the weights are of.
        weight_path: `.pdparams` file or URL. `model_info.json` beside it (or a folder up) gives the classes.
        output_dir: gets inference.json, inference.pdiparams, inference.yml and, with paddle2onnx,
            inference.onnx. A failing export leaves what was there.
        dataset_dir: photos to compare the graphs on, and class names for weights that come without.

    Returns:
        Fields of export_result.json: the model, its classes, the files, and the differences measured.

    Raises:
        WeightsError: if the weights are missing or another model's.
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    with on_cpu():
        trained = load_trained_network(
            spec, weight_path=weight_path, classes=SEMANTIC_CLASSES, dataset_dir=dataset_dir
        )
        return export_network(
            trained.network,
            spec=spec,
            class_names=trained.class_names,
            short_side=trained.short_side,
            operations=trained.operations,
            options=trained.options,
            folder=output_dir,
            sample_images=sample_photos_for(trained.network, dataset_dir),
        )


def export_network(
    network: SemanticNetwork,
    *,
    spec: ModelSpec,
    class_names: Sequence[str],
    folder: Path,
    sample_images: Sequence[NDArray[np.uint8]],
    short_side: int | None = None,
    operations: Sequence[Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Export a network as it is; itself it stays untouched and may go on training.

    Args:
        network: holds the weights to export.
        spec: the model it is of.
        class_names: names in order of class index.
        folder: gets the files; those of an earlier export are replaced together, or not at all.
        sample_images: (H, W, 3) uint8 RGB photos: two of them network and graphs are compared on, all of
            them show a quantised network's ranges.
        short_side: that photos are resized to by their short side first; None: as they are.
        operations: all that is done to a photo first, as inference.yml lists it; None: what the recipe and
            `short_side` say.
        options: keyword arguments that the network was built with above those of the recipe.

    Returns:
        Fields of export_result.json.

    Raises:
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    operations = operations or preprocess_operations(spec, short_side=short_side)
    plan = _SemanticExport(
        spec=spec,
        about={"model_name": spec.name, "class_names": list(class_names), "short_side": short_side},
        num_classes=len(class_names),
        config=semantic_config(spec, class_names=class_names, operations=operations),
        options=dict(options or {}),
        operations=operations,
        images=[_limited(image) for image in wide_and_high(sample_images)] if sample_images else [],
        calibration_images=sample_images,
    )
    return run_export(network, plan, folder=folder)


@dataclass(frozen=True, kw_only=True)
class _SemanticExport(ExportPlan[PixelAgreement]):
    """Graphs that classify pixels.

    Attributes:
        options, operations: as `export_network` takes them.
        images: photos to compare on.
        calibration_images: photos to see ranges on.
    """

    options: Mapping[str, Any]
    operations: Sequence[Mapping[str, Any]]
    images: Sequence[NDArray[np.uint8]]
    calibration_images: Sequence[NDArray[np.uint8]]

    @property
    def sample_photos(self) -> int:
        return len(self.images)

    def build(self) -> nn.Layer:
        return self.spec.build(num_classes=self.num_classes, **self.options)

    def save_official_graph(self, network: nn.Layer, stage: Path) -> None:
        save_static_graph(_OfficialGraph(network).eval(), stage, name="inference", inputs={"x": _ANY_SIZE})

    def make_onnx(self, network: nn.Layer) -> tuple[ModelProto, dict[str, Any]]:
        layer = _CoarseLogits(network).eval()
        with tempfile.TemporaryDirectory() as folder:
            graph = save_static_graph(layer, Path(folder), name="fast", inputs={"image": _ANY_SIZE})
            (model,) = convert_graphs([graph])
        name_outputs(model, [LOGITS_OUTPUT])
        return model, {"align_corners": network.align_corners}

    def calibration_inputs(self) -> Iterable[dict[str, NDArray[Any]]]:
        preprocess = Preprocessor(self.operations, where=self.spec.name)
        for image in self.calibration_images:
            yield {"image": collate([preprocess.prepare(image)])["image"]}

    def compare(self, network: nn.Layer, sessions: Sequence[GraphSession]) -> dict[str, PixelAgreement]:
        preprocess = Preprocessor(self.operations, where=self.spec.name)
        samples = [preprocess.prepare(image) for image in self.images]
        batches = [[sample] for sample in samples]
        flipped = preprocess.prepare(np.ascontiguousarray(self.images[0][:, ::-1]))
        batches.append([samples[0], flipped])
        found: dict[str, list[PixelAgreement]] = {}
        for batch in batches:
            image = collate(batch)["image"]
            # On the network's input: on photos that were resized the official graph, which decides before
            # it resizes back, differs at the borders of things by design.
            references = _logits(network, image)
            with quantizers_off(network):
                exact = _logits(network, image) if quantization_of(network) else references
            noise = [float(np.abs(a - b).max()) for a, b in zip(references, exact, strict=True)]
            for session in sessions:
                label = session.name if len(batch) == 1 else f"{session.name}, batch {len(batch)}"
                raws = PixelBackend(session).run({"image": image})
                found.setdefault(label, []).extend(
                    compare_pixels(reference, raw.to_label_map(), noise=level)
                    for reference, raw, level in zip(references, raws, noise, strict=True)
                )
        return {label: summarise_pixels(agreements) for label, agreements in found.items()}

    def in_words(self, comparisons: Mapping[str, PixelAgreement]) -> str:
        worst = max(comparison.differing for comparison in comparisons.values())
        return f"at most {worst:.2%} of the sample photos' pixels have another class than the network gives"


class _OfficialGraph(nn.Layer):
    """The network as official PaddleX calls it: the class of each pixel of the input."""

    def __init__(self, network: SemanticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.network.forward_official(x)


class _CoarseLogits(nn.Layer):
    """A network's logits at their own resolution."""

    def __init__(self, network: SemanticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.coarse_logits(image)


def _logits(network: SemanticNetwork, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The network's logits (C, h, w) on each input of a batch (B, 3, h, w)."""
    return [raw.to_logits() for raw in run_network(network, image)]


def _limited(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo, no larger than a comparison needs."""
    factor = min(1.0, _LONG_SIDE_COMPARED / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
