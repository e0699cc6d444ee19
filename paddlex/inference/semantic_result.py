"""The classes of a photo's pixels that a prediction hands to the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.data.formats.index_mask import write_mask
from paddlex.inference.photo_result import PhotoResult, file_at, saved
from paddlex.utils.draw_labels import blend_label_map, with_legend
from paddlex.utils.errors import ShapeError
from paddlex.utils.palette import mask_palette

__all__ = ["LabelEncoding", "SemanticSegResult"]

LabelEncoding = Literal["rle", "dense"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SemanticSegResult(PhotoResult):
    """A class for each pixel of a photo.

    As a dict it has the keys `input_path`, `page_index`, `input_img` (BGR), `pred` (a list with the label
    map, as PaddleX 3 has it), `label_map` and, where it was asked for, `score_map`.

    Attributes:
        label_map: (H, W) int32.
        score_map: (H, W, C) float32, probability of each class; None where it was not asked for.
        class_names: by class index; those beyond have no name.

    Raises:
        ShapeError: if the maps are not of the photo's size.
    """

    label_map: NDArray[np.int32]
    score_map: NDArray[np.float32] | None = None
    class_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for found in (self.label_map, self.score_map):
            if found is not None and found.shape[:2] != self.photo.size:
                raise ShapeError(f"map of {found.shape[:2]} on a photo of {self.photo.size}")

    # ---------------------------------------------------------------- as a dict

    def keys(self) -> tuple[str, ...]:
        """The dict keys."""
        keys = ("input_path", "page_index", "input_img", "pred", "label_map")
        return keys if self.score_map is None else (*keys, "score_map")

    @property
    def pred(self) -> list[NDArray[np.int32]]:
        """The label map in a list, as PaddleX 3 has it."""
        return [self.label_map]

    @cached_property
    def class_pixels(self) -> dict[int, int]:
        """Pixels of each class that occurs, the largest first."""
        classes, counts = np.unique(self.label_map, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return dict(zip(classes[order].tolist(), counts[order].tolist(), strict=True))

    def label(self, class_id: int) -> str:
        """Name of a class, "class <index>" where it has none."""
        return self.class_names[class_id] if class_id < len(self.class_names) else f"class {class_id}"

    # ---------------------------------------------------------------- as text

    def to_dict(self, *, labels: LabelEncoding = "rle") -> dict[str, Any]:
        """Everything that a JSON file can hold; score maps are left out.

        Args:
            labels: "rle" for COCO run lengths of each class that occurs, `{"size": [h, w], "counts": str}`;
                "dense" for `pred` as nested lists, as PaddleX writes it.
        """
        if labels == "dense":
            return {**self.origin, "pred": [self.label_map.tolist()]}
        regions = (
            {**entry, "segmentation": self._run_lengths(entry["class_id"])} for entry in self._classes()
        )
        return {**self.origin, "size": list(self.size), "classes": list(regions)}

    def summary(self) -> dict[str, Any]:
        """What is printed beside the origin, maps left out."""
        return {"pred": "...", "classes": self._classes()}

    def _classes(self) -> list[dict[str, Any]]:
        return [
            {
                "class_id": class_id,
                "label": self.label(class_id),
                "pixels": count,
                "share": round(count / self.label_map.size, 6),
            }
            for class_id, count in self.class_pixels.items()
        ]

    def _run_lengths(self, class_id: int) -> dict[str, Any]:
        rle = coco_mask.encode(np.asfortranarray(self.label_map == class_id, np.uint8))
        return {"size": list(rle["size"]), "counts": rle["counts"].decode()}

    # ---------------------------------------------------------------- as a picture

    @property
    def drawing(self) -> NDArray[np.uint8]:
        """(H, W + legend, 3) uint8 RGB, the photo tinted by class beside the names of these classes."""
        colors, classes = mask_palette(), list(self.class_pixels)
        tinted = blend_label_map(self.image, self.label_map % len(colors), colors=colors)
        return with_legend(
            tinted,
            names=[self.label(class_id) for class_id in classes],
            class_ids=[class_id % len(colors) for class_id in classes],
            colors=colors,
        )

    # ---------------------------------------------------------------- as files

    def save_to_json(
        self,
        path: Path | str,
        indent: int = 4,
        ensure_ascii: bool = False,
        *,
        labels: LabelEncoding = "rle",
    ) -> Path:
        """Save `to_dict`.

        Args:
            path: a .json file, or a folder that gets `<stem>_res.json`.
            indent: spaces per level.
            ensure_ascii: escape non-ASCII letters.
            labels: as in `to_dict`.

        Returns:
            The file.
        """
        return self._save_json(path, self.to_dict(labels=labels), indent=indent, ensure_ascii=ensure_ascii)

    def save_to_palette(self, path: Path | str) -> Path:
        """Save the label map as a palette PNG: colours to look at, class indices to train on.

        Args:
            path: a .png file, or a folder that gets `<stem>_mask.png`.

        Returns:
            The file.
        """
        target = file_at(path, name=f"{self.stem}_mask.png", mime="image/png")
        write_mask(target, self.label_map.astype(np.uint8))
        return saved(target)

    def save_all(self, path: Path | str) -> list[Path]:
        """Save drawing, palette PNG and JSON into a folder."""
        return [self.save_to_img(path), self.save_to_palette(path), self.save_to_json(path)]
