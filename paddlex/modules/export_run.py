"""An export of any task: graphs are made aside, compared with the network, and put in place together."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.onnx import OnnxSession
from paddlex.inference.backends.paddle import PaddleSession
from paddlex.modules.export_int8 import Latency, quantized_graph
from paddlex.modules.export_onnx import write_onnx
from paddlex.modules.export_paddle import on_cpu
from paddlex.modules.inference_config import write_inference_config
from paddlex.nn.conv_bn import fuse_units
from paddlex.nn.fake_quant import quantizers_off
from paddlex.nn.quantization import bake_weights, quantization_of, quantize_network
from paddlex.repo_apis.spec import ModelSpec
from paddlex.utils.device import Device
from paddlex.utils.errors import ExportError, MissingDependencyError
from paddlex.utils.logging import logger

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Comparison", "ExportPlan", "run_export"]

# In the order they are put in place: the settings file makes a folder count as a model.
_FILES = ("inference.pdiparams", "inference.json", "inference.onnx", "inference.yml")
_CPU = Device("cpu")


class Comparison(Protocol):
    """How far a graph agrees with the network."""

    def problems(self, *, quantized: bool = False) -> list[str]:
        """What is more than rounding, of floats or of 8-bit integers; one line each."""

    def to_json(self) -> dict[str, float]:
        """Fields for a result file."""


Compared = TypeVar("Compared", bound=Comparison)


@dataclass(frozen=True, kw_only=True)
class ExportPlan(ABC, Generic[Compared]):
    """What a task brings.

    Attributes:
        spec: the model.
        about: what the result file and the ONNX file say of the model.
        num_classes: of the network.
        config: the content of inference.yml.
    """

    spec: ModelSpec
    about: Mapping[str, Any]
    num_classes: int
    config: dict[str, Any]

    @property
    @abstractmethod
    def sample_photos(self) -> int:
        """How many photos the graphs are compared on."""

    @abstractmethod
    def build(self) -> nn.Layer:
        """A network like the one to be exported, with any weights."""

    @abstractmethod
    def save_official_graph(self, network: nn.Layer, stage: Path) -> None:
        """Write inference.json and inference.pdiparams."""

    @abstractmethod
    def make_onnx(self, network: nn.Layer) -> tuple[ModelProto, dict[str, Any]]:
        """The fast graph, and properties of its file beside `about`."""

    @abstractmethod
    def calibration_inputs(self) -> Iterable[dict[str, NDArray[Any]]]:
        """What the fast graph may be fed with, for each sample photo, to see the ranges of its tensors."""

    @abstractmethod
    def compare(self, network: nn.Layer, sessions: Sequence[GraphSession]) -> dict[str, Compared]:
        """Run network and graphs on sample photos; a comparison for each way to call a graph."""

    @abstractmethod
    def in_words(self, comparisons: Mapping[str, Compared]) -> str:
        """What was measured, in half a line."""


def run_export(network: nn.Layer, plan: ExportPlan[Any], *, folder: Path) -> dict[str, Any]:
    """Export a network as it is; itself it stays untouched and may go on training.

    Args:
        network: holds the weights to export.
        plan: what its task brings.
        folder: gets the files; those of an earlier export are replaced together, or not at all.

    Returns:
        Fields of export_result.json: the model, its classes, the files, and the differences measured.

    Raises:
        ExportError: if a graph cannot be made, or finds something else than the network does.
    """
    if not plan.sample_photos:
        raise ExportError(
            f"{plan.spec.name}: no sample photos; an export is only handed out after a comparison"
        )
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with on_cpu(), tempfile.TemporaryDirectory(prefix=".export.", dir=folder) as temporary:
        stage = Path(temporary)
        deployed = _deployed_copy(network, plan)
        write_inference_config(stage, plan.config)
        with quantizers_off(deployed):
            plan.save_official_graph(deployed, stage)
        onnx_skipped, latency = _save_onnx(deployed, stage, plan)
        comparisons = _compare(deployed, stage, plan, is_int8=latency is not None)
        _put_in_place(stage, folder)
    logger.info("%s: exported in %.0f s; %s", folder, time.monotonic() - started, plan.in_words(comparisons))
    return {
        **plan.about,
        "files": [name for name in _FILES if (folder / name).is_file()],
        "onnx_skipped": onnx_skipped,
        **({} if latency is None else {"int8": latency.to_json()}),
        "sample_photos": plan.sample_photos,
        "differences": {name: comparison.to_json() for name, comparison in comparisons.items()},
    }


def _deployed_copy(network: nn.Layer, plan: ExportPlan[Any]) -> nn.Layer:
    """A copy in evaluation mode, its re-parameterisable parts fused."""
    copy = plan.build()
    config = quantization_of(network)
    if config is not None:
        quantize_network(copy, config)
    weights = {name: value.astype("float32").numpy() for name, value in network.state_dict().items()}
    broken = next((name for name, value in weights.items() if not np.isfinite(value).all()), None)
    if broken is not None:
        raise ExportError(
            f"{plan.spec.name}: {broken} holds values that are not finite; export earlier weights"
        )
    copy.set_state_dict({name: paddle.to_tensor(weights[name]) for name in copy.state_dict()})
    copy.eval()
    bake_weights(copy)
    copy.fuse_for_deploy()
    if config is not None:
        # Runtimes would fold what is left; integers must be those of the folded weights.
        fuse_units(copy)
    bake_weights(copy)  # what fusing put in the place of quantised layers
    return copy


def _save_onnx(network: nn.Layer, stage: Path, plan: ExportPlan[Any]) -> tuple[str | None, Latency | None]:
    """Write inference.onnx with properties.

    Returns:
        Why it is not written, if a package is missing; and, if it computes in integers, how fast.
    """
    latency = None
    try:
        with quantizers_off(network):
            model, properties = plan.make_onnx(network)
        config = quantization_of(network)
        if config is not None:
            properties["quantization"] = config.to_mapping()
        if config is not None and config.fits_int8:
            model, latency = quantized_graph(network, model, inputs=list(plan.calibration_inputs()))
        write_onnx(model, stage / "inference.onnx", metadata={**plan.about, **properties})
    except MissingDependencyError as error:
        logger.warning("inference.onnx, the fast graph for CPUs, is not written: %s", error)
        return str(error), None
    return None, latency


def _compare(network: nn.Layer, stage: Path, plan: ExportPlan[Any], *, is_int8: bool) -> dict[str, Any]:
    """Compare each graph with the network; an integer graph with the network as it rounds itself."""
    sessions = _open_graphs(stage)
    exact = [session for session in sessions if not (is_int8 and session.name == "onnx")]
    rounded = [session for session in sessions if session not in exact]
    with quantizers_off(network):
        comparisons: dict[str, Any] = plan.compare(network, exact)
    _require_agreement(comparisons)
    if rounded:
        of_integers = {f"{name}, int8": found for name, found in plan.compare(network, rounded).items()}
        _require_agreement(of_integers, quantized=True)
        comparisons |= of_integers
    return comparisons


def _open_graphs(stage: Path) -> list[GraphSession]:
    sessions: list[GraphSession] = [
        PaddleSession(stage / "inference.json", stage / "inference.pdiparams", device=_CPU)
    ]
    if (stage / "inference.onnx").is_file():
        try:
            sessions.append(OnnxSession(stage / "inference.onnx", device=_CPU))
        except MissingDependencyError as error:
            logger.warning("inference.onnx is written but not compared with the network: %s", error)
    return sessions


def _require_agreement(comparisons: Mapping[str, Comparison], *, quantized: bool = False) -> None:
    problems = [
        f"{name}: {line}"
        for name, comparison in comparisons.items()
        for line in comparison.problems(quantized=quantized)
    ]
    if problems:
        raise ExportError(
            f"the exported graphs do not find what the network finds ({'; '.join(problems)}); nothing was "
            "written. Another version of paddlepaddle or paddle2onnx may help"
        )


def _put_in_place(stage: Path, folder: Path) -> None:
    """Replace the files of an earlier export; one that was not made again would be another model's."""
    for name in _FILES:
        if (stage / name).is_file():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
