"""The frame of a COCO file: keys, entries, ids and the links between them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddlex.data.checks.problems import Problem, Severity
from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_json

__all__ = [
    "CocoFile",
    "check_categories",
    "check_ids",
    "check_links",
    "check_listed_twice",
    "is_object",
    "read_coco_file",
]

Entry = dict[str, Any]

_REQUIRED = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id"),
}
_REMEDY_WHEN_EMPTY = {
    "images": "list the photos of this split",
    "categories": "list the classes",
    "annotations": "annotate objects, or split anew (CheckDataset.split.enable=True)",
}
_IDS = ("id", "image_id", "category_id")
_DUPLICATES: tuple[tuple[str, str, Severity, str], ...] = (
    ("images", "image-id-duplicate", "error", "give each photo its own id, and its annotations that id"),
    ("categories", "category-id-duplicate", "error", "give each class its own id"),
    (
        "annotations",
        "annotation-id-duplicate",
        "warning",
        "number them from 1; training does not use these ids, other tools do",
    ),
)


@dataclass(frozen=True)
class CocoFile:
    """A COCO file whose entries can be walked: those that could not have been reported and left out.

    Attributes:
        split: "train" or "val".
        name: path relative to the data set, e.g. "annotations/instance_train.json".
        images: entries with "id" and "file_name".
        categories: entries with "id" and "name".
        annotations: entries with "id", "image_id" and "category_id"; ids are integers throughout.
        extra: further keys of the file, e.g. "info" and "licenses".
    """

    split: str
    name: str
    images: list[Entry] = field(default_factory=list)
    categories: list[Entry] = field(default_factory=list)
    annotations: list[Entry] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def problem(self, kind: str, severity: Severity, **details: str) -> Problem:
        """A problem of this file."""
        return Problem(kind=kind, severity=severity, file=self.name, **details)


def read_coco_file(dataset_dir: Path, split: str) -> tuple[CocoFile, list[Problem]]:
    """Read `annotations/instance_<split>.json` as far as it can be read, with the faults of its frame."""
    file = CocoFile(split, f"annotations/instance_{split}.json")
    path = dataset_dir / file.name
    if not path.is_file():
        missing = file.problem(
            "file-missing", "error", found="the file does not exist", remedy=_how_to_get(dataset_dir, split)
        )
        return file, [missing]
    try:
        content = read_json(path)
    except FileFormatError as error:
        found, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
        return file, [file.problem("file-unreadable", "error", found=found, remedy=remedy or "write it anew")]
    if not isinstance(content, dict):
        wrong = file.problem(
            "file-not-coco",
            "error",
            found=f"JSON that is a {type(content).__name__}",
            expected="an object with the lists images, annotations and categories",
            remedy="export the annotations in COCO form",
        )
        return file, [wrong]
    file.extra.update({key: value for key, value in content.items() if key not in _REQUIRED})
    problems: list[Problem] = []
    for key in _REQUIRED:
        problems += _walk(file, key, content.get(key))
    return file, problems


def _how_to_get(dataset_dir: Path, split: str) -> str:
    other = "val" if split == "train" else "train"
    if (dataset_dir / "annotations" / f"instance_{other}.json").is_file():
        return f"set CheckDataset.split.enable=True to split instance_{other}.json in two"
    if (dataset_dir / "train_anno_list.txt").is_file():
        return "set CheckDataset.convert.enable=True and CheckDataset.convert.src_dataset_type=LabelMe"
    return "put both instance_train.json and instance_val.json into the folder annotations"


def _walk(file: CocoFile, key: str, entries: object) -> Iterator[Problem]:
    """Copy the sound entries of a list into `file` and report the others."""
    if not isinstance(entries, list):
        yield file.problem(
            "file-not-coco",
            "error",
            found=f'no list "{key}"' if entries is None else f'"{key}" is a {type(entries).__name__}',
            expected='the three lists "images", "annotations" and "categories"',
            remedy="export the annotations in COCO form",
        )
        return
    if not entries:
        found = f'the list "{key}" is empty'
        yield file.problem(f"no-{key}", "error", found=found, remedy=_REMEDY_WHEN_EMPTY[key])
    texts = 0
    for place, entry in enumerate(entries):
        fault = _entry_fault(entry, _REQUIRED[key])
        if fault is None:
            texts += any(isinstance(entry.get(name), str) for name in _IDS)
            getattr(file, key).append(_with_integer_ids(entry, place + 1))
        else:
            yield _malformed(file, key, place, fault)
    if texts:
        yield file.problem(
            "id-text",
            "warning",
            where=key,
            found=f"ids written as texts, in {texts} of {len(entries)} entries",
            expected="integers",
            remedy="they are read as integers; write them without quotes for other tools' sake",
        )


def _malformed(file: CocoFile, key: str, place: int, fault: str) -> Problem:
    return file.problem(
        "entry-malformed",
        "error",
        where=f"{key}[{place}]",
        found=fault,
        expected=f"an object with {', '.join(_REQUIRED[key])}",
        remedy="complete or remove this entry",
    )


def _entry_fault(entry: object, required: tuple[str, ...]) -> str | None:
    if not isinstance(entry, dict):
        return f"a {type(entry).__name__}"
    for key in required:
        value = entry.get(key)
        if value is None:
            return f"{key} is missing"
        if key in _IDS and _integer(value) is None:
            return f"{key} is {value!r}, no integer"[:120]
        if key not in _IDS and not (isinstance(value, str) and value.strip()):
            return f"{key} is {value!r}, no text"[:120]
    return None


def _integer(value: object) -> int | None:
    """The id that a JSON value means; some programs write "7" or 7.0."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]+\s*", value):
        return int(value)
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value == int(value)
    ):
        return int(value)
    return None


