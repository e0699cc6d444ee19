"""Whether the values of masks are the indices of classes, and what they rather seem to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from paddlex.data.checks.masks import IGNORE_INDEX, MaskScan
from paddlex.data.checks.problems import Problem

__all__ = ["check_classes", "check_label_values"]

_SHOWN = 8
# More different values outside the classes than this are no typing errors but blended along edges.
_BLENDED = 12


def check_label_values(
    masks: Mapping[str, MaskScan], *, num_classes: int | None, named_in: str | None = None
) -> Iterator[Problem]:
    """Values that are neither a class nor 255; kinds of masks that are numbered in another way.

    Args:
        masks: scans by path; those that could not be read are left out.
        num_classes: classes are 0 to this, exclusive; None where that is what the masks are to tell.
        named_in: the file whose names `num_classes` counts, if it is that.
    """
    sound = {path: mask for path, mask in masks.items() if mask.problem is None}
    if not sound:
        return
    counts = np.sum([mask.counts for mask in sound.values()], axis=0)
    values = set(np.flatnonzero(counts).tolist())
    labels = values - {IGNORE_INDEX}
    of_all = _nothing_to_learn(counts, num_classes=num_classes)
    if of_all is None and num_classes is not None and max(labels) == num_classes:
        of_all = _one_too_many(counts, num_classes=num_classes, named_in=named_in)
    if of_all is not None:
        yield _of_all(sound, **of_all)
    elif num_classes is None:
        yield from _gaps(sound, labels)
    else:
        for path, mask in sound.items():
            yield from _outside(path, mask, num_classes, all_values=values)
    if labels - {0}:
        yield from _binary_masks(sound)


def _nothing_to_learn(counts: NDArray[np.int64], *, num_classes: int | None) -> dict[str, str] | None:
    """Why masks teach nothing, as fields of a problem; None if they do.

    Args:
        counts: (256,) pixels of each value, over all masks.
        num_classes: as in `check_label_values`.
    """
    values = set(np.flatnonzero(counts).tolist())
    labels = values - {IGNORE_INDEX}
    if not labels:
        return {
            "kind": "labels-none",
            "found": "every pixel is 255, which is ignored",
            "expected": "classes from 0 upwards",
            "remedy": "number the classes from 0",
        }
    if values == {0, IGNORE_INDEX}:
        return {
            "kind": "labels-binary",
            "found": f"0 ({_pixels(counts[0])}) and 255 ({_pixels(counts[IGNORE_INDEX])}) only; 255 is "
            "ignored, so nothing but background would be learnt",
            "expected": "0 for background, 1 for the object",
            "remedy": "write 1 in place of 255 and set Train.num_classes=2",
        }
    if (num_classes or len(labels)) == 1 and labels == {0}:
        return {
            "kind": "one-class",
            "found": "a single class",
            "expected": "at least 2, background among them",
            "remedy": "annotate what is to be told apart",
        }
    return None


def _one_too_many(
    counts: NDArray[np.int64], *, num_classes: int, named_in: str | None
) -> dict[str, str] | None:
    """What is wrong where the largest label is the number of classes, as fields of a problem.

    Args:
        counts: (256,) pixels of each value, over all masks.
        num_classes: as in `check_label_values`.
        named_in: likewise.
    """
    labels = set(np.flatnonzero(counts).tolist()) - {IGNORE_INDEX}
    found = f"labels {_counted(sorted(labels), counts)}"
    expected = f"0 to {num_classes - 1}, or 255 to be ignored"
    if 0 not in labels:
        remedy = (
            "subtract 1 from every label but 255; or, if 0 is a class that no photo shows, set "
            f"Train.num_classes={num_classes + 1}"
        )
        return {"kind": "labels-from-one", "found": found, "expected": expected, "remedy": remedy}
    if named_in is None:
        return None
    remedy = (
        f"if {named_in} leaves out the background, write its name before the others; else write 255 in "
        f"place of {num_classes}, or subtract 1 from every label if 0 is not a class"
    )
    return {"kind": "label-beyond-names", "found": found, "expected": expected, "remedy": remedy}


def _of_all(masks: Mapping[str, MaskScan], **details: str) -> Problem:
    """A problem of all masks together."""
    first = next(iter(masks))
    where = f"as all {len(masks)} masks" if len(masks) > 1 else ""
    return Problem(severity="error", file=first, where=where, **details)


def _outside(path: str, mask: MaskScan, num_classes: int, *, all_values: set[int]) -> Iterator[Problem]:
    outside = sorted(value for value in mask.values if num_classes <= value != IGNORE_INDEX)
    if not outside:
        return
    yield Problem(
        kind="label-outside",
        severity="error",
        file=path,
        found=f"label{'s' if len(outside) > 1 else ''} {_counted(outside, mask.counts)}",
        expected=f"0 to {num_classes - 1}, or 255 to be ignored",
        remedy=_remedy(outside, all_values),
    )


def _remedy(outside: Sequence[int], all_values: set[int]) -> str:
    if len(outside) > _BLENDED:
        return "values were blended: make the mask anew from its annotation, resized by nearest neighbour"
    return _grey_levels(all_values) or (
        "correct these pixels, or write 255 to ignore them; if they are a class, set "
        f"Train.num_classes={max(outside) + 1} and name every class"
    )


def _grey_levels(values: set[int]) -> str | None:
    """The remedy for values that are as far from each other as shades for the eye; None if they are not."""
    levels = sorted(values | {0})
    if len(levels) <= 2 or min(np.diff(levels)) <= 20:
        return None
    wanted = ", ".join(f"{index} for {level}" for index, level in enumerate(levels[:4]))
    return f"these look like grey levels for the eye; write the numbers of classes: {wanted}"


def _gaps(masks: Mapping[str, MaskScan], labels: set[int]) -> Iterator[Problem]:
    missing = sorted(set(range(max(labels) + 1)) - labels)
    if not missing:
        return
    shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
    remedy = f"set Train.num_classes={max(labels) + 1}, or number the classes without gaps"
    if missing == [0]:
        remedy = "subtract 1 from every label but 255 if they count from 1"
    yield Problem(
        kind="labels-with-gaps",
        severity="warning",
        file=next(iter(masks)),
        where=f"and all {len(masks)} masks" if len(masks) > 1 else "",
        found=f"{len(labels)} different labels, the largest {max(labels)}: no pixel is {shown}",
        remedy=_grey_levels(labels) or remedy,
    )


def _binary_masks(masks: Mapping[str, MaskScan]) -> Iterator[Problem]:
    for path, mask in masks.items():
        if mask.values == {0, IGNORE_INDEX}:
            yield Problem(
                kind="mask-binary",
                severity="warning",
                file=path,
                found=f"0 and 255 only, unlike others; 255 ({_pixels(mask.counts[IGNORE_INDEX])}) is ignored",
                remedy="write the number of the class if 255 marks an object",
            )


def _counted(values: Sequence[int], counts: NDArray[np.int64]) -> str:
    """The first values with their pixels."""
    shown = ", ".join(f"{value} ({_pixels(counts[value])})" for value in values[:_SHOWN])
    return shown + (f" and {len(values) - _SHOWN} more values" if len(values) > _SHOWN else "")


def _pixels(count: int) -> str:
    return f"{count} pixel{'s' if count != 1 else ''}"


def check_classes(
    counts: Mapping[str, NDArray[np.int64]],
    *,
    num_classes: int | None,
    names: tuple[tuple[str, ...], str] | None,
) -> Iterator[Problem]:
    """Classes that no pixel shows, and names that are not as many as the classes.

    Args:
        counts: per split (256,) pixels of each value.
        num_classes: the number of classes that training is set to, None if it follows the data.
        names: of the classes, and the file that holds them.
    """
    if num_classes is not None and names is not None and len(names[0]) != num_classes:
        yield Problem(
            kind="class-names",
            severity="warning",
            file=names[1],
            found=f"{len(names[0])} names, but Train.num_classes is {num_classes}",
            remedy="name every class in the order of its index, background too, or correct Train.num_classes",
        )
    known = num_classes or (len(names[0]) if names else 0)
    for split, pixels in counts.items():
        empty = [_name(index, names, known) for index in range(known) if not pixels[index]]
        if empty and pixels.any():
            yield Problem(
                kind="class-without-pixels",
                severity="warning",
                file=f"{split}.txt",
                found=f"no pixel of {', '.join(empty[:20])}{' and others' if len(empty) > 20 else ''}",
                remedy="annotate some, or split anew"
                if split == "val"
                else "annotate some: a class cannot be learnt without examples",
            )


def _name(index: int, names: tuple[tuple[str, ...], str] | None, num_classes: int) -> str:
    if names is not None and len(names[0]) == num_classes:
        return names[0][index]
    return f"class {index}"
