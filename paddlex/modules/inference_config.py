"""`inference.yml`: what a reader of an exported model must know, as official PaddleX 3 expects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from paddlex.inference.deploy_transforms import transforms_from_operations
from paddlex.repo_apis.spec import ModelSpec
from paddlex.utils.files import write_text

__all__ = [
    "INFERENCE_CONFIG",
    "inference_config",
    "preprocess_operations",
    "semantic_config",
    "write_inference_config",
]

INFERENCE_CONFIG = "inference.yml"


def preprocess_operations(
    spec: ModelSpec, *, input_size: tuple[int, int] | None = None, short_side: int | None = None
) -> list[dict[str, Any]]:
    """What the model does to a photo first.

    Args:
        spec: the model.
        input_size: (height, width) that photos are resized to, or the (short, long) limits they are resized
            into where they keep their aspect; None keeps the recipe's.
        short_side: that photos are resized to by their short side before all that; None: they are not.

    Returns:
        Operations in order, each {"type": name, parameter: value, ...}, keys sorted.
    """
    operations: list[dict[str, Any]] = []
    if short_side is not None:
        operations.append({"type": "ResizeByShort", "short_size": short_side})
    for operation in spec.recipe.deploy.preprocess:
        if operation["type"] == "Resize" and input_size is not None:
            operation = {**operation, "target_size": list(input_size)}
        operations.append(dict(sorted(operation.items())))
    return operations


def inference_config(
    spec: ModelSpec,
    *,
    class_names: Sequence[str],
    input_size: tuple[int, int] | None,
    operations: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The content of `inference.yml`, keys in the official order.

    Args:
        spec: the model.
        class_names: names in order of class index.
        input_size: as `preprocess_operations`.
        operations: what the model does to a photo first; None: as that function says.
    """
    if operations is None:
        operations = preprocess_operations(spec, input_size=input_size)
    deploy = spec.recipe.deploy
    return {
        "mode": "paddle",
        "draw_threshold": deploy.draw_threshold,
        "metric": "COCO",
        "use_dynamic_shape": deploy.use_dynamic_shape,
        "Global": {"model_name": spec.name},
        "arch": deploy.arch,
        "min_subgraph_size": deploy.min_subgraph_size,
        "mask": True,
        "Preprocess": [dict(operation) for operation in operations],
        "label_list": list(class_names),
    }


def semantic_config(
    spec: ModelSpec, *, class_names: Sequence[str], operations: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The content of `inference.yml` of a model that classifies pixels, as official files have it.

    They name no classes; `label_list` is added.

    Args:
        spec: the model.
        class_names: names in order of class index.
        operations: what it does to a photo first, as `preprocess_operations` gives it.
    """
    return {
        "Deploy": {
            "model": "inference.json",
            "params": "inference.pdiparams",
            "transforms": transforms_from_operations(operations),
            "input_shape": [None, 3, None, None],
            "output_op": "argmax",
            "output_dtype": "int32",
        },
        "Global": {"model_name": spec.name},
        "label_list": list(class_names),
    }


def write_inference_config(folder: Path, config: dict[str, Any]) -> Path:
    """Write `inference.yml` into a folder; names in any script stay readable."""
    path = folder / INFERENCE_CONFIG
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return path
