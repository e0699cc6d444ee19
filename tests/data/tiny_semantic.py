"""A semantic data set of a few 32 x 48 photos, made in the test's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 32, 48
NAMES = ("background", "leaf", "stem")


def write_pair(folder: Path, name: str, *, label_map: np.ndarray | None = None, seed: int = 0) -> str:
    """A photo and its mask (three classes and some 255 unless given); returns their line."""
    rng = np.random.default_rng(seed)
    for part in ("images", "annotations"):
        (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
    photo = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(photo).save(folder / "images" / f"{name}.png")
    if label_map is None:
        label_map = np.repeat(np.array([0, 1, 2, 255], np.uint8), WIDTH // 4)[None].repeat(HEIGHT, axis=0)
    Image.fromarray(label_map).save(folder / "annotations" / f"{name}.png")
    return f"images/{name}.png annotations/{name}.png\n"


def write_tiny_semantic(folder: Path, *, train: int = 4, val: int = 2) -> Path:
    """`train` and `val` photos with all classes on each."""
    number = 0
    for split, count in (("train", train), ("val", val)):
        lines = []
        for _ in range(count):
            lines.append(write_pair(folder, f"photo{number}", seed=number))
            number += 1
        (folder / f"{split}.txt").write_text("".join(lines))
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return folder
