"""Paddle Inference: any GPU, and the graphs that official models are published as."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads
from paddlex.inference.postprocess import RawDetections, raw_from_rows, raw_from_segments
from paddlex.utils.cpu import prepare_cpu
from paddlex.utils.device import Device
from paddlex.utils.errors import DeviceError, FileFormatError, MissingDependencyError

__all__ = ["PaddleBackend"]

# The official graph enlarges all its candidates to the photo: 100 masks of 12 megapixels take 4.8 GB, more
# than once. Above this size it is asked for a smaller frame, which `postprocess` enlarges (1920 x 1080 fits).
_MAX_FRAME_PIXELS = 2**21
_GPU_POOL_MB = 256  # the pool's first size; it grows as needed


class PaddleBackend:
    """Runs `inference.json` (or `.pdmodel`) of the published forms.

    `im_shape`, `image`, `scale_factor` -> rows, count, masks; or, of a network that predicts no boxes, count,
    class ids, scores, masks. Photos run one by one: the published graphs take nothing else. oneDNN stays off,
    since Paddle 3.2 and 3.3 fail on these graphs with it, or return wrong masks.

    Args:
        graph: inference.json or inference.pdmodel.
        weights: inference.pdiparams.
        device: where to run.
        threads: as `cpu_threads` takes it; for the CPU.

    Raises:
        MissingDependencyError: without Paddle.
        DeviceError: if this Paddle cannot use the device.
        FileFormatError: if the graph cannot be loaded or has other inputs or outputs.
    """

    name = "paddle"

    def __init__(self, graph: Path, weights: Path, *, device: Device, threads: int | None = None) -> None:
        self._predictor = _open_predictor(graph, weights, device=device, threads=cpu_threads(threads))
        names = sorted(self._predictor.get_input_names())
        outputs = self._predictor.get_output_names()
        if len(names) != 3 or len(outputs) not in (3, 4):
            raise FileFormatError(
                f"{graph}: inputs {names}, outputs {outputs}; expected im_shape, image, scale_factor "
                "and three outputs (rows, count, masks) or four (count, class ids, scores, masks); export the"
                " model again"
            )
        # Official graphs may name them otherwise, but always in this alphabetical order.
        self._im_shape, self._image, self._scale_factor = map(self._predictor.get_input_handle, names)
        self._outputs = [self._predictor.get_output_handle(name) for name in outputs]

    def run(self, batch: Mapping[str, NDArray[Any]], *, threshold: float = 0.0) -> list[RawDetections]:
        """Candidates of each photo, in order; these graphs know no threshold and give them all."""
        rows = zip(batch["image"], batch["im_shape"], batch["scale_factor"], strict=True)
        return [
            self._run_one(image[None], im_shape=im_shape[None], scale_factor=scale_factor[None])
            for image, im_shape, scale_factor in rows
        ]

    def _run_one(
        self, image: NDArray[np.float32], *, im_shape: NDArray[np.float32], scale_factor: NDArray[np.float32]
    ) -> RawDetections:
        self._im_shape.copy_from_cpu(im_shape)
        self._image.copy_from_cpu(np.ascontiguousarray(image))
        self._scale_factor.copy_from_cpu(_bounded_scale(im_shape, scale_factor))
        self._predictor.run()
        values = [output.copy_to_cpu() for output in self._outputs]
        if len(values) == 3:
            rows, _, masks = values
            return raw_from_rows(rows, masks)
        _, class_ids, scores, masks = values
        return raw_from_segments(class_ids, scores, masks)


def _bounded_scale(im_shape: NDArray[np.float32], scale_factor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale factors that keep the graph's frame, im_shape / scale_factor, below the limit."""
    frame = im_shape / scale_factor
    shrink = math.sqrt(_MAX_FRAME_PIXELS / float(frame.prod()))
    if shrink >= 1:
        return scale_factor
    return np.asarray(im_shape / np.maximum(np.round(frame * shrink), 1), dtype=np.float32)


def _open_predictor(graph: Path, weights: Path, *, device: Device, threads: int) -> Any:  # noqa: ANN401 (no types)
    prepare_cpu()
    try:
        from paddle import inference, is_compiled_with_cuda
    except ImportError as error:
        raise MissingDependencyError("paddlepaddle", extra="cpu", why=f"to run {graph.name}") from error
    config = inference.Config(str(graph), str(weights))
    config.disable_glog_info()
    if graph.suffix == ".json":
        # Without these two a .json graph cannot reuse the memory of values no longer needed.
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    config.enable_memory_optim()
    if device.type == "gpu" and not is_compiled_with_cuda():
        raise DeviceError(f"device {device}: this Paddle has no GPU support; install paddlepaddle-gpu")
    card = device.ids[0] if device.ids else 0
    if device.type == "gpu":
        config.enable_use_gpu(_GPU_POOL_MB, card)
    elif device.type == "cpu":
        config.disable_gpu()
        config.disable_mkldnn()
        config.set_cpu_math_library_num_threads(threads)
    else:
        config.enable_custom_device(device.type, card)
    try:
        return inference.create_predictor(config)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise FileFormatError(f"{graph}: Paddle cannot load it ({reason}); export it again") from error