def _with_integer_ids(entry: Entry, number: int) -> Entry:
    """The entry with integer ids; an annotation without id gets its `number`, as in training."""
    ids = {key: _integer(entry[key]) for key in _IDS if entry.get(key) is not None}
    return {"id": number, **entry, **{key: value for key, value in ids.items() if value is not None}}


def is_object(annotation: Entry) -> bool:
    """Whether an annotation is an object to be learnt; crowds and what is to be ignored are none."""
    return not any(annotation.get(key) in (1, "1") for key in ("iscrowd", "ignore"))


# ---------------------------------------------------------------- ids


def check_ids(file: CocoFile) -> Iterator[Problem]:
    """Ids given to several entries; nothing refers to those of annotations."""
    for key, kind, severity, remedy in _DUPLICATES:
        for entry_id, count in Counter(entry["id"] for entry in getattr(file, key)).items():
            if count > 1:
                found = f"id {entry_id} is given {count} times"
                yield file.problem(kind, severity, where=key, found=found, remedy=remedy)


def check_links(file: CocoFile) -> Iterator[Problem]:
    """Annotations of photos or classes that are not listed."""
    image_ids = {image["id"] for image in file.images}
    category_ids = {category["id"] for category in file.categories}
    for annotation in file.annotations:
        for key, known, listed, kind in (
            ("image_id", image_ids, "images", "annotation-of-unknown-image"),
            ("category_id", category_ids, "categories", "annotation-of-unknown-category"),
        ):
            if annotation[key] not in known:
                yield file.problem(
                    kind,
                    "error",
                    where=f"annotation {annotation['id']}",
                    found=f"{key} {annotation[key]!r} is not listed",
                    expected=f'an id of "{listed}"',
                    remedy=f"correct the {key}, list it, or remove the annotation",
                )


def check_categories(file: CocoFile) -> Iterator[Problem]:
    """Classes that share a name cannot be told apart in any result."""
    ids: dict[str, list[object]] = {}
    for category in file.categories:
        ids.setdefault(category["name"].strip(), []).append(category["id"])
    for name, members in ids.items():
        if len(members) > 1:
            yield file.problem(
                "category-name-duplicate",
                "error",
                where="categories",
                found=f"ids {', '.join(map(str, members))} are all named {name!r}",
                expected="one name per class",
                remedy="rename them, or merge them into one category",
            )


def check_listed_twice(file: CocoFile, paths: Sequence[str]) -> Iterator[Problem]:
    """Photos that have several entries.

    With the same objects each time the photo merely counts more; with different ones, each entry teaches
    that the objects of the others are background.

    Args:
        file: the annotation file.
        paths: per image of the file, its photo.
    """
    places: dict[str, list[int]] = {}
    for place, path in enumerate(paths):
        places.setdefault(path, []).append(place)
    repeated = {path: members for path, members in places.items() if len(members) > 1}
    if not repeated:
        return
    objects: dict[object, list[str]] = {}
    for annotation in file.annotations:
        key = json.dumps([annotation["category_id"], annotation.get("segmentation")], sort_keys=True)
        objects.setdefault(annotation["image_id"], []).append(key)
    for path, members in repeated.items():
        ids = [file.images[place]["id"] for place in members]
        contents = {tuple(sorted(objects.get(image_id, []))) for image_id in ids}
        same = len(contents) == 1
        yield file.problem(
            "photo-listed-twice" if same else "photo-listed-twice-differently",
            "warning" if same else "error",
            where=f"images {', '.join(map(str, ids))}",
            found=f"all are {path}, with {'the same' if same else 'different'} objects",
            expected="one entry per photo",
            remedy="remove the repeated entries" if same else "unite their objects under one entry",
        )
