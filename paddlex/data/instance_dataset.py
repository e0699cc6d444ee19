"""Photos with instance masks, from a COCO file: index -> `Sample`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.coco import (
    CocoAnnotation,
    CocoFile,
    CocoImage,
    read_coco,
    resolve_photo,
)
from paddlex.data.formats.faults import Fault, summarise_faults
from paddlex.data.formats.segmentation import Rle, Segmentation, segmentation_mask, segmentation_shape
from paddlex.data.packing import PackedSegmentations
from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes, Masks
from paddlex.utils.errors import DatasetError, ImageReadError
from paddlex.utils.images import image_header, read_image
from paddlex.utils.logging import logger

__all__ = ["InstanceDataset"]

# A box thinner than this, pixels, is no box: rounded and resized in float32 it would lose its extent, and
# networks that learn the logarithm of a side would learn infinity.
_MIN_SIDE = 0.01
_HEADER_THREADS = 8

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Photo:
    id: int
    path: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class _Instance:
    class_id: int
    bbox: Box
    area: float
    is_crowd: bool
    segmentation: Segmentation
    is_difficult: bool = False


class InstanceDataset:
    """Instance annotations of one COCO file, or of records in its form, and the photos beside it.

    Photos come in ascending id; the class index is the position in the file's category list. Sizes are the
    photos' own, upright. An entry that cannot be used (photo missing, no mask, damaged numbers) is left out,
    and one warning counts them by kind. Crowd regions are no training targets but part of `ground_truth`.

    Args:
        images_dir: folder that `file_name` is relative to.
        annotation_file: COCO instance JSON.
        allow_empty: keep photos without instances (they teach what is background).
        masks: `dense` gives samples their masks as crops of pixels, `shapes` as they were drawn.

    Attributes:
        class_names: by class index.
        category_ids: the file's ids, by class index.

    Raises:
        FileFormatError: the file is no COCO file.
        DatasetError: no class, no usable photo, or no usable instance.
    """

    def __init__(
        self,
        images_dir: Path | str,
        annotation_file: Path | str,
        *,
        allow_empty: bool = True,
        masks: Literal["dense", "shapes"] = "dense",
    ) -> None:
        faults: list[Fault] = []
        self.images_dir, self.annotation_file = Path(images_dir), Path(annotation_file)
        coco = read_coco(self.annotation_file, faults=faults)
        self._fill(coco, faults, allow_empty=allow_empty, masks=masks)

    @classmethod
    def from_records(
        cls,
        images_dir: Path | str,
        coco: CocoFile,
        *,
        source: Path | str,
        faults: Sequence[Fault] = (),
        allow_empty: bool = True,
        masks: Literal["dense", "shapes"] = "dense",
    ) -> InstanceDataset:
        """A data set of annotations that other files hold.

        Args:
            images_dir: as above.
            coco: photos, classes and annotations.
            source: the file or folder they come from, for messages.
            faults: what was wrong there already.
            allow_empty: as above.
            masks: as above.
        """
        dataset = cls.__new__(cls)
        dataset.images_dir, dataset.annotation_file = Path(images_dir), Path(source)
        dataset._fill(coco, list(faults), allow_empty=allow_empty, masks=masks)
        return dataset

    def _fill(self, coco: CocoFile, faults: list[Fault], *, allow_empty: bool, masks: str) -> None:
        self._as_shapes = masks == "shapes"
        self.class_names = tuple(category.name for category in coco.categories)
        self.category_ids = tuple(category.id for category in coco.categories)
        self._categories = coco.categories
        photos = self._photos(coco.images, faults)
        groups = self._instances(coco, {photo.id: photo for photo in photos}, faults)
        if not allow_empty:
            photos = [p for p in photos if any(not instance.is_crowd for instance in groups.get(p.id, ()))]
        self._pack(photos, groups)
        self._report(faults, listed=len(coco.images))

    # ---------------------------------------------------------------- reading

    @property
    def num_classes(self) -> int:
        """Count of classes."""
        return len(self.class_names)

    @property
    def num_instances(self) -> int:
        """Count of instances to train on: crowd regions are not among them."""
        return int(np.count_nonzero(~self._is_crowd))

    @property
    def is_empty(self) -> NDArray[np.bool_]:
        """(N,) whether a photo has nothing to train on."""
        owners = np.repeat(np.arange(len(self)), np.diff(self._starts))[~self._is_crowd]
        return np.asarray(np.bincount(owners, minlength=len(self)) == 0)

    def photos(self) -> list[tuple[Path, int, tuple[int, int]]]:
        """Path, id and (height, width) of each photo."""
        listed = zip(self._paths.tolist(), self._image_ids.tolist(), self._sizes.tolist(), strict=True)
        return [(Path(path), image_id, (height, width)) for path, image_id, (height, width) in listed]

    def __len__(self) -> int:
        return len(self._image_ids)

    def describe(self, index: int) -> str:
        """The photo's path, for messages."""
        return str(self._paths[index])

    def __getitem__(self, index: int) -> Sample:
        """Read photo `index` with its masks; crowd regions and masks without a pixel are left out.

        Raises:
            ImageReadError: if the photo cannot be decoded.
        """
        path = Path(str(self._paths[index]))
        image = read_image(path)
        height, width = image.shape[:2]
        rows = np.arange(self._starts[index], self._starts[index + 1])
        rows = rows[~self._is_crowd[rows]]
        masks = self._masks(rows, size=(height, width))
        visible = masks.area() > 0
        boxes = _corners(self._bboxes[rows[visible]])
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        return Sample(
            image=image,
            image_id=int(self._image_ids[index]),
            path=path,
            original_size=(height, width),
            boxes=boxes,
            class_ids=self._class_ids[rows[visible]],
            masks=masks[visible],
        )

    def select(self, indices: Sequence[int] | NDArray[Any]) -> InstanceDataset:
        """The photos of `indices` in that order, with their instances."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = [np.arange(self._starts[index], self._starts[index + 1]) for index in chosen]
        kept = np.concatenate([np.zeros(0, np.int64), *rows])
        part = copy.copy(self)
        part._paths, part._image_ids = self._paths[chosen], self._image_ids[chosen]
        part._sizes = self._sizes[chosen]
        part._starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        for name in ("_class_ids", "_bboxes", "_areas", "_is_crowd", "_is_difficult"):
            setattr(part, name, getattr(self, name)[kept])
        part._segmentations = self._segmentations.select(kept)
        return part

    def with_empty_photos(self, paths: Sequence[Path]) -> InstanceDataset:
        """Further photos without instances at the end; their ids go on from the largest.

        Raises:
            ImageReadError: if one is no photo.
        """
        more = copy.copy(self)
        sizes = [image_header(path).size for path in paths]
        first = int(self._image_ids.max(initial=0)) + 1
        more._paths = np.array([*map(str, self._paths), *map(str, paths)], dtype=np.str_)
        more._image_ids = np.concatenate([self._image_ids, np.arange(first, first + len(paths))])
        more._sizes = np.concatenate([self._sizes, np.array(sizes, dtype=np.int32).reshape(-1, 2)])
        more._starts = np.concatenate([self._starts, np.full(len(paths), self._starts[-1])])
        return more

    def ground_truth(self) -> dict[str, Any]:
        """All kept photos and annotations as a COCO object, for evaluation.

        Unlike the file it has unique ids from 1, and every annotation has bbox, area and iscrowd, and
        `difficult` where some are marked so; crowd regions and photos without instances are included.
        """
        images = [
            {"id": image_id, "file_name": str(path), "height": height, "width": width}
            for path, image_id, (height, width) in self.photos()
        ]
        owners = np.repeat(np.arange(len(self)), np.diff(self._starts))
        return {
            "images": images,
            "categories": [
                {"id": one.id, "name": one.name}
                | ({"supercategory": one.supercategory} if one.supercategory else {})
                for one in self._categories
            ],
            "annotations": [self._annotation_json(row, int(owner)) for row, owner in enumerate(owners)],
        }

    def _annotation_json(self, row: int, owner: int) -> dict[str, Any]:
        height, width = self._sizes[owner].tolist()
        return {
            "id": row + 1,
            "image_id": int(self._image_ids[owner]),
            "category_id": self.category_ids[self._class_ids[row]],
            "segmentation": self._segmentations.get(row, size=(height, width)).to_json(),
            "bbox": self._bboxes[row].tolist(),
            "area": float(self._areas[row]),
            "iscrowd": int(self._is_crowd[row]),
            **({"difficult": int(self._is_difficult[row])} if self._is_difficult.any() else {}),
        }

    def _masks(self, rows: NDArray[np.int64], *, size: tuple[int, int]) -> Masks:
        found = [self._segmentations.get(row, size=size) for row in rows.tolist()]
        if self._as_shapes:
            return InstanceShapes.concatenate(
                [segmentation_shape(one, size=size) for one in found], size=size
            )
        return MaskCrops.concatenate([segmentation_mask(one, size=size) for one in found], size=size)

    # ---------------------------------------------------------------- building

    def _photos(self, images: Iterable[CocoImage], faults: list[Fault]) -> list[_Photo]:
        """Photos that have a readable header, in ascending id."""

        def probe(image: CocoImage) -> _Photo | Fault:
            path = resolve_photo(self.images_dir, image.file_name)
            try:
                return _Photo(image.id, path, image_header(path).size)
            except ImageReadError as error:
                kind = "photo cannot be read" if path.exists() else "photo is missing"
                return Fault(f"image {image.id}", kind, str(error))

        ordered = sorted(images, key=lambda image: image.id)
        with ThreadPoolExecutor(_HEADER_THREADS) as pool:
            found = list(pool.map(probe, ordered))
        faults += [entry for entry in found if isinstance(entry, Fault)]
        photos = [entry for entry in found if isinstance(entry, _Photo)]
        self._warn_of_sizes({image.id: image.size for image in ordered}, photos)
        return photos

    def _warn_of_sizes(self, stated: dict[int, tuple[int, int] | None], photos: list[_Photo]) -> None:
        """Say when photos are not what was annotated: exchanged, resized, or turned by EXIF since."""
        others = [photo for photo in photos if stated[photo.id] not in (None, photo.size)]
        if others:
            logger.warning(
                "%s: %d photos are not of the size the file states (first: %s, height and width %s, stated "
                "%s); masks lie where the numbers say: look at them with check_dataset",
                self.annotation_file.name,
                len(others),
                others[0].path.name,
                list(others[0].size),
                list(stated[others[0].id] or ()),
            )

    def _instances(
        self, coco: CocoFile, photos: dict[int, _Photo], faults: list[Fault]
    ) -> dict[int, list[_Instance]]:
        """Usable instances by photo id, in file order."""
        class_of = {category_id: index for index, category_id in enumerate(self.category_ids)}
        groups: dict[int, list[_Instance]] = {}
        for annotation in coco.annotations:
            photo = photos.get(annotation.image_id)
            if photo is None or annotation.ignore:
                continue  # the photo's own fault is reported; `ignore` is the annotator's wish
            instance = _usable(annotation, photo.size, class_of[annotation.category_id])
            if isinstance(instance, Fault):
                faults.append(instance)
            else:
                groups.setdefault(photo.id, []).append(instance)
        return groups

    def _pack(self, photos: list[_Photo], groups: dict[int, list[_Instance]]) -> None:
        ordered = [groups.get(photo.id, []) for photo in photos]
        instances = [instance for group in ordered for instance in group]
        self._paths = np.array([str(photo.path) for photo in photos], dtype=np.str_)
        self._image_ids = np.array([photo.id for photo in photos], dtype=np.int64)
        self._sizes = np.array([photo.size for photo in photos], dtype=np.int32).reshape(-1, 2)
        self._starts = np.cumsum([0, *map(len, ordered)], dtype=np.int64)
        self._class_ids = np.array([instance.class_id for instance in instances], dtype=np.int64)
        self._bboxes = np.array([instance.bbox for instance in instances], dtype=np.float64).reshape(-1, 4)
        self._areas = np.array([instance.area for instance in instances], dtype=np.float64)
        self._is_crowd = np.array([instance.is_crowd for instance in instances], dtype=bool)
        self._is_difficult = np.array([instance.is_difficult for instance in instances], dtype=bool)
        self._segmentations = PackedSegmentations.pack([instance.segmentation for instance in instances])

    def _report(self, faults: list[Fault], *, listed: int) -> None:
        name = self.annotation_file
        reasons = f" ({summarise_faults(faults)})" if faults else ""
        if not self.num_classes:
            raise DatasetError(f"{name}: no usable class under categories{reasons}; expected at least one")
        if not len(self):
            raise DatasetError(
                f"{name}: none of {listed} photos can be used{reasons}; expected them in {self.images_dir}"
            )
        if not self.num_instances:
            raise DatasetError(f"{name}: no usable instance{reasons}; expected annotations with masks")
        if faults:
            logger.warning("%s: left out %s", name.name, summarise_faults(faults))
        logger.info(
            "%s: %d photos, %d instances, %d classes",
            name.name,
            len(self),
            self.num_instances,
            self.num_classes,
        )


def _usable(annotation: CocoAnnotation, size: tuple[int, int], class_id: int) -> _Instance | Fault:
    """Check one annotation against its photo; box and area come from the mask where the file has none."""
    place, segmentation = f"annotation {annotation.id}", annotation.segmentation
    if segmentation is None:
        return Fault(place, "no segmentation", "only a box")
    if isinstance(segmentation, Rle) and segmentation.size != size:
        return Fault(place, "RLE of another size than its photo", f"{segmentation.size} on {size}")
    bbox, area = annotation.bbox, annotation.area
    if bbox is None or area is None or not _has_extent(bbox, size):
        mask = segmentation_mask(segmentation, size=size)
        if not mask.area()[0]:
            return Fault(place, "mask without a pixel inside its photo", "zero area")
        if bbox is None or not _has_extent(bbox, size):
            x1, y1, x2, y2 = mask.boxes()[0].tolist()
            bbox = (x1, y1, x2 - x1, y2 - y1)
        area = float(mask.area()[0]) if area is None else area
    return _Instance(class_id, bbox, area, annotation.is_crowd, segmentation, annotation.is_difficult)


def _has_extent(bbox: Box, size: tuple[int, int]) -> bool:
    x, y, width, height = bbox
    visible_width = min(x + width, size[1]) - max(x, 0)
    visible_height = min(y + height, size[0]) - max(y, 0)
    return visible_width > _MIN_SIDE and visible_height > _MIN_SIDE


def _corners(bboxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 4) x, y, width, height -> xyxy, rounded to 3 decimals as upstream's reader does."""
    corners = np.concatenate([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], axis=1)
    return np.asarray(corners.round(3), dtype=np.float32)
