"""Tiny LabelMe data sets, made in the test's folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 64)
SQUARE = [[10, 8], [30, 8], [30, 28], [10, 28]]  # 20 x 20 pixels
TRIANGLE = [[40, 10], [60, 10], [60, 40]]


def write_photo(path, *, size=SIZE, seed=0, orientation=None):
    """A smooth photo; `size` is as stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    small.resize((size[1], size[0])).save(path, exif=exif)
    return path


def shape(label="cat", points=SQUARE, **fields):
    return {
        "label": label,
        "points": points,
        "shape_type": "polygon",
        "group_id": None,
        "flags": {},
        **fields,
    }


def write_labelme_json(path, shapes, *, image_path=None, size=SIZE, encoding="utf-8", **fields):
    """A LabelMe file whose photo is `../images/<stem>.jpg` unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"../images/{path.stem}.jpg" if image_path is None else image_path,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
        **fields,
    }
    path.write_text(json.dumps(content, ensure_ascii=encoding == "ascii"), encoding=encoding)
    return path


def make_dataset(root, photos, *, train=None, val=None):
    """`photos` maps names to lists of shapes; lists are written when given."""
    for seed, (name, shapes) in enumerate(photos.items()):
        write_photo(root / "images" / f"{name}.jpg", seed=seed)
        write_labelme_json(root / "annotations" / f"{name}.json", shapes)
    for file, names in (("train_anno_list.txt", train), ("val_anno_list.txt", val)):
        if names is not None:
            (root / file).write_text("".join(f"annotations/{name}.json\n" for name in names))
    return root


def listing(root: Path) -> dict[str, str]:
    """Every path below `root` with a digest of its content: equal listings are equal folders."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(root.rglob("*"))
    }


def read_coco(root, side):
    return json.loads((root / "annotations" / f"instance_{side}.json").read_text(encoding="utf-8"))
