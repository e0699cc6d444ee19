"""`PARITY_DIR=folder pytest tests/parity` takes any folder of references, of one family or of all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PARITY = Path(__file__).parent / "parity"
FAMILIES = {
    "mask_rtdetr": "Mask-RT-DETR-S",
    "maskrcnn": "MaskRCNN-ResNet50",
    "ppyoloe_seg": "PP-YOLOE_seg-S",
    "solov2": "SOLOv2",
    "semantic_segmentation": "FastSCNN",
}


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(PARITY)],
        env={**os.environ, "PARITY_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_one_family_skips_the_others(family: str, tmp_path: Path) -> None:
    for suffix in ("json", "npz"):
        shutil.copy(PARITY / family / f"{FAMILIES[family]}.{suffix}", tmp_path)
    # Besides the references, those tests that read none of them.
    run = _pytest(tmp_path, "-k", "there_are_references")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout and "skipped" in run.stdout


def test_a_folder_without_references_is_refused(tmp_path: Path) -> None:
    run = _pytest(tmp_path)
    assert run.returncode == 4
    assert "no .json file there" in run.stdout + run.stderr
