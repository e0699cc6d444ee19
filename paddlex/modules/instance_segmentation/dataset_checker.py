"""Check a data set for instance segmentation: convert, split, scan, draw, count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddlex.data.checks import Problem, check_coco_dataset
from paddlex.modules.dataset_check import DatasetSummary, SplitSummary, run_dataset_check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paddlex.data.formats.coco import CocoAnnotation, CocoFile
    from paddlex.data.statistics import SplitStatistics

__all__ = ["check_dataset"]

_SPLITS = ("train", "val")
# From this share on, a warning about tiny objects is due.
_MANY_TINY = 0.2


def check_dataset(
    *,
    dataset_dir: Path | str,
    output_dir: Path,
    convert_from: str | None = None,
    split_percents: tuple[float, float] | None = None,
    num_classes: int | None = None,
    allow_empty: bool = True,
    seed: int = 0,
    num_workers: int = 4,
) -> dict[str, Any]:
    """Check a COCO data set wholly; convert it from LabelMe and split it anew first, if asked to.

    Writes `check_dataset/` with sample drawings, a histogram of the classes and all problems found.

    Args:
        dataset_dir: holds `images/` and `annotations/instance_{train,val}.json`; reported as given.
        output_dir: results.
        convert_from: "LabelMe", or None for a set that is in COCO form.
        split_percents: (train, val), adding up to 100, or None to keep the split.
        num_classes: what training is set to, to be compared with the data.
        allow_empty: whether photos without objects take part in training.
        seed: of the split.
        num_workers: threads that read photos.

    Returns:
        The fields of the result file, in order.

    Raises:
        CheckFailedError: the data set has errors.
        DatasetFileNotFoundError: there is no such folder.
        ConvertFailedError, SplitFailedError: if those steps fail; the data set is then as it was before them.
    """
    dataset = _CocoInstanceDataset(
        dataset_dir=Path(dataset_dir),
        num_classes=num_classes,
        allow_empty=allow_empty,
        seed=seed,
        num_workers=num_workers,
    )
    return run_dataset_check(
        dataset,
        dataset_path=str(dataset_dir),
        output_dir=Path(output_dir),
        convert_from=convert_from,
        split_percents=split_percents,
    )


@dataclass(frozen=True, kw_only=True)
class _CocoInstanceDataset:
    """The instance segmentation part of the check; a `CheckedDataset`."""

    dataset_dir: Path
    num_classes: int | None
    allow_empty: bool
    seed: int
    num_workers: int
    dataset_type: str = "COCOInstSegDataset"

    def convert_from_labelme(self) -> None:
        from paddlex.data.formats.labelme_to_coco import convert_labelme_to_coco

        convert_labelme_to_coco(self.dataset_dir, seed=self.seed)

    def split(self, train_percent: float, val_percent: float) -> Sequence[str]:
        from paddlex.data.splitting import split_coco_dataset

        summary = split_coco_dataset(
            self.dataset_dir, train_percent=train_percent, val_percent=val_percent, seed=self.seed
        )
        return summary.one_sided_classes

    def check(self) -> list[Problem]:
        return check_coco_dataset(
            self.dataset_dir,
            num_classes=self.num_classes,
            allow_empty=self.allow_empty,
            num_workers=self.num_workers,
        ).problems

    def summarise(self) -> DatasetSummary:
        from paddlex.data.statistics import coco_statistics

        files = {split: self._read(split) for split in _SPLITS}
        statistics = {split: coco_statistics(file) for split, file in files.items()}
        return DatasetSummary(
            class_names=[category.name for category in files["train"].categories],
            class_ids=[category.id for category in files["train"].categories],
            splits={split: _split_summary(counted) for split, counted in statistics.items()},
            notes=[_sizes_note(split, counted) for split, counted in statistics.items()],
            problems=_tiny_objects(statistics),
        )

    def draw_samples(self, split: str, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
        from paddlex.data.formats.coco import resolve_photo

        coco = self._read(split)
        images_dir = self.dataset_dir / "images"
        for image in coco.images[:count]:
            photo = resolve_photo(images_dir, image.file_name)
            annotations = [item for item in coco.annotations if item.image_id == image.id]
            yield photo.relative_to(images_dir).as_posix(), _draw(photo, annotations, coco)

    def _read(self, split: str) -> CocoFile:
        from paddlex.data.formats.coco import read_coco

        # Faulty entries that the check let pass are what training leaves out.
        return read_coco(self.dataset_dir / "annotations" / f"instance_{split}.json", faults=[])


def _draw(photo: Path, annotations: Sequence[CocoAnnotation], coco: CocoFile) -> NDArray[Any]:
    """The upright photo with its outlines, (H, W, 3) uint8 RGB."""
    from paddlex.data.formats.segmentation import segmentation_mask
    from paddlex.structures.masks import MaskCrops
    from paddlex.utils.draw import draw_instances
    from paddlex.utils.images import read_image

    image = read_image(photo)
    size = (image.shape[0], image.shape[1])
    names = [" ".join(category.name.split()) for category in coco.categories]
    places = {category.id: place for place, category in enumerate(coco.categories)}
    drawn = [item for item in annotations if item.segmentation is not None]
    singles = [
        segmentation_mask(item.segmentation, size=size) for item in drawn if item.segmentation is not None
    ]
    masks = MaskCrops.from_crops(
        [crop for single in singles for _, _, crop in single],
        [(y, x) for single in singles for y, x, _ in single],
        size=size,
    )
    return draw_instances(
        image,
        boxes=masks.boxes(),
        labels=[names[places[item.category_id]] + (" (crowd)" if item.is_crowd else "") for item in drawn],
        class_ids=[places[item.category_id] for item in drawn],
        masks=masks,
    )


# ---------------------------------------------------------------- counts


def _split_summary(statistics: SplitStatistics) -> SplitSummary:
    return SplitSummary(
        photos=statistics.photos,
        empty_photos=statistics.empty_photos,
        annotations=statistics.annotations,
        class_counts=statistics.class_counts,
    )


def _sizes_note(split: str, statistics: SplitStatistics) -> str:
    sizes = statistics.sizes
    crowds = f"; {statistics.crowds} crowds are ignored" if statistics.crowds else ""
    return (
        f"{split}: {sizes.small} small, {sizes.medium} medium, {sizes.large} large objects; median side "
        f"{sizes.median_side:g} pixels once photos are resized to 640 x 640{crowds}"
    )


def _tiny_objects(statistics: Mapping[str, SplitStatistics]) -> list[Problem]:
    from paddlex.data.statistics import INPUT_SIDE, TINY_SIDE

    problems = []
    for split, counted in statistics.items():
        sizes = counted.sizes
        share = sizes.tiny / max(sizes.small + sizes.medium + sizes.large, 1)
        if share >= _MANY_TINY:
            problems.append(
                Problem(
                    kind="objects-tiny",
                    severity="warning",
                    file=f"annotations/instance_{split}.json",
                    found=f"{share:.0%} of objects are under {TINY_SIDE} pixels at input size {INPUT_SIDE}",
                    remedy="train with a larger input size, or cut the photos into tiles",
                )
            )
    return problems
