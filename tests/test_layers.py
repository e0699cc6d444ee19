"""Imports point downward only, and the light modes stay light.

The rows are those of CONTRIBUTING.md, top to bottom; a row may import any row below it and, unless it is
marked blind, its own members.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "paddlex"

ROWS = [
    {"__init__", "__main__", "cli"},
    {"engine", "model", "pipeline", "det", "seg", "datasets", "tools", "transforms", "v2"},
    {"modules"},
    {"repo_apis", "training", "inference", "compression"},
    {"data", "metrics", "nn"},
    {"structures"},
    {"config"},
    {"utils"},
]
# Members of these rows do not know one another.
BLIND_ROWS = [
    {"repo_apis", "training", "inference", "compression"},
    {"data", "metrics", "nn"},
]
ROW_OF = {name: index for index, row in enumerate(ROWS) for name in row}
# `config` sits low because it imports only utils, but only these may read it.
CONFIG_READERS = {"engine", "pipeline", "cli", "config", "__init__"}

PADDLE_USERS = (
    "nn/",
    "repo_apis/",
    "training/",
    "compression/",
    "inference/backends/paddle.py",
    "modules/instance_segmentation/evaluator",
    "modules/instance_segmentation/exporter",
    "modules/instance_segmentation/fast_graph.py",
    "modules/export",
    "modules/paddle_device.py",
    "modules/prune",
    "modules/quantize_run.py",
    "modules/recipe_loop.py",
    "modules/run_environment.py",
    "modules/evaluation_batches.py",
    "modules/semantic_segmentation/evaluator",
    "modules/semantic_segmentation/exporter",
    "modules/start_weights.py",
    "modules/trained_network.py",
    "modules/training_run.py",
    "v2/base.py",
    "v2/checks.py",
    "v2/rebuild.py",
    "v2/run.py",
    "v2/slimming.py",
    "v2/trainable.py",
    "v2/slimmable.py",
)


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imports(file: Path) -> list[tuple[str, int]]:
    """(module, line) of every import, those inside functions included; `if TYPE_CHECKING` blocks are not."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            if node.module == "paddlex":
                found += [(f"paddlex.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((node.module or "", node.lineno))
    return found


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", _files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_downward(file: Path) -> None:
    room = _room(file)
    wrong = []
    for module, line in _imports(file):
        if not module.startswith("paddlex."):
            continue
        target = module.split(".")[1]
        if target == room:
            continue
        blind = any({room, target} <= row for row in BLIND_ROWS)
        if ROW_OF[target] < ROW_OF[room] or blind or (target == "config" and room not in CONFIG_READERS):
            wrong.append(f"{file.name}:{line} imports {module}")
    assert not wrong, wrong


@pytest.mark.parametrize("file", _files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_paddle_is_imported_only_where_networks_live(file: Path) -> None:
    path = file.relative_to(PACKAGE).as_posix()
    uses = [line for module, line in _imports(file) if module.split(".")[0] == "paddle"]
    assert not uses or path.startswith(PADDLE_USERS), f"{path} imports paddle at line {uses}"


@pytest.mark.parametrize("file", _files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_files_stay_small(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return set(out.stdout.split())


def test_importing_the_package_is_light() -> None:
    assert not _modules_after("import paddlex") & {
        "paddle",
        "cv2",
        "matplotlib",
        "numpy",
        "scipy",
        "pydantic",
    }


def test_checking_a_data_set_never_loads_paddle() -> None:
    statement = "import paddlex.engine, paddlex.modules.instance_segmentation.dataset_checker"
    assert not _modules_after(statement) & {"paddle", "onnxruntime"}


def test_predicting_with_onnx_never_loads_paddle() -> None:
    statement = "import paddlex.model, paddlex.inference.backends.onnx, paddlex.inference.backends.pixels"
    assert "paddle" not in _modules_after(statement)
