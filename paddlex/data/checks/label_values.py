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


def check_label_values(masks: Mapping[str, MaskScan], *, num_classes: int | None) -> Iterator[Problem]:
    """Values that are neither a class nor 255; kinds of masks that are numbered in another way.

    Args:
        masks: scans by path; those that could not be read are left out.
        num_classes: classes are 0 to this, exclusive; None where that is what the masks are to tell.
    """
    sound = {path: mask for path, mask in masks.items() if mask.problem is None}
    values = set().union(*(mask.values for mask in sound.values())) if sound else set()
    labels = values - {IGNORE_INDEX}
    if not sound:
        return
    if not labels:
        yield _of_all(
            sound,
            kind="labels-none",
            found="every pixel is 255, which is ignored",
            expected="classes from 0 upwards",
            remedy="number the classes from 0",
        )
    elif values == {0, IGNORE_INDEX}:
        yield _of_all(
            sound,
            kind="labels-binary",
            found="0 and 255 only; 255 is ignored, so nothing but background would be learnt",
            expected="0 for background, 1 for the object",
            remedy="write 1 in place of 255 and set Train.num_classes=2",
        )
    elif num_classes is None:
        yield from _gaps(sound, labels)
    elif max(labels) == num_classes and 0 not in labels:
        yield _of_all(
            sound,
            kind="labels-from-one",
            found=f"labels 1 to {num_classes}",
            expected=f"0 to {num_classes - 1}, or 255 to be ignored",
            remedy="subtract 1 from every label but 255; or, if 0 is a class that no photo shows, set "
            f"Train.num_classes={num_classes + 1}",
        )
    else:
        for path, mask in sound.items():
            yield from _outside(path, mask, num_classes, all_values=values)
    if labels - {0}:
        yield from _binary_masks(sound)


def _of_all(masks: Mapping[str, MaskScan], **details: str) -> Problem:
    """A problem of all masks together."""
    first = next(iter(masks))
    where = f"as all {len(masks)} masks" if len(masks) > 1 else ""
    return Problem(severity="error", file=first, where=where, **details)


def _outside(path: str, mask: MaskScan, num_classes: int, *, all_values: set[int]) -> Iterator[Problem]:
    outside = sorted(value for value in mask.values if num_classes <= value != IGNORE_INDEX)
    if not outside:
        return
    shown = ", ".join(f"{value} ({_pixels(mask.counts[value])})" for value in outside[:_SHOWN])
    more = f" and {len(outside) - _SHOWN} more values" if len(outside) > _SHOWN else ""
    yield Problem(
        kind="label-outside",
        severity="error",
        file=path,
        found=f"label{'s' if len(outside) > 1 else ''} {shown}{more}",
        expected=f"0 to {num_classes - 1}, or 255 to be ignored",
        remedy=_remedy(outside, all_values),
    )


def _remedy(outside: Sequence[int], all_values: set[int]) -> str:
    if len(outside) > _BLENDED:
        return "values were blended: make the mask anew from its annotation, resized by nearest neighbour"
    levels = sorted(all_values | {0})
    if len(levels) > 2 and min(np.diff(levels)) > 20:
        wanted = ", ".join(f"{index} for {level}" for index, level in enumerate(levels[:4]))
        return f"these look like grey levels for the eye; write the numbers of classes: {wanted}"
    return (
        "correct these pixels, or write 255 to ignore them; if they are a class, set "
        f"Train.num_classes={max(outside) + 1} and name every class"
    )


def _gaps(masks: Mapping[str, MaskScan], labels: set[int]) -> Iterator[Problem]:
    missing = sorted(set(range(max(labels) + 1)) - labels)
    if not missing:
        return
    shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
    from_one = missing == [0]
    yield Problem(
        kind="labels-with-gaps",
        severity="warning",
        file=next(iter(masks)),
        where=f"and all {len(masks)} masks" if len(masks) > 1 else "",
        found=f"{len(labels)} different labels, the largest {max(labels)}: no pixel is {shown}",
        remedy="subtract 1 from every label but 255 if they count from 1"
        if from_one
        else f"set Train.num_classes={max(labels) + 1}, or number the classes without gaps",
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
