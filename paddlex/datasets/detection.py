"""What data sets of instances have in common: photos without objects, and what evaluation compares with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.records import PhotoRecord, coco_from_records
from paddlex.data.instance_dataset import InstanceDataset
from paddlex.datasets.face import DatasetFace, require_folder
from paddlex.utils.errors import DatasetError, ImageReadError, UsageError
from paddlex.utils.images import IMAGE_SUFFIXES, image_header
from paddlex.utils.logging import logger

__all__ = ["DetectionFace", "dataset_of_records"]

_SEED = 0


class DetectionFace(DatasetFace):
    """A data set of instances.

    Args:
        whole: all photos, with and without objects.
        labels: names of the classes by index.
        allow_empty: keep photos without objects.
        empty_ratio: with `allow_empty`, the greatest share of them among all photos, drawn with a fixed seed;
            1 or more, or below 0, keeps all.
        has_masks: whether every object has a mask of its own, not a box in its place.
        options: of `DatasetFace`.

    Attributes:
        allow_empty: as given; True once `add_negative_samples` has added some.
        empty_ratio: as given.
        has_masks: as given.

    Raises:
        UsageError: if `empty_ratio` is no number.
    """

    def __init__(
        self,
        whole: InstanceDataset,
        *,
        labels: list[str],
        allow_empty: bool,
        empty_ratio: float,
        has_masks: bool = True,
        **options: Any,  # noqa: ANN401 (of DatasetFace)
    ) -> None:
        super().__init__(labels, **options)
        self.allow_empty, self.empty_ratio, self.has_masks = allow_empty, empty_ratio, has_masks
        objects, empties = np.flatnonzero(~whole.is_empty), np.flatnonzero(whole.is_empty)
        count = self._allowed(len(empties), total=len(objects), negatives=0, ratio=empty_ratio)
        if not allow_empty and len(empties):
            logger.info(
                "%s: %d photos without objects are left out; allow_empty=True keeps them",
                type(self).__name__,
                len(empties),
            )
        kept = _drawn(empties, count if allow_empty else 0)
        self._samples = whole.select(np.sort(np.concatenate([objects, kept])))

    # ---------------------------------------------------------------- reading

    @property
    def samples(self) -> InstanceDataset:
        """The photos as a `BatchLoader` takes them."""
        return self._samples

    @property
    def file_list(self) -> list[dict[str, Any]]:
        """Path, id and (height, width) of each photo."""
        return [
            {"image": str(path), "im_id": image_id, "image_shape": size}
            for path, image_id, size in self._samples.photos()
        ]

    @property
    def pos_num(self) -> int:
        """Count of photos with objects."""
        return int(np.count_nonzero(~self._samples.is_empty))

    @property
    def has_empty(self) -> bool:
        """Whether some photo has no object."""
        return bool(self._samples.is_empty.any())

    def ground_truth(self) -> dict[str, Any]:
        """All photos, classes and annotations as a COCO object."""
        return self._samples.ground_truth()

    @cached_property
    def coco_gt(self) -> Any:  # noqa: ANN401 (pycocotools ships no types)
        """The same as a `pycocotools.coco.COCO`."""
        from pycocotools.coco import COCO

        coco = COCO()
        coco.dataset = self.ground_truth()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            coco.createIndex()
        return coco

    # ---------------------------------------------------------------- photos without objects

    def add_negative_samples(self, image_dir: Path | str, empty_ratio: float = 1) -> None:
        """Add the photos of a folder as photos without objects.

        Args:
            image_dir: the folder; those below it are not searched.
            empty_ratio: the greatest share of photos without objects among all, those that are here already
                included; photos are drawn with a fixed seed. 1 or more, or below 0, adds all.

        Raises:
            DatasetError: if there is no photo.
        """
        folder = require_folder(self, image_dir)
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
        photos = [path for path in found if _is_photo(path)]
        if not photos:
            raise DatasetError(f"{folder}: no photo there; expected photos that show no object")
        negatives = self.num_samples - self.pos_num
        count = self._allowed(len(photos), total=self.num_samples, negatives=negatives, ratio=empty_ratio)
        chosen = [photos[index] for index in _drawn(np.arange(len(photos)), count)]
        self._samples = self._samples.with_empty_photos(chosen)
        self.allow_empty = True
        self.__dict__.pop("coco_gt", None)
        logger.info("%s: %d of %d photos of %s added", type(self).__name__, count, len(found), folder)

    def _allowed(self, available: int, *, total: int, negatives: int, ratio: float) -> int:
        """How many more photos without objects keep their share at `ratio`."""
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)):
            raise UsageError(f"{type(self).__name__}.empty_ratio: found {ratio!r}, expected a number")
        if not 0 <= ratio < 1:
            return available
        return max(0, min(int((total * ratio - negatives) // (1 - ratio)), available))


def dataset_of_records(
    owner: object,
    root: Path,
    records: Sequence[PhotoRecord],
    labels: list[str],
    *,
    source: Path,
    faults: list[Fault],
) -> tuple[InstanceDataset, bool]:
    """All annotated photos, and whether every object has a mask of its own.

    Args:
        owner: the data set, for messages.
        root: its folder.
        records: the photos.
        labels: the classes by index.
        source: the list or folder they come from, for messages.
        faults: what was left out.

    Raises:
        DatasetError: if nothing can be used.
    """
    coco, boxes = coco_from_records(records, labels, faults=faults)
    whole = InstanceDataset.from_records(root, coco, source=source, faults=faults, masks="shapes")
    if boxes:
        logger.warning(
            "%s: %d of %d objects have no mask, and the rectangle of their box stands for it: scores of "
            "boxes (metric='VOC') mean something, learned masks do not",
            type(owner).__name__,
            boxes,
            len(coco.annotations),
        )
    return whole, not boxes


def _drawn(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` of them, in their order."""
    chosen = np.random.default_rng(_SEED).permutation(len(indices))[:count]
    return np.asarray(indices[np.sort(chosen)])


def _is_photo(path: Path) -> bool:
    try:
        image_header(path)
    except ImageReadError as error:
        logger.warning("%s; left out", error)
        return False
    return True
