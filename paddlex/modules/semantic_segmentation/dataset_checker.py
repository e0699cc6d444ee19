"""Check a data set for semantic segmentation: convert, split, scan, draw, count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from paddlex.data.checks import Problem, SemanticScan, check_semantic_dataset
from paddlex.modules.dataset_check import DatasetSummary, SplitSummary, run_dataset_check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paddlex.data.formats.pair_list import Pair

__all__ = ["check_dataset"]


def check_dataset(
    *,
    dataset_dir: Path | str,
    output_dir: Path,
    convert_from: str | None = None,
    split_percents: tuple[float, float] | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    num_workers: int = 4,
) -> dict[str, Any]:
    """Check photos and masks wholly; convert them from LabelMe and split them anew first, if asked to.

    Writes `check_dataset/` with sample drawings, a histogram of the classes and all problems found.

    Args:
        dataset_dir: holds `train.txt` and `val.txt`, each line a photo and its mask; reported as given.
        output_dir: results.
        convert_from: "LabelMe", or None for a set that has masks.
        split_percents: (train, val), adding up to 100, or None to keep the split.
        num_classes: what training is set to, to be compared with the data.
        seed: of the split.
        num_workers: threads that read photos and masks.

    Returns:
        The fields of the result file, in order; `num_classes` counts the classes that occur.

    Raises:
        CheckFailedError: the data set has errors.
        DatasetFileNotFoundError: there is no such folder.
        ConvertFailedError, SplitFailedError: if those steps fail; the data set is then as it was before them.
    """
    dataset = _MaskedDataset(Path(dataset_dir), num_classes=num_classes, seed=seed, num_workers=num_workers)
    return run_dataset_check(
        dataset,
        dataset_path=str(dataset_dir),
        output_dir=Path(output_dir),
        convert_from=convert_from,
        split_percents=split_percents,
    )


class _MaskedDataset:
    """The semantic segmentation part of the check; a `CheckedDataset`."""

    dataset_type = "SegDataset"

    def __init__(self, dataset_dir: Path, *, num_classes: int | None, seed: int, num_workers: int) -> None:
        self._dataset_dir = dataset_dir
        self._num_classes = num_classes
        self._seed = seed
        self._num_workers = num_workers

    def convert_from_labelme(self) -> None:
        from paddlex.data.formats.labelme_to_masks import convert_labelme_to_masks

        convert_labelme_to_masks(self._dataset_dir, seed=self._seed, num_workers=self._num_workers)

    def split(self, train_percent: float, val_percent: float) -> Sequence[str]:
        from paddlex.data.semantic_splitting import split_semantic_dataset

        summary = split_semantic_dataset(
            self._dataset_dir,
            train_percent=train_percent,
            val_percent=val_percent,
            seed=self._seed,
            num_workers=self._num_workers,
        )
        return summary.one_sided_classes

    def check(self) -> list[Problem]:
        return self._scan.problems

    @cached_property
    def _scan(self) -> SemanticScan:
        """Read once, when the steps that change the data set are done."""
        return check_semantic_dataset(
            self._dataset_dir, num_classes=self._num_classes, num_workers=self._num_workers
        )

    def summarise(self) -> DatasetSummary:
        scan = self._scan
        count = max(self._num_classes or 0, len(scan.class_names or ()), scan.labels[-1] + 1)
        names = scan.class_names if scan.class_names is not None and len(scan.class_names) == count else None
        return DatasetSummary(
            class_names=names or [f"class {index}" for index in range(count)],
            class_ids=range(count),
            splits={split: self._split_summary(pairs, count) for split, pairs in scan.pairs.items()},
            counted="photos that show them",
            num_classes=len(scan.labels),
        )

    def _split_summary(self, pairs: Sequence[Pair], num_classes: int) -> SplitSummary:
        shown = [self._scan.masks[pair.mask].labels for pair in pairs]
        counts = [sum(index in labels for labels in shown) for index in range(num_classes)]
        return SplitSummary(photos=len(pairs), class_counts=counts)

    def draw_samples(self, split: str, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
        for pair in self._scan.pairs[split][:count]:
            photo = PurePosixPath(pair.image)
            below = photo.relative_to("images") if photo.is_relative_to("images") else photo
            yield below.as_posix(), self._draw(pair)

    def _draw(self, pair: Pair) -> NDArray[Any]:
        """The upright photo, (H, W, 3) uint8 RGB, tinted by class in the colours of mask files."""
        from paddlex.data.formats.index_mask import read_mask
        from paddlex.utils.draw_labels import blend_label_map
        from paddlex.utils.images import read_image
        from paddlex.utils.palette import mask_palette

        image = read_image(self._dataset_dir / pair.image)
        return blend_label_map(image, read_mask(self._dataset_dir / pair.mask), colors=mask_palette())
