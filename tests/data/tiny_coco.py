"""A COCO data set of a few tiny photos, sound, for tests to use or to break."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
CLASSES = ("bar", "disc")
TRAIN, VAL = "annotations/instance_train.json", "annotations/instance_val.json"


def write_tiny_coco(folder: Path, *, train: int = 4, val: int = 2) -> Path:
    """Photos named p0.png, p1.png, ... (train first), each with one object of each class."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    rng = np.random.default_rng(0)
    numbers = list(range(train + val))
    for number in numbers:
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"p{number}.png")
    for name, members in ((TRAIN, numbers[:train]), (VAL, numbers[train:])):
        (folder / name).write_text(json.dumps(_content(members)), encoding="utf-8")
    return folder


def _content(numbers: list[int]) -> dict[str, Any]:
    annotations = []
    for number in numbers:
        for category, left in ((1, 4), (2, 34)):
            square = [left, 10, left + 20, 10, left + 20, 30, left, 30]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": [square],
                    "bbox": [left, 10, 20, 20],
                    "area": 400,
                    "iscrowd": 0,
                }
            )
    return {
        "info": {"year": 2024},
        "images": [
            {"id": number, "file_name": f"p{number}.png", "width": WIDTH, "height": HEIGHT}
            for number in numbers
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "bar"}, {"id": 2, "name": "disc"}],
    }


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Content of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    assert isinstance(content, dict)
    return content


def hashes(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
