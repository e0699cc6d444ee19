"""Every snippet of docs/python_api_2x.md runs, one after the other, with narrow networks and fewer photos."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "python_api_2x.md"
TRAIN, VAL = 4, 2


def _snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.S)


def _few_photos(folder: Path) -> None:
    """The demo photos, but only the first of each list."""
    source, target = ROOT / "dataset" / "nuts_labelme", folder / "dataset" / "nuts_labelme"
    shutil.copytree(source, target)
    for name, count in (("train_anno_list.txt", TRAIN), ("val_anno_list.txt", VAL)):
        lines = (source / name).read_text().splitlines()
        (target / name).write_text("\n".join(lines[:count]) + "\n")


def _archive(folder: Path) -> None:
    """The same photos as the archive of a COCO data set."""
    import paddlex as pdx

    data = folder / "content" / "nuts_ins_det"
    (data / "JPEGImages").mkdir(parents=True)
    nuts = folder / "dataset" / "nuts_labelme"
    labels = pdx.datasets.LabelMeDetection(str(nuts), "train_anno_list.txt").labels
    for part in ("train", "val"):
        dataset = pdx.datasets.LabelMeDetection(str(nuts), f"{part}_anno_list.txt", label_list=labels)
        content = dataset.ground_truth()
        for image in content["images"]:
            path = Path(image["file_name"])
            shutil.copy(path, data / "JPEGImages" / path.name)
            image["file_name"] = path.name
        (data / f"{part}.json").write_text(json.dumps(content))
    with tarfile.open(folder / "nuts_ins_det.tar.gz", "w:gz") as archive:
        archive.add(data, "nuts_ins_det")


@pytest.mark.onnx_export
def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    _few_photos(tmp_path)
    _archive(tmp_path)
    names: dict[str, object] = {}
    for number, snippet in enumerate(_snippets(), start=1):
        # No comma in the name: Paddle's tracer takes it for the end of a path.
        exec(compile(snippet, f"{DOCUMENT.name}#{number}", "exec"), names)
    for folder in ("mask_rcnn", "fast_scnn", "pruned_trained", "quantised", "mask_rcnn_r50_fpn"):
        assert (tmp_path / "output" / folder / "best_model" / ".success").is_file(), folder
    assert list((tmp_path / "output" / "mask_rcnn").glob("visualize_*"))
    assert (tmp_path / "output" / "int8" / "inference_model" / "inference.onnx").is_file()
