"""The frame of every task's data set check: convert, split, check, draw samples, chart, report.

A task brings a `CheckedDataset`; the order, the log, the files and the result are the same for all.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from paddlex.data.checks.problems import Problem, list_briefly
from paddlex.utils.errors import CheckFailedError
from paddlex.utils.files import write_json
from paddlex.utils.logging import logger

__all__ = ["FOLDER", "CheckedDataset", "DatasetSummary", "SplitSummary", "run_dataset_check", "sample_name"]

FOLDER = "check_dataset"
_SAMPLES = "demo_img"
_HISTOGRAM = "histogram.png"
_PROBLEMS = "problems.json"
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

    def convert(self, source_type: str) -> None:
        """Convert the annotations in place."""

    def split(self, train_percent: float, val_percent: float) -> None:
        """Split the photos anew, in place."""

    def check(self) -> list[Problem]:
        """Scan the whole data set."""

    def summarise(self) -> DatasetSummary:
        """Count; called only when `check` found no error."""

    def draw_samples(self, folder: Path) -> Mapping[str, Sequence[str]]:
        """Draw some photos of each split; per split, their names below `folder`."""


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
        convert_from: annotation format to convert from first.
        split_percents: (train, val) to split by next.

    Raises:
        CheckFailedError: naming all errors, limited per kind.
        ConvertFailedError, SplitFailedError: if those steps fail.
    """
    folder = output_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if convert_from is not None:
        dataset.convert(convert_from)
        logger.info("Convert dataset successfully !")
    if split_percents is not None:
        dataset.split(*split_percents)
        logger.info("Split dataset successfully !")
    problems = dataset.check()
    tail = {"dataset_path": dataset_path, "show_type": "image", "dataset_type": dataset.dataset_type}
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        _report(folder, problems)
        report = {"check_pass": False, **tail, **_counts(problems)}
        raise CheckFailedError(_failure(problems), list_briefly(errors), report=report)
    summary = dataset.summarise()
    problems = [*problems, *summary.problems]
    _report(folder, problems)
    samples = dataset.draw_samples(folder / _SAMPLES)
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


def sample_name(photo: str, *, split: str, taken: set[str]) -> str:
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
