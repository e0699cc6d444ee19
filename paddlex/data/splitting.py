"""Split a data set into training and validation anew, reproducibly and without losing anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.data.checks.photos import photo_paths
from paddlex.data.checks.structure import (
    CocoFile,
    check_categories,
    check_ids,
    check_links,
    is_object,
    read_coco_file,
)
from paddlex.data.formats.staging import StagedFiles
from paddlex.utils.errors import DatasetFileNotFoundError, SplitFailedError

__all__ = [
    "SplitSummary",
    "choose_sides",
    "divide",
    "require_folder",
    "require_percents",
    "split_coco_dataset",
]

# A file that is not there or holds nothing is no obstacle: the other one is split.
_HARMLESS = frozenset({"file-missing", "no-images", "no-annotations", "no-categories"})


@dataclass(frozen=True)
class SplitSummary:
    """What a split gave.

    Attributes:
        train_photos: photos for training.
        val_photos: photos for validation.
        one_sided_classes: classes that all lie on one side, as too few photos show them.
    """

    train_photos: int
    val_photos: int
    one_sided_classes: tuple[str, ...]


def require_percents(train_percent: object, val_percent: object) -> tuple[float, float]:
    """The two percents as numbers.

    Raises:
        SplitFailedError: unless both are positive and their sum is 100.
    """
    for percent in (train_percent, val_percent):
        number = isinstance(percent, (int, float)) and not isinstance(percent, bool)
        if not number or not percent > 0 or not math.isfinite(percent):  # type: ignore[operator, arg-type]
            break
    else:
        train, val = float(train_percent), float(val_percent)  # type: ignore[arg-type]
        if math.isclose(train + val, 100, abs_tol=1e-6):
            return train, val
    raise SplitFailedError(
        f"CheckDataset.split: train_percent {train_percent!r} and val_percent {val_percent!r}; "
        "expected two positive numbers that add up to 100; for example 80 and 20"
    )


def split_coco_dataset(
    dataset_dir: Path, *, train_percent: float, val_percent: float, seed: int = 0
) -> SplitSummary:
    """Pool `instance_train.json` and `instance_val.json` and split the pool anew, in place.

    - A photo that is listed several times stays on one side.
    - Both sides get at least one photo; validation gets all that training does not.
    - Photos are drawn at random, then exchanged until every class that two photos show is on both sides,
      as far as that is possible.
    - Categories are merged by name; ids change only where those of the two files collide, and ids of
      annotations run from 1 in each file. All other fields and keys are kept.
    - The first originals stay as `instance_train.json.bak` and `instance_val.json.bak`.

    Args:
        dataset_dir: holds `annotations/`; one of the two files may be missing.
        train_percent: share of the photos for training.
        val_percent: the rest, up to 100.
        seed: chooses the photos.

    Raises:
        SplitFailedError: bad percents, unusable files, or fewer than 2 photos. The folder is as it was.
        DatasetFileNotFoundError: if `dataset_dir` is no folder.
    """
    train_percent, _ = require_percents(train_percent, val_percent)
    require_folder(dataset_dir)
    files = _read(dataset_dir)
    pool = _pool(files)
    photos = _photos(dataset_dir, files)
    classes = _classes_shown(pool, photos)
    sides, one_sided = divide(classes, train_percent=train_percent, seed=seed, where=dataset_dir)
    parts = [_part(pool, [place for photo in side for place in photos[photo]]) for side in sides]
    _write(dataset_dir, parts)
    names = tuple(category["name"] for category in pool.categories if category["id"] in one_sided)
    return SplitSummary(len(sides[0]), len(sides[1]), names)


# ---------------------------------------------------------------- pooling


def _read(dataset_dir: Path) -> list[CocoFile]:
    files, faults = [], []
    for split in ("train", "val"):
        file, problems = read_coco_file(dataset_dir, split)
        files.append(file)
        faults += problems
        for check in (check_ids, check_links, check_categories):
            faults += check(file)
    errors = [fault for fault in faults if fault.severity == "error" and fault.kind not in _HARMLESS]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise SplitFailedError(f"cannot split: {errors[0]}{more}")
    if not any((dataset_dir / file.name).is_file() for file in files):
        raise SplitFailedError(
            f"{dataset_dir / 'annotations'}: neither instance_train.json nor instance_val.json; put one there"
        )
    return files


def _pool(files: Sequence[CocoFile]) -> CocoFile:
    """Both files as one, with ids that do not collide."""
    pool = CocoFile("pool", "annotations")
    ids_by_name: dict[str, int] = {}
    for file in files:
        category_ids: dict[int, int] = {}
        taken = set(ids_by_name.values())
        for category in file.categories:
            name = category["name"].strip()
            if name not in ids_by_name:
                ids_by_name[name] = _free_id(category["id"], taken)
                pool.categories.append({**category, "id": ids_by_name[name]})
            category_ids[category["id"]] = ids_by_name[name]
        image_ids: dict[int, int] = {}
        taken = {image["id"] for image in pool.images}
        for image in file.images:
            image_ids[image["id"]] = _free_id(image["id"], taken)
            pool.images.append({**image, "id": image_ids[image["id"]]})
        for annotation in file.annotations:
            links = {
                "image_id": image_ids[annotation["image_id"]],
                "category_id": category_ids[annotation["category_id"]],
            }
            pool.annotations.append({**annotation, **links})
        _merge_extra(pool.extra, file.extra)
    return pool


def _photos(dataset_dir: Path, files: Sequence[CocoFile]) -> list[list[int]]:
    """Per photo, the places of its entries in the pool."""
    places: dict[str, list[int]] = {}
    paths = [path for file in files for path in photo_paths(dataset_dir, file)]
    for place, path in enumerate(paths):
        places.setdefault(path, []).append(place)
    return list(places.values())


def _classes_shown(pool: CocoFile, photos: Sequence[Sequence[int]]) -> list[set[int]]:
    """Per photo, the ids of the categories of its objects."""
    by_image: dict[int, set[int]] = {image["id"]: set() for image in pool.images}
    for annotation in pool.annotations:
        if is_object(annotation):
            by_image[annotation["image_id"]].add(annotation["category_id"])
    return [{c for place in places for c in by_image[pool.images[place]["id"]]} for places in photos]


def _free_id(wanted: int, taken: set[int]) -> int:
    """`wanted`, or, where that is taken, the number after the largest; marks it as taken."""
    free = wanted if wanted not in taken else max(taken) + 1
    taken.add(free)
    return free


def _merge_extra(extra: dict[str, Any], further: Mapping[str, Any]) -> None:
    """Keep what is there, add what is new; lists (such as licenses) are joined."""
    for key, value in further.items():
        if isinstance(value, list) and isinstance(extra.get(key), list):
            extra[key] = extra[key] + [item for item in value if item not in extra[key]]
        else:
            extra.setdefault(key, value)


def _part(pool: CocoFile, places: Sequence[int]) -> dict[str, Any]:
    """The COCO object of some of the pool's photos."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in pool.annotations:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    images = [pool.images[place] for place in places]
    annotations = [annotation for image in images for annotation in by_image.get(image["id"], ())]
    numbered = [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]
    return {**pool.extra, "images": images, "annotations": numbered, "categories": pool.categories}


