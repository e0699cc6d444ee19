"""The frame of every task's data set check: convert, split, check, draw samples, chart, report.

A task brings a `CheckedDataset`; the order, the log, the files and the result are the same for all.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from paddlex.data.checks.problems import Problem, list_briefly
from paddlex.utils.errors import CheckFailedError, ConvertFailedError
from paddlex.utils.files import write_json
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOLDER", "CheckedDataset", "DatasetSummary", "SplitSummary", "run_dataset_check"]

FOLDER = "check_dataset"
_SAMPLES, _NUM_SAMPLES = "demo_img", 10
_HISTOGRAM = "histogram.png"
_PROBLEMS = "problems.json"
_SPLITS = ("train", "val")
_SOURCE = "LabelMe"
# Named in a message, at the most.
_SHOWN = 20
# Samples keep the name of their photo if it is one of these; others become PNG.
_WRITTEN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Counts of one split.

    Attributes:
        photos: listed photos.
        class_counts: per class its objects, or the photos that show it.
        annotations: annotations, of any kind; None where photos are annotated as a whole.
        empty_photos: photos without objects; None likewise.
    """

    photos: int
    class_counts: Sequence[int]
    annotations: int | None = None
    empty_photos: int | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """What a sound data set holds.

    Attributes:
        class_names: in the order of class indices.
        class_ids: ids by which the files know the classes.
        splits: "train" and "val".
        counted: what `class_counts` counts, in a word or two.
        num_classes: to be reported; None for all that have a name.
        notes: lines worth telling.
        problems: warnings that need the counts.
    """

    class_names: Sequence[str]
    class_ids: Sequence[int]
    splits: Mapping[str, SplitSummary]
    counted: str = "objects"
    num_classes: int | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    problems: Sequence[Problem] = field(default_factory=tuple)


class CheckedDataset(Protocol):
    """What a task brings."""

    @property
    def dataset_type(self) -> str:
        """Name of the format in the result file."""

    def convert_from_labelme(self) -> None:
        """Convert the annotations in place."""

    def split(self, train_percent: float, val_percent: float) -> Sequence[str]:
        """Split the photos anew, in place; returns the classes that are on one side only."""

    def check(self) -> list[Problem]:
        """Scan the whole data set."""

    def summarise(self) -> DatasetSummary:
        """Count; called only when `check` found no error."""

    def draw_samples(self, split: str, count: int) -> Iterable[tuple[str, NDArray[Any]]]:
        """The first `count` photos of a split: path relative to the folder of photos, drawing in RGB."""


