"""Weights -> inference folder: a Paddle graph as official PaddleX reads it, and a fast ONNX graph."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddlex.data.transforms.batch import Batch
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import Backend
from paddlex.inference.backends.onnx import OnnxBackend
from paddlex.inference.backends.paddle import PaddleBackend
from paddlex.inference.postprocess import RawDetections, postprocess, raw_from_batch
from paddlex.modules.export_onnx import write_onnx
from paddlex.modules.export_paddle import on_cpu, save_static_graph
from paddlex.modules.inference_config import inference_config, preprocess_operations, write_inference_config
from paddlex.modules.instance_segmentation.agreement import Agreement, compare_detections, summarise
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.fast_graph import make_fast_graph
from paddlex.modules.sample_photos import find_sample_photos
from paddlex.modules.trained_network import load_trained_network
from paddlex.repo_apis.spec import ModelSpec
from paddlex.structures.results import Detections
from paddlex.utils.device import Device
from paddlex.utils.errors import ExportError, MissingDependencyError
from paddlex.utils.logging import logger

__all__ = ["export", "export_network"]

# In the order they are put in place: the settings file makes a folder count as a model.
_FILES = ("inference.pdiparams", "inference.json", "inference.onnx", "inference.yml")
# Large enough for boxes of every level of a pyramid, and a third of the time of published sizes.
_SHORT_SIDE_COMPARED = 480
_CPU = Device("cpu")


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
            folder=output_dir,
            sample_images=find_sample_photos(dataset_dir),
        )


def export_network(
    network: nn.Layer,
    *,
    spec: ModelSpec,
    class_names: Sequence[str],
    input_size: tuple[int, int] | None,
    folder: Path,
    sample_images: Sequence[NDArray[np.uint8]],
) -> dict[str, Any]:
    """Export a network as it is; itself it stays untouched and may go on training.

    Args:
        network: holds the weights to export.
        spec: the model it is of.
        class_names: names in order of class index.
        input_size: (height, width) of the network input, or the (short, long) limits that photos are resized
            into where they keep their aspect; None takes the recipe's.
        folder: gets the files; those of an earlier export are replaced together, or not at all.
        sample_images: (H, W, 3) uint8 RGB photos that network and graphs are compared on.

    Returns:
        Fields of export_result.json.

    Raises:
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    size = input_size or spec.recipe.input_size
    if not sample_images:
        raise ExportError(f"{spec.name}: no sample photos; an export is only handed out after a comparison")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    about = {"model_name": spec.name, "class_names": list(class_names), "input_size": list(size)}
    traced_size = None if spec.recipe.keep_ratio else size
    with on_cpu(), tempfile.TemporaryDirectory(prefix=".export.", dir=folder) as temporary:
        stage = Path(temporary)
        deployed = _deployed_copy(network, spec=spec, num_classes=len(class_names), input_size=size)
        write_inference_config(stage, inference_config(spec, class_names=class_names, input_size=size))
        _save_official_graph(deployed, stage, input_size=traced_size)
        onnx_skipped = _save_onnx(deployed, stage, input_size=traced_size, about=about)
        samples = _Samples(spec, sample_images, input_size=size)
        agreements = _check(deployed, stage, samples=samples)
        _put_in_place(stage, folder)
    logger.info("%s: exported in %.0f s; %s", folder, time.monotonic() - started, _in_words(agreements))
    return {
        **about,
        "files": [name for name in _FILES if (folder / name).is_file()],
        "onnx_skipped": onnx_skipped,
        "sample_photos": len(samples),
        "differences": {name: agreement.to_json() for name, agreement in agreements.items()},
    }


# ---------------------------------------------------------------- graphs


class _OfficialGraph(nn.Layer):
    """The network as official PaddleX calls it: one photo, masks at its size."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, im_shape: Tensor, image: Tensor, scale_factor: Tensor) -> tuple[Tensor, ...]:
        rows: tuple[Tensor, ...] = self.network.forward_official(im_shape, image, scale_factor)
        return rows


def _deployed_copy(
    network: nn.Layer, *, spec: ModelSpec, num_classes: int, input_size: tuple[int, int]
) -> nn.Layer:
    """A copy in evaluation mode, its re-parameterisable parts fused, made for one input size."""
    copy = spec.build(num_classes=num_classes, eval_size=input_size)
    weights = {name: value.astype("float32").numpy() for name, value in network.state_dict().items()}
    broken = next((name for name, value in weights.items() if not np.isfinite(value).all()), None)
    if broken is not None:
        raise ExportError(f"{spec.name}: {broken} holds values that are not finite; export earlier weights")
    copy.set_state_dict({name: paddle.to_tensor(weights[name]) for name in copy.state_dict()})
    copy.eval()
    copy.fuse_for_deploy()
    return copy


def _save_official_graph(network: nn.Layer, stage: Path, *, input_size: tuple[int, int] | None) -> None:
    # Readers feed these in alphabetical order and refuse a graph with another count. A graph that takes any
    # size takes one photo: tracing cannot follow a loop over photos whose number it does not know.
    batch, size = (1, (-1, -1)) if input_size is None else (-1, input_size)
    inputs = {"im_shape": (batch, 2), "image": (batch, 3, *size), "scale_factor": (batch, 2)}
    save_static_graph(_OfficialGraph(network).eval(), stage, name="inference", inputs=inputs)


def _save_onnx(
    network: nn.Layer, stage: Path, *, input_size: tuple[int, int] | None, about: dict[str, Any]
) -> str | None:
    """Write inference.onnx with properties; returns why not if a package is missing."""
    try:
        model = make_fast_graph(network, input_size=input_size)
        metadata = {**about, "mask_form": network.mask_form.to_json()}
        write_onnx(model, stage / "inference.onnx", metadata=metadata)
    except MissingDependencyError as error:
        logger.warning("inference.onnx, the fast graph for CPUs, is not written: %s", error)
        return str(error)
    return None


def _put_in_place(stage: Path, folder: Path) -> None:
    """Replace the files of an earlier export; one that was not made again would be another model's."""
    for name in _FILES:
        if (stage / name).is_file():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