# ---------------------------------------------------------------- choosing


def require_folder(dataset_dir: Path) -> None:
    """Check that there is a data set to split.

    Raises:
        DatasetFileNotFoundError: if `dataset_dir` is no folder.
    """
    if not dataset_dir.is_dir():
        raise DatasetFileNotFoundError(
            f"{dataset_dir}: no such folder; set Global.dataset_dir to the data set"
        )


def divide(
    classes: Sequence[set[int]], *, train_percent: float, seed: int, where: Path
) -> tuple[tuple[list[int], list[int]], set[int]]:
    """Draw the photos for both sides, as `choose_sides` does.

    Args:
        classes: per photo, the classes it shows.
        train_percent: share of the photos for training, in (0, 100).
        seed: of the draw.
        where: the data set, for messages.

    Returns:
        Places of the photos for training and for validation, and the classes that one side lacks.

    Raises:
        SplitFailedError: for fewer than 2 photos.
    """
    if len(classes) < 2:
        raise SplitFailedError(
            f"{where}: {len(classes)} photo; a split needs at least 2, one for each side; add photos"
        )
    sides = choose_sides(classes, train_percent=train_percent, seed=seed)
    train, val = ({c for photo in side for c in classes[photo]} for side in sides)
    return sides, train ^ val


def choose_sides(
    classes: Sequence[set[int]], *, train_percent: float, seed: int
) -> tuple[list[int], list[int]]:
    """Draw the photos for training and for validation.

    Args:
        classes: per photo, the classes it shows; 2 photos or more.
        train_percent: share of the photos for training, in (0, 100).
        seed: of the draw.

    Returns:
        Places of the photos for training and for validation, neither empty, in random order.
    """
    order = np.random.default_rng(seed).permutation(len(classes)).tolist()
    num_train = min(max(round(len(classes) * train_percent / 100), 1), len(classes) - 1)
    train, val = order[:num_train], order[num_train:]
    counts = Counter(c for photo in classes for c in photo)
    # Rare classes first: they leave the least choice.
    for class_id, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        if count > 1:
            _exchange(classes, class_id, train, val)
            _exchange(classes, class_id, val, train)
    return train, val


def _exchange(classes: Sequence[set[int]], class_id: int, lacking: list[int], having: list[int]) -> None:
    """Give the side `lacking` a photo of a class that it lacks, for one without it; no class may vanish."""
    if any(class_id in classes[photo] for photo in lacking):
        return
    shown_lacking, shown_having = (
        Counter(c for photo in side for c in classes[photo]) for side in (lacking, having)
    )
    for i, giver in enumerate(having):
        if class_id not in classes[giver]:
            continue
        for j, taker in enumerate(lacking):
            out, back = classes[giver] - classes[taker], classes[taker] - classes[giver]
            if all(shown_having[c] > 1 for c in out) and all(shown_lacking[c] > 1 for c in back):
                having[i], lacking[j] = taker, giver
                return


# ---------------------------------------------------------------- writing


def _write(dataset_dir: Path, parts: Sequence[dict[str, Any]]) -> None:
    """Replace both files, or neither."""
    folder = dataset_dir / "annotations"
    try:
        with StagedFiles(folder) as staged:
            for split, part in zip(("train", "val"), parts, strict=True):
                staged.add_json(part, folder / f"instance_{split}.json")
            staged.commit()
    except OSError as error:
        reason = error.strerror or error
        raise SplitFailedError(f"{folder}: cannot be written ({reason}); nothing was changed") from error
