"""The instances that a prediction hands to the user.

Unlike in PaddleX 3.7, saved masks are COCO run lengths on the whole photo; nested lists of 0 and 1 (hundreds
of megabytes for a crowded photo) on demand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.labelme import write_labelme
from paddlex.data.formats.labelme_instances import instances_to_shapes
from paddlex.inference.photo_result import PhotoResult, file_at, saved
from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import InstanceResult
from paddlex.utils.draw import draw_instances
from paddlex.utils.files import copy_to_backup, write_json
from paddlex.utils.images import write_image

__all__ = ["InstanceSegResult", "MaskEncoding"]

MaskEncoding = Literal["rle", "dense"]

_KEYS = ("input_path", "page_index", "input_img", "boxes", "masks")


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceSegResult(InstanceResult, PhotoResult):
    """Instances of one photo with their dict keys, drawing and files.

    As a dict it has the keys `input_path`, `page_index`, `input_img` (BGR), `boxes` (a list of
    `{"cls_id", "label", "score", "coordinate"}`) and `masks` (int32 arrays cut at the rounded boxes), made
    on demand. The attributes (`boxes`, `scores`, `masks`, ...) are the compact arrays themselves.
    """

    def __post_init__(self) -> None:
        InstanceResult.__post_init__(self)
        PhotoResult.__post_init__(self)

    # ---------------------------------------------------------------- as a dict

    def keys(self) -> tuple[str, ...]:
        """The dict keys."""
        return _KEYS

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (differs by key)
        if key == "boxes":
            return self._box_dicts()
        if key == "masks":
            return [crop.astype(np.int32) for crop in self._box_crops()]
        return super().__getitem__(key)

    def _box_dicts(self) -> list[dict[str, Any]]:
        rows = zip(
            self.class_ids.tolist(), self.labels, self.scores.tolist(), self.boxes.tolist(), strict=True
        )
        return [
            {"cls_id": class_id, "label": label, "score": score, "coordinate": box}
            for class_id, label, score, box in rows
        ]

    def _box_crops(self) -> Iterator[NDArray[np.bool_]]:
        """Each mask on the rectangle of its rounded box."""
        for (y, x, crop), box in zip(self.masks, np.round(self.boxes).astype(int), strict=True):
            left, top, right, bottom = box.tolist()
            size = (max(bottom - top, 0), max(right - left, 0))
            part = MaskCrops.from_crops([crop], [(y - top, x - left)], size=size)
            yield part.dense(0)

    # ---------------------------------------------------------------- as text

    def to_dict(self, *, masks: MaskEncoding = "rle") -> dict[str, Any]:
        """Everything that a JSON file can hold.

        Args:
            masks: "rle" for COCO run lengths on the whole photo, `{"size": [h, w], "counts": str}`;
                "dense" for nested lists of 0 and 1 on the rounded boxes, as PaddleX writes them.
        """
        if masks == "rle":
            mask_list: list[Any] = self.masks.to_rles()
        else:
            mask_list = [crop.astype(int).tolist() for crop in self._box_crops()]
        return {**self.origin, "boxes": self._box_dicts(), "masks": mask_list}

    def summary(self) -> dict[str, Any]:
        """What is printed beside the origin, masks left out."""
        return {"boxes": self._box_dicts(), "masks": "..."}

    # ---------------------------------------------------------------- as a picture

    @property
    def drawing(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the photo with its instances drawn."""
        return draw_instances(
            self.image,
            boxes=self.boxes,
            labels=self.labels,
            class_ids=self.class_ids,
            masks=self.masks,
            scores=self.scores,
        )

    # ---------------------------------------------------------------- as files

    def save_to_json(
        self, path: Path | str, indent: int = 4, ensure_ascii: bool = False, *, masks: MaskEncoding = "rle"
    ) -> Path:
        """Save `to_dict`.

        Args:
            path: a .json file, or a folder that gets `<stem>_res.json`.
            indent: spaces per level.
            ensure_ascii: escape non-ASCII letters.
            masks: as in `to_dict`.

        Returns:
            The file.
        """
        return self._save_json(path, self.to_dict(masks=masks), indent=indent, ensure_ascii=ensure_ascii)

    def save_all(self, path: Path | str) -> list[Path]:
        """Save drawing and JSON into a folder."""
        return [self.save_to_img(path), self.save_to_json(path)]

    def save_to_coco(
        self, path: Path | str, *, image_id: int = 0, category_ids: Sequence[int] | None = None
    ) -> Path:
        """Save a COCO results file, the form that COCO evaluators read.

        Args:
            path: a .json file, or a folder that gets `<stem>_coco.json`.
            image_id: id of the photo in the annotation file.
            category_ids: category id of each class; None counts from 1.

        Returns:
            The file.
        """
        target = file_at(path, name=f"{self.stem}_coco.json", mime="application/json")
        corner, opposite = self.boxes[:, :2], self.boxes[:, 2:]
        rows = zip(
            self.class_ids.tolist(),
            np.concatenate([corner, opposite - corner], axis=1).tolist(),
            self.scores.tolist(),
            self.masks.to_rles(),
            strict=True,
        )
        write_json(
            target,
            [
                {
                    "image_id": image_id,
                    "category_id": class_id + 1 if category_ids is None else category_ids[class_id],
                    "bbox": box,
                    "score": score,
                    "segmentation": rle,
                }
                for class_id, box, score, rle in rows
            ],
        )
        return saved(target)

    def save_to_labelme(self, path: Path | str, *, tolerance: float = 1.0) -> Path:
        """Save a LabelMe file, so that a person can correct the prediction and train on it.

        It refers to the photo where it lies; an array, page or frame is saved beside it as PNG. A file that
        is already there, perhaps made by hand, is kept as `.bak`.

        Args:
            path: a .json file, or a folder that gets `<stem>.json`.
            tolerance: how far a polygon may leave the mask's edge, pixels; more means fewer points.

        Returns:
            The file.
        """
        target = file_at(path, name=f"{self.stem}.json", mime="application/json")
        if target.exists():
            copy_to_backup(target)
        shapes = instances_to_shapes(
            self.masks, self.labels, scores=self.scores.tolist(), tolerance=tolerance
        )
        write_labelme(target, image_path=self._photo_beside(target), size=self.size, shapes=shapes)
        return saved(target)

    def _photo_beside(self, target: Path) -> str:
        """The photo's path relative to the folder of `target`, saved there if it is no file of its own."""
        if self.input_path is not None and self.page_index is None and self.frame_index is None:
            try:
                return os.path.relpath(self.input_path, target.parent)
            except ValueError:  # another drive on Windows
                return str(Path(self.input_path).resolve())
        write_image(target.with_suffix(".png"), self.image)
        return target.with_suffix(".png").name
