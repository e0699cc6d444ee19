"""Recorded outputs of the published networks, and how to compare with them.

A reference is `<model>.json` (names, shapes, seeds, checks with tolerances) and `<model>.npz` (for every
check shape, mean, deviation and evenly spaced values). `PARITY_DIR` names a folder with other references of
the same form, either directly or in one folder per family.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fill import sample

from paddlex.nn.draws import UniformDraws

_PUBLISHED = Path(__file__).parent


class Reference:
    """One model's recorded numbers.

    Attributes:
        model: public name of the model.
        info: the JSON.
        setup: the part of it that tells how inputs were made; families keep it in keys of their own, too.
    """

    def __init__(self, json_file: Path) -> None:
        self.info: dict[str, Any] = json.loads(json_file.read_text(encoding="utf-8"))
        self.model: str = self.info["model"]
        self.setup: dict[str, Any] = self.info.get("setup", {})
        # Most families relate a difference to the largest value; one to each value or the deviation.
        self._judges_each_value = "max(|value|, std" in self.info.get("comparison", "")
        self._arrays_file = json_file.with_suffix(".npz")

    def inputs(self) -> dict[str, np.ndarray]:
        """Return the arrays that were stored as inputs, by the rest of their key `input/...`."""
        with np.load(self._arrays_file) as arrays:
            return {
                name.partition("/")[2]: arrays[name] for name in arrays.files if name.startswith("input/")
            }

    @property
    def groups(self) -> list[str]:
        """Prefixes of the checks' keys, in their order."""
        return list(dict.fromkeys(check["key"].split("/")[0] for check in self.info["checks"]))

    def checks(self, group: str) -> dict[str, dict[str, Any]]:
        """Return the checks of one group by the rest of their key."""
        checks = {check["key"]: check for check in self.info["checks"]}
        return {key.partition("/")[2]: check for key, check in checks.items() if key.startswith(f"{group}/")}

    def stored_values(self, key: str) -> np.ndarray:
        """Return the evenly spaced values that are recorded of a check."""
        with np.load(self._arrays_file) as arrays:
            return arrays[f"{key}/values"]

    def normal(self, text: str, index: int = 0, **symbols: int) -> np.ndarray:
        """Return the array of the `index`-th `normal(seed, shape[, scale])` written in `text`."""
        seed, shape, scale = re.findall(r"normal\((\d+), \(([^)]*)\)(?:, ([\d.]+))?\)", text)[index]
        sizes = [symbols[s] if s in symbols else int(s) for s in re.split(r", ?", shape) if s]
        values = np.random.Generator(np.random.PCG64(int(seed))).standard_normal(sizes)
        return (values * float(scale or 1.0)).astype(np.float32)

    def faults(self, group: str, values: Mapping[str, Any]) -> list[str]:
        """Return a line for every check of `group` that `values` (by the rest of the key) does not meet."""
        lines = []
        with np.load(self._arrays_file) as arrays:
            for name, check in self.checks(group).items():
                key = check["key"]
                if name not in values:
                    lines.append(f"{key}: no value")
                    continue
                stored = {part: arrays[f"{key}/{part}"] for part in ("shape", "mean", "std", "values")}
                array, allowed = np.asarray(values[name]), check["tolerance"]
                if "allowed share of differing" in check["what"]:
                    lines += _compare_classes(key, array, stored, tolerance=allowed)
                    continue
                lines += _compare(key, array, stored, tolerance=allowed, each=self._judges_each_value)
        return lines


def _compare(
    key: str, array: np.ndarray, stored: Mapping[str, np.ndarray], *, tolerance: float, each: bool
) -> list[str]:
    """Apply the rule `|yours - stored| <= tolerance * scale`, to mean and deviation too.

    The scale is max |stored|, at least 1e-6; with `each` it is max(|stored value|, stored deviation).
    """
    array = array[None] if array.ndim == 0 and tuple(stored["shape"]) == (1,) else array
    if array.shape != tuple(stored["shape"]):
        return [f"{key}: shape {array.shape}, expected {tuple(stored['shape'])}"]
    if array.size == 0:
        return []
    _, mean, std, values = sample(array, count=len(stored["values"]))
    lines = []
    for part, found in {"values": values, "mean": mean, "std": std}.items():
        wanted = np.asarray(stored[part], dtype=np.float64)
        floor = float(stored["std"]) if each else float(np.abs(stored["values"]).max(initial=0.0))
        scale = np.maximum(np.abs(wanted) if each else 0.0, max(floor, 1e-6))
        # Sums over many float32 depend on NumPy's order of addition, even where the values are exact.
        allowed = tolerance if part == "values" else max(tolerance, 1e-6)
        excess = np.abs(np.asarray(found) - wanted) / scale
        if not (excess <= allowed).all():
            lines.append(f"{key}: {part} differ by {excess.max():.3g} of their scale, allowed {allowed:g}")
    return lines


def _compare_classes(
    key: str, array: np.ndarray, stored: Mapping[str, np.ndarray], *, tolerance: float
) -> list[str]:
    """Apply the rule that at most a share `tolerance` of the classes differ."""
    if array.shape != tuple(stored["shape"]):
        return [f"{key}: shape {array.shape}, expected {tuple(stored['shape'])}"]
    share = float(np.mean(sample(array, count=len(stored["values"]))[3] != stored["values"]))
    return [f"{key}: {share:.3g} of the classes differ, allowed {tolerance:g}"] if share > tolerance else []


def find_references(family: str, *, model_prefix: str) -> list[Path]:
    """Return the JSON files of one family, from `PARITY_DIR` when that is set."""
    root = Path(os.environ.get("PARITY_DIR", _PUBLISHED))
    folder = root / family if (root / family).is_dir() else root
    files = sorted(folder.glob("*.json"))
    contents = {file: json.loads(file.read_text("utf-8")) for file in files}
    return [
        file
        for file, content in contents.items()
        if isinstance(content, dict) and str(content.get("model", "")).startswith(model_prefix)
    ]


def require_references(files: list[Path]) -> None:
    """Fail where a family has no reference; skip where `PARITY_DIR` is about other families."""
    if not files and "PARITY_DIR" in os.environ:
        pytest.skip("PARITY_DIR holds no reference of this family")
    assert files


class FixedDraws(UniformDraws):
    """Every draw is the start of one recorded sequence."""

    def __init__(self, sequence_seed: int) -> None:
        super().__init__()
        self._sequence_seed = sequence_seed

    def uniform(self, shape):  # type: ignore[no-untyped-def]
        import paddle

        generator = np.random.Generator(np.random.PCG64(self._sequence_seed))
        count = int(np.prod(shape))
        return paddle.to_tensor(generator.random(count, dtype=np.float32).reshape(tuple(shape)))
