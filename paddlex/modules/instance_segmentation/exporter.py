"""Weights -> inference folder: a Paddle graph as official PaddleX reads it, and a fast ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddlex.data.transforms.batch import Batch
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.choose import detection_backend
from paddlex.inference.postprocess import RawDetections, postprocess
from paddlex.modules.export_int8 import sample_photos_for
from paddlex.modules.export_paddle import on_cpu, save_static_graph
from paddlex.modules.export_run import ExportPlan, run_export
from paddlex.modules.inference_config import inference_config, preprocess_operations
from paddlex.modules.instance_segmentation.agreement import Agreement, compare_detections, summarise
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.evaluator import run_network
from paddlex.modules.instance_segmentation.fast_graph import make_fast_graph
from paddlex.modules.sample_photos import wide_and_high
from paddlex.modules.trained_network import load_trained_network
from paddlex.repo_apis.spec import ModelSpec
from paddlex.structures.results import Detections
from paddlex.utils.logging import logger

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["export", "export_network"]

# Large enough for boxes of every level of a pyramid, and a third of the time of published sizes.
_SHORT_SIDE_COMPARED = 480
_COMPARED = 3


def export(
    *,
    spec: ModelSpec,
    weight_path: str | Path,
    output_dir: Path,
    dataset_dir: Path | None = None,
    input_size: int | None = None,
) -> dict[str, Any]:
    """Export weights into `output_dir`.

    Args:
        spec: the model the weights are of.
        weight_path: `.pdparams` file or URL. `model_info.json` beside it (or a folder up) gives the classes.
        output_dir: gets inference.json, inference.pdiparams, inference.yml and, with paddle2onnx,
            inference.onnx. A failing export leaves what was there.
        dataset_dir: photos to compare the graphs on, and class names for weights that come without.
        input_size: side of the square input, or the short side where photos keep their aspect; None takes the
            one trained for.

    Returns:
        Fields of export_result.json: the model, its classes, the files, and the differences measured.

    Raises:
        WeightsError: if the weights are missing or another model's.
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    with on_cpu():
        trained = load_trained_network(
            spec,
            weight_path=weight_path,
            classes=INSTANCE_CLASSES,
            input_size=input_size,
            dataset_dir=dataset_dir,
        )
        return export_network(
            trained.network,
            spec=spec,
            class_names=trained.class_names,
            input_size=trained.input_size,
            operations=trained.operations,
            options=trained.options,
            folder=output_dir,
            sample_images=sample_photos_for(trained.network, dataset_dir),
        )


