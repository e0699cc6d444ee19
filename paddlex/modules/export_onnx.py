"""A Paddle graph as ONNX, with what paddle2onnx 2.1 gets wrong put right.

The conversion runs in a process of its own: it is C++ that ends the process on an operator it does not know,
and that must not end a training run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paddlex
from paddlex.utils.errors import ExportError, MissingDependencyError
from paddlex.utils.files import atomic_path
from paddlex.utils.logging import logger

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["convert_graphs", "name_outputs", "repair_group_norms", "write_onnx"]

# Opset 17 has LayerNormalization as one operator; onnxruntime 1.17 and OpenVINO 2025 read it.
_OPSET = 17
_IMPORT_FAILED = 3
_SECONDS = 600
_WHY = "to write inference.onnx"
if sys.version_info >= (3, 13):
    _WHY += "; it has no wheel for Python 3.13 yet, export with Python 3.10 to 3.12"


def convert_graphs(graphs: Sequence[Path]) -> list[ModelProto]:
    """Convert Paddle graphs, all in one further process.

    Args:
        graphs: `.json` files; the `.pdiparams` of each lies beside it.

    Raises:
        MissingDependencyError: if paddle2onnx or onnx is absent or does not load.
        ExportError: if a graph cannot be converted.
    """
    for package in ("paddle2onnx", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, extra="cpu", why=_WHY)
    import onnx

    from paddlex.modules.onnx_doubling import merge_doublings

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.onnx" for number in range(len(graphs))]
        _convert(graphs, files)
        models = [onnx.load(file) for file in files]
    for graph, model in zip(graphs, models, strict=True):
        repair_group_norms(model, epsilons=list(_group_norm_epsilons(graph)))
        merge_doublings(model)
        _drop_unused_initializers(model)
    return models


def write_onnx(model: ModelProto, target: Path, *, metadata: Mapping[str, Any]) -> None:
    """Check a model and write it whole or not at all.

    Args:
        model: gets the properties.
        target: the `.onnx` file.
        metadata: the file's properties; values other than text as JSON.
    """
    import onnx

    properties = {key: v if isinstance(v, str) else json.dumps(v) for key, v in metadata.items()}
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    with atomic_path(target) as temporary:
        onnx.save(model, temporary)


def name_outputs(model: ModelProto, names: Sequence[str]) -> None:
    """Name the outputs, and call the first axis of inputs and outputs "batch" where it is free.

    Raises:
        ExportError: if there are more or fewer outputs.
    """
    if len(names) != len(model.graph.output):
        raise ExportError(f"the ONNX graph has {len(model.graph.output)} outputs; expected {len(names)}")
    renamed = {value.name: name for value, name in zip(model.graph.output, names, strict=True)}
    for node in model.graph.node:
        for ends in (node.input, node.output):
            for index, name in enumerate(ends):
                ends[index] = renamed.get(name, name)
    for value in model.graph.output:
        value.name = renamed[value.name]
    for value in [*model.graph.input, *model.graph.output]:
        dimension = value.type.tensor_type.shape.dim[0]
        if not dimension.HasField("dim_value"):
            dimension.dim_param = "batch"


def repair_group_norms(model: ModelProto, *, epsilons: Sequence[float]) -> None:
    """Write the epsilon of each group normalisation, which paddle2onnx 2.1 fills with whatever is in memory.

    It writes a group normalisation as reshape to (N, groups, -1), InstanceNormalization, and reshape back;
    the epsilon of a true instance normalisation is right.

    Args:
        model: changed in place.
        epsilons: of the group normalisations in the order of the graph.

    Raises:
        ExportError: if their count differs.
    """
    import onnx

    made_by = {output: node for node in model.graph.node for output in node.output}
    norms = [
        node
        for node in model.graph.node
        if node.op_type == "InstanceNormalization" and _splits_groups(made_by.get(node.input[0]), made_by)
    ]
    if len(norms) != len(epsilons):
        raise ExportError(
            f"the ONNX graph has {len(norms)} group normalisations, the Paddle graph {len(epsilons)}; "
            "use a paddle2onnx from 2.1 on, or the Paddle graph alone"
        )
    for node, epsilon in zip(norms, epsilons, strict=True):
        kept = [attribute for attribute in node.attribute if attribute.name != "epsilon"]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("epsilon", float(epsilon))])


def _splits_groups(node: NodeProto | None, made_by: Mapping[str, NodeProto]) -> bool:
    """Whether a node reshapes to (N, groups, -1)."""
    from onnx import numpy_helper

    shape = made_by.get(node.input[1]) if node is not None and node.op_type == "Reshape" else None
    if shape is None or shape.op_type != "Constant":
        return False
    lengths = numpy_helper.to_array(shape.attribute[0].t).tolist()
    return len(lengths) == 3 and lengths[0] == 0 and lengths[2] == -1


def _group_norm_epsilons(graph: Path) -> Iterator[float]:
    """Epsilons of the group normalisations of a Paddle graph, in its order."""
    content = json.loads(graph.read_text(encoding="utf-8"))
    for operator in _operators(content):
        if operator["#"].rpartition(".")[2] == "group_norm":
            yield next(float(entry["AT"]["D"]) for entry in operator["A"] if entry["N"] == "epsilon")


def _operators(content: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (any JSON)
    if isinstance(content, dict):
        if isinstance(content.get("#"), str) and isinstance(content.get("A"), list):
            yield content
        content = list(content.values())
    if isinstance(content, list):
        for entry in content:
            yield from _operators(entry)


def _drop_unused_initializers(model: ModelProto) -> None:
    """paddle2onnx leaves some behind; ONNX Runtime would warn of each, every time the graph is opened."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _convert(graphs: Sequence[Path], targets: Sequence[Path]) -> None:
    """Run paddle2onnx in another process."""
    command = [sys.executable, "-m", __name__, *map(str, graphs), *map(str, targets)]
    root = str(Path(paddlex.__file__).parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "CUDA_VISIBLE_DEVICES": "",  # a conversion needs no card
    }
    run = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    output = f"{run.stdout}\n{run.stderr}".strip()
    logger.debug("paddle2onnx: %s", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no message"]
    if run.returncode == _IMPORT_FAILED:
        raise MissingDependencyError("paddle2onnx", extra="cpu", why=f"it does not load: {lines[-1]}")
    if run.returncode != 0 or not all(file.is_file() and file.stat().st_size for file in targets):
        raise ExportError(f"paddle2onnx cannot convert the graph ({lines[-1]})")


def _main(*files: str) -> int:
    """The other process: graphs, then as many files to write."""
    try:
        import paddle2onnx
    except Exception as error:  # a version that does not fit Paddle raises ValueError, OSError, ...
        sys.stderr.write(f"{error}\n")
        return _IMPORT_FAILED
    count = len(files) // 2
    for graph, target in zip(files[:count], files[count:], strict=True):
        weights = str(Path(graph).with_suffix(".pdiparams"))
        # Its default `optimize_tool` installs packages with pip while converting, and gains nothing.
        paddle2onnx.export(graph, weights, target, opset_version=_OPSET, optimize_tool="None", verbose=False)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
