"""Memory of what follows the network: 100 instances on a 12-megapixel photo.

    python benchmarks/predict_memory.py [--height 3000] [--width 4000] [--instances 100] [--share 0.02]
                                        [--frame photo]

Prints, for post-processing, drawing, saving as JSON and saving as picture, the seconds and the peak of
resident memory above what is there before: the photo and the raw network outputs. `--share` is each object's
area as a share of the photo; 1 means that every mask covers it wholly, the worst case. `--frame box` takes
masks of 28 x 28 cells over each box, as R-CNN makes them, instead of 160 x 160 over the photo.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from paddlex.inference.postprocess import RawDetections, postprocess
from paddlex.inference.results import InstanceSegResult
from paddlex.structures.mask_form import MaskForm
from paddlex.structures.photo import Photo

_GRID = 160
_BOX_GRID = 28
_MEGABYTE = 1e6


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--frame", choices=("photo", "box"), default="photo")
    options = parser.parse_args()
    size = (options.height, options.width)
    rng = np.random.default_rng(0)
    make = _box_ellipses if options.frame == "box" else _ellipses
    raw = make(options.instances, share=options.share, rng=rng)
    photo = Photo(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    # Loads fonts and codecs, which are no part of the measurement.
    _use(
        _result(raw, photo=Photo(photo.pixels[:64, :64].copy()), measure=lambda _, act: act()),
        act=lambda _, a: a(),
    )
    base = psutil.Process().memory_info().rss

    def measure(name: str, act: Callable[[], Any]) -> Any:
        with _peak() as peak:
            start = time.perf_counter()
            value = act()
            seconds = time.perf_counter() - start
        print(f"{name:14s} {seconds:7.2f} s   peak {max(0, peak[0] - base) / _MEGABYTE:7.0f} MB")
        return value

    dense = options.instances * size[0] * size[1] / _MEGABYTE
    print(f"{options.instances} instances of {options.share:.0%} each on {size[1]} x {size[0]}")
    print(f"as dense bool masks they would take {dense:.0f} MB")
    result = _result(raw, photo=photo, measure=measure)
    print(f"the result's masks take {result.masks.nbytes / _MEGABYTE:.0f} MB")
    _use(result, act=measure)


def _result(raw: RawDetections, *, photo: Photo, measure: Callable[..., Any]) -> InstanceSegResult:
    found = measure(
        "post-process", lambda: postprocess(raw, size=photo.size, threshold=0.5, crop_to_boxes=True)
    )
    return InstanceSegResult(
        boxes=found.boxes,
        scores=found.scores,
        class_ids=found.class_ids,
        masks=found.masks,
        labels=tuple(f"class {i}" for i in found.class_ids),
        photo=photo,
    )


def _use(result: InstanceSegResult, *, act: Callable[..., Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        act("draw", lambda: result.drawing)
        path = act("save JSON", lambda: result.save_to_json(Path(folder) / "r.json"))
        act("save picture", lambda: result.save_to_img(Path(folder) / "r.jpg"))
        act(f"JSON of {path.stat().st_size / 1e3:.0f} kB", lambda: None)


def _ellipses(count: int, *, share: float, rng: np.random.Generator) -> RawDetections:
    """Candidates whose logits draw ellipses inside their boxes, all above the threshold."""
    side = np.sqrt(share)
    corners = rng.uniform(0, 1 - side, (count, 2)) if side < 1 else np.zeros((count, 2))
    boxes = np.concatenate([corners, corners + side], axis=1).astype(np.float32)
    axis = (np.arange(_GRID) + 0.5) / _GRID
    centers = corners + side / 2
    x = ((axis[None, None, :] - centers[:, 0, None, None]) / (side / 2)) ** 2
    y = ((axis[None, :, None] - centers[:, 1, None, None]) / (side / 2)) ** 2
    logits = 1.0 - (x + y) if share < 1 else np.ones((count, _GRID, _GRID))
    return RawDetections(
        boxes=boxes,
        box_frame=(1, 1),
        scores=rng.uniform(0.6, 1, count).astype(np.float32),
        class_ids=rng.integers(0, 20, count),
        masks=np.asarray(logits * 5, dtype=np.float32),
        mask_form=MaskForm("photo", "logits"),
    )


def _box_ellipses(count: int, *, share: float, rng: np.random.Generator) -> RawDetections:
    """The same boxes, each with a grid of its own that its ellipse fills."""
    whole = _ellipses(count, share=share, rng=rng)
    axis = ((np.arange(_BOX_GRID) + 0.5) / _BOX_GRID * 2 - 1) ** 2
    distance = axis[:, None] + axis[None, :] if share < 1 else np.zeros((_BOX_GRID, _BOX_GRID))
    return dataclasses.replace(
        whole,
        masks=np.broadcast_to((distance < 1).astype(np.float32), (count, _BOX_GRID, _BOX_GRID)),
        mask_form=MaskForm("box", "probabilities"),
    )


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Sample resident memory every millisecond; the first entry of the list is the highest."""
    process = psutil.Process()
    peak = [process.memory_info().rss]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