def run_dataset_check(
    dataset: CheckedDataset,
    *,
    dataset_path: str,
    output_dir: Path,
    convert_from: str | None = None,
    split_percents: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Run all steps and return the fields of the result file.

    Warnings go to the log, limited per kind; everything goes to `check_dataset/problems.json`.

    Args:
        dataset: the task's part.
        dataset_path: the data set as the user named it.
        output_dir: gets the folder `check_dataset`.
        convert_from: annotation format to convert from first: "LabelMe".
        split_percents: (train, val) to split by next, adding up to 100.

    Raises:
        CheckFailedError: naming all errors, limited per kind.
        ConvertFailedError, SplitFailedError: if those steps fail, or are asked for what they cannot do: then
            before any step.
    """
    folder = output_dir / FOLDER
    _prepare(dataset, folder=folder, convert_from=convert_from, split_percents=split_percents)
    problems = dataset.check()
    tail = {"dataset_path": dataset_path, "show_type": "image", "dataset_type": dataset.dataset_type}
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        _report(folder, problems)
        report = {"check_pass": False, **tail, **_counts(problems)}
        raise CheckFailedError(_failure(problems), list_briefly(errors), report=report)
    summary, taken = dataset.summarise(), set[str]()
    problems = [*problems, *summary.problems]
    _report(folder, problems)
    samples = {split: _draw_samples(dataset, split, folder / _SAMPLES, taken) for split in _SPLITS}
    _draw_histogram(folder / _HISTOGRAM, summary)
    logger.info("%s", _table(summary))
    for note in summary.notes:
        logger.info("%s", note)
    logger.info("Check dataset passed !")
    return {
        "check_pass": True,
        "attributes": _attributes(summary, samples),
        "analysis": {"histogram": f"{FOLDER}/{_HISTOGRAM}"},
        **tail,
        **_counts(problems),
    }


def _prepare(
    dataset: CheckedDataset,
    *,
    folder: Path,
    convert_from: str | None,
    split_percents: tuple[float, float] | None,
) -> None:
    """Convert and split, if asked to."""
    if convert_from not in (None, _SOURCE):
        raise ConvertFailedError(
            f"CheckDataset.convert.src_dataset_type is {convert_from!r}; expected {_SOURCE}, the one source "
            f"format; data sets of the type {dataset.dataset_type} need no conversion"
        )
    if split_percents is not None:
        from paddlex.data.splitting import require_percents

        split_percents = require_percents(*split_percents)
    folder.mkdir(parents=True, exist_ok=True)
    if convert_from is not None:
        dataset.convert_from_labelme()
        logger.info("Convert dataset successfully !")
    if split_percents is not None:
        one_sided = dataset.split(*split_percents)
        if one_sided:
            logger.warning(
                "Too few photos show these classes to put them on both sides: %s",
                ", ".join(one_sided[:_SHOWN]),
            )
        logger.info("Split dataset successfully !")


def _draw_samples(dataset: CheckedDataset, split: str, folder: Path, taken: set[str]) -> list[str]:
    """Write the drawings of some photos of a split; returns their names below `folder`."""
    from paddlex.utils.images import write_image

    names = []
    drawings = dataset.draw_samples(split, _NUM_SAMPLES)
    for photo, drawing in progress(drawings, description=f"Drawing samples of {split}"):
        name = _sample_name(photo, split=split, taken=taken)
        write_image(folder / name, drawing)
        names.append(name)
    return names


def _sample_name(photo: str, *, split: str, taken: set[str]) -> str:
    """Name of a photo's drawing: the photo's own, unless the other split has taken it; marks it as taken.

    Args:
        photo: path relative to the folder of photos, with forward slashes.
        split: distinguishes drawings of equal names.
        taken: names given so far.
    """
    path = Path(photo)
    if path.suffix.lower() not in _WRITTEN_SUFFIXES:
        path = path.with_name(path.name + ".png")
    candidate, number = path, 1
    # File systems that ignore letters' case would write both names to one file.
    while candidate.as_posix().casefold() in taken:
        mark = split if number == 1 else f"{split}_{number}"
        candidate, number = path.with_name(f"{path.stem}_{mark}{path.suffix}"), number + 1
    taken.add(candidate.as_posix().casefold())
    return candidate.as_posix()


# ---------------------------------------------------------------- reporting


def _report(folder: Path, problems: Sequence[Problem]) -> None:
    counts = {severity: sum(p.severity == severity for p in problems) for severity in ("error", "warning")}
    content = {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "problems": [problem.to_json() for problem in problems],
    }
    write_json(folder / _PROBLEMS, content)
    for line in list_briefly(problem for problem in problems if problem.severity == "warning"):
        logger.warning("%s", line)


def _counts(problems: Sequence[Problem]) -> dict[str, Any]:
    warnings = sum(problem.severity == "warning" for problem in problems)
    return {"warnings": warnings, "problems": f"{FOLDER}/{_PROBLEMS}"}


def _failure(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    return f"Check dataset failed: {errors} error{'s' if errors > 1 else ''}; all are in {FOLDER}/{_PROBLEMS}"


def _attributes(summary: DatasetSummary, samples: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    paths = {split: [f"{FOLDER}/{_SAMPLES}/{name}" for name in names] for split, names in samples.items()}
    num_classes = summary.num_classes if summary.num_classes is not None else len(summary.class_names)
    attributes: dict[str, Any] = {"num_classes": num_classes}
    for name, split in summary.splits.items():
        attributes |= {f"{name}_samples": split.photos, f"{name}_sample_paths": paths[name]}
    annotations = {f"{name}_annotations": split.annotations for name, split in summary.splits.items()}
    return attributes | {name: count for name, count in annotations.items() if count is not None}


def _draw_histogram(path: Path, summary: DatasetSummary) -> None:
    from paddlex.utils.charts import class_histogram

    counts = {split: split_summary.class_counts for split, split_summary in summary.splits.items()}
    class_histogram(path, class_names=summary.class_names, counts=counts)


def _table(summary: DatasetSummary) -> str:
    """Classes with their counts, and photos, as text: a log file holds it as the screen does."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Classes and {summary.counted}", show_footer=False)
    table.add_column("id", justify="right")
    table.add_column("name")
    for split in summary.splits:
        table.add_column(split, justify="right")
    splits = list(summary.splits.values())
    for i, (class_id, name) in enumerate(zip(summary.class_ids, summary.class_names, strict=True)):
        table.add_row(str(class_id), name, *(str(split.class_counts[i]) for split in splits))
    table.add_section()
    if splits[0].annotations is not None:
        table.add_row("", summary.counted, *(str(sum(split.class_counts)) for split in splits))
    table.add_row("", "photos", *(str(split.photos) for split in splits))
    if splits[0].empty_photos is not None:
        table.add_row("", f"photos without {summary.counted}", *(str(split.empty_photos) for split in splits))
    buffer = io.StringIO()
    Console(file=buffer, width=88, markup=False, emoji=False).print(table)
    return "\n" + buffer.getvalue().rstrip()