def export_network(
    network: nn.Layer,
    *,
    spec: ModelSpec,
    class_names: Sequence[str],
    input_size: tuple[int, int] | None,
    folder: Path,
    sample_images: Sequence[NDArray[np.uint8]],
    operations: Sequence[Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Export a network as it is; itself it stays untouched and may go on training.

    Args:
        network: holds the weights to export.
        spec: the model it is of.
        class_names: names in order of class index.
        input_size: (height, width) of the network input, or the (short, long) limits that photos are resized
            into where they keep their aspect; None takes the recipe's.
        folder: gets the files; those of an earlier export are replaced together, or not at all.
        sample_images: (H, W, 3) uint8 RGB photos: the first of them network and graphs are compared on, all
            of them show a quantised network's ranges.
        operations: what is done to a photo first, as inference.yml lists it; None: what the recipe and
            `input_size` say.
        options: keyword arguments that the network was built with above those of the recipe.

    Returns:
        Fields of export_result.json.

    Raises:
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    size = input_size or spec.recipe.input_size
    operations = operations or preprocess_operations(spec, input_size=size)
    plan = _InstanceExport(
        spec=spec,
        about={"model_name": spec.name, "class_names": list(class_names), "input_size": list(size)},
        num_classes=len(class_names),
        config=inference_config(spec, class_names=class_names, input_size=size, operations=operations),
        input_size=size,
        options=dict(options or {}),
        samples=_Samples(spec, sample_images[:_COMPARED], operations=operations),
        calibration_images=sample_images,
        operations=operations,
    )
    return run_export(network, plan, folder=folder)


@dataclass(frozen=True, kw_only=True)
class _InstanceExport(ExportPlan[Agreement]):
    """Graphs that find instances.

    Attributes:
        input_size: of the network.
        options, operations: as `export_network` takes them.
        samples: photos to compare on.
        calibration_images: photos to see ranges on.
    """

    input_size: tuple[int, int]
    options: Mapping[str, Any]
    operations: Sequence[Mapping[str, Any]]
    samples: _Samples
    calibration_images: Sequence[NDArray[np.uint8]]

    @property
    def sample_photos(self) -> int:
        return len(self.samples)

    @property
    def _traced_size(self) -> tuple[int, int] | None:
        return None if self.spec.recipe.keep_ratio else self.input_size

    def build(self) -> nn.Layer:
        return self.spec.build(num_classes=self.num_classes, eval_size=self.input_size, **self.options)

    def save_official_graph(self, network: nn.Layer, stage: Path) -> None:
        # Readers feed these in alphabetical order and refuse a graph with another count. A graph that takes
        # any size takes one photo: tracing cannot follow a loop over photos whose number it does not know.
        fixed = self._traced_size
        batch, size = (1, (-1, -1)) if fixed is None else (-1, fixed)
        inputs = {"im_shape": (batch, 2), "image": (batch, 3, *size), "scale_factor": (batch, 2)}
        save_static_graph(_OfficialGraph(network).eval(), stage, name="inference", inputs=inputs)

    def make_onnx(self, network: nn.Layer) -> tuple[ModelProto, dict[str, Any]]:
        model = make_fast_graph(network, input_size=self._traced_size)
        return model, {"mask_form": network.mask_form.to_json()}

    def calibration_inputs(self) -> Iterable[dict[str, NDArray[Any]]]:
        preprocess = Preprocessor(self.operations, where=self.spec.name)
        for image in self.calibration_images:
            batch = Preprocessor.stack([preprocess(image)])
            yield {
                "image": batch["image"],
                "im_shape": batch["im_shape"],
                "score_threshold": np.zeros(1, np.float32),
            }

    def compare(self, network: nn.Layer, sessions: Sequence[GraphSession]) -> dict[str, Agreement]:
        reference = self.samples.run(partial(run_network, network))
        agreements = {}
        for session in sessions:
            backend = detection_backend(session)
            for batch_size in (1,) if session.name == "paddle" else self.samples.batch_sizes:
                found = self.samples.run(backend.run, batch_size=batch_size)
                label = backend.name if batch_size == 1 else f"{backend.name}, batch {batch_size}"
                agreements[label] = summarise(list(map(compare_detections, reference, found)))
        if not any(len(detections) for detections in reference):
            logger.warning(
                "the network finds nothing on the sample photos, nor do its graphs, which proves little: "
                "train it longer, or set Global.dataset_dir to photos that show its objects"
            )
        return agreements

    def in_words(self, comparisons: Mapping[str, Agreement]) -> str:
        worst = summarise(list(comparisons.values()))
        return (
            f"{len({name.partition(',')[0] for name in comparisons})} graph(s) differ from the network by at "
            f"most {worst.max_score_difference:.0e} in scores and {worst.max_box_difference:.2g} px in "
            f"boxes, mean mask IoU {worst.mean_mask_iou:.4f}"
        )


class _OfficialGraph(nn.Layer):
    """The network as official PaddleX calls it: one photo, masks at its size."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, im_shape: Tensor, image: Tensor, scale_factor: Tensor) -> tuple[Tensor, ...]:
        rows: tuple[Tensor, ...] = self.network.forward_official(im_shape, image, scale_factor)
        return rows


# ---------------------------------------------------------------- sample photos


class _Samples:
    """Photos, prepared as a deployed model prepares them, but no larger than a comparison needs."""

    def __init__(
        self,
        spec: ModelSpec,
        images: Sequence[NDArray[np.uint8]],
        *,
        operations: Sequence[Mapping[str, Any]],
    ) -> None:
        self.batch_sizes: tuple[int, ...] = (1, 2, 3)
        if spec.recipe.keep_ratio and images:
            self.batch_sizes = (1,)
            operations = [_limited(operation) for operation in operations]
            images = wide_and_high(images)
        preprocess = Preprocessor(operations, where=spec.name)
        self._sizes = [(image.shape[0], image.shape[1]) for image in images]
        self._prepared = [preprocess(image) for image in images]

    def __len__(self) -> int:
        return len(self._sizes)

    def run(self, run: Callable[[Batch], list[RawDetections]], *, batch_size: int = 1) -> list[Detections]:
        """Everything found on each photo, in its pixels; a last batch is filled up from the front."""
        count = len(self._prepared)
        raw: list[RawDetections] = []
        for start in range(0, count, batch_size):
            numbers = [number % count for number in range(start, start + batch_size)]
            raw += run(Preprocessor.stack([self._prepared[number] for number in numbers]))
        return [_visible(postprocess(one, size=size)) for one, size in zip(raw, self._sizes, strict=False)]


def _visible(found: Detections) -> Detections:
    """Those whose box has an area; how often others are listed depends on what a runtime takes 0 / 0 for."""
    kept = np.flatnonzero((found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1))
    return Detections(
        boxes=found.boxes[kept],
        scores=found.scores[kept],
        class_ids=found.class_ids[kept],
        masks=found.masks[kept],
    )


def _limited(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lower the limits that photos keeping their aspect are resized into: their graph takes any size."""
    if operation["type"] == "Resize":
        short, long = operation["target_size"]
        factor = min(1.0, _SHORT_SIDE_COMPARED / short)
        return {**operation, "target_size": [round(short * factor), round(long * factor)]}
    if operation["type"] == "ResizeByShort":
        short, long = operation["short_size"], operation.get("max_size", -1)
        factor = min(1.0, _SHORT_SIDE_COMPARED / short)
        longest = round(long * factor) if long > 0 else long
        return {**operation, "short_size": round(short * factor), "max_size": longest}
    return operation