# ---------------------------------------------------------------- agreement


class _Samples:
    """Photos, prepared as a deployed model prepares them, but no larger than a comparison needs."""

    def __init__(
        self, spec: ModelSpec, images: Sequence[NDArray[np.uint8]], *, input_size: tuple[int, int]
    ) -> None:
        self.batch_sizes: tuple[int, ...] = (1, 2, 3)
        if spec.recipe.keep_ratio:
            self.batch_sizes = (1,)
            input_size = _limited(input_size)
            images = _both_ways(images)
        preprocess = Preprocessor(preprocess_operations(spec, input_size=input_size), where=spec.name)
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


def _limited(limits: tuple[int, int]) -> tuple[int, int]:
    """Lower the (short, long) limits of photos that keep their aspect: their graph takes any size."""
    factor = min(1.0, _SHORT_SIDE_COMPARED / limits[0])
    return round(limits[0] * factor), round(limits[1] * factor)


def _both_ways(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Two photos, one wide and one high, since the graph must follow their shape."""
    first, second = images[0], images[1 % len(images)]
    if (first.shape[0] < first.shape[1]) == (second.shape[0] < second.shape[1]):
        second = np.ascontiguousarray(np.rot90(second))
    return [first, second]


def _check(network: nn.Layer, stage: Path, *, samples: _Samples) -> dict[str, Agreement]:
    """Compare the graphs with the network.

    Raises:
        ExportError: naming the graph and what differs.
    """
    reference = samples.run(lambda batch: _run_network(network, batch))
    agreements = {}
    for backend in _open_graphs(stage):
        for batch_size in samples.batch_sizes if backend.name == "onnx" else (1,):
            found = samples.run(backend.run, batch_size=batch_size)
            label = backend.name if batch_size == 1 else f"{backend.name}, batch {batch_size}"
            agreements[label] = summarise(list(map(compare_detections, reference, found)))
    problems = [f"{name}: {line}" for name, agreement in agreements.items() for line in agreement.problems()]
    if problems:
        raise ExportError(
            f"the exported graphs do not find what the network finds ({'; '.join(problems)}); nothing was "
            "written. Another version of paddlepaddle or paddle2onnx may help"
        )
    if not any(len(detections) for detections in reference):
        logger.warning(
            "the network finds nothing on the sample photos, nor do its graphs, which proves little: train "
            "it longer, or set Global.dataset_dir to photos that show its objects"
        )
    return agreements


def _open_graphs(stage: Path) -> list[Backend]:
    graphs: list[Backend] = [
        PaddleBackend(stage / "inference.json", stage / "inference.pdiparams", device=_CPU)
    ]
    if (stage / "inference.onnx").is_file():
        try:
            graphs.append(OnnxBackend(stage / "inference.onnx", device=_CPU))
        except MissingDependencyError as error:
            logger.warning("inference.onnx is written but not compared with the network: %s", error)
    return graphs


def _run_network(network: nn.Layer, batch: Batch) -> list[RawDetections]:
    with paddle.no_grad():
        found = network.detect(paddle.to_tensor(batch["image"]), paddle.to_tensor(batch["im_shape"]))
    return raw_from_batch(
        {name: value.numpy() for name, value in found.items()},
        mask_form=network.mask_form,
        im_shape=batch["im_shape"],
        input_size=batch["image"].shape[2:],
    )


def _in_words(agreements: dict[str, Agreement]) -> str:
    worst = summarise(list(agreements.values()))
    return (
        f"{len({name.partition(',')[0] for name in agreements})} graph(s) differ from the network by at most "
        f"{worst.max_score_difference:.0e} in scores and {worst.max_box_difference:.2g} px in boxes, "
        f"mean mask IoU {worst.mean_mask_iou:.4f}"
    )
