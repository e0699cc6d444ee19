"""What the results of all tasks share: they are read like a dict, printed, drawn and saved.

File names follow PaddleX 3.7: given a folder, `<stem>_res.json` and `<stem>_res<suffix>`; pages of documents
and frames of videos carry their number, `<stem>_<page>_res.json`.
"""

from __future__ import annotations

import json
import mimetypes
import random
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddlex.structures.results import PhotoPrediction
from paddlex.utils.files import write_text
from paddlex.utils.images import write_image
from paddlex.utils.logging import logger

__all__ = ["PhotoResult", "file_at", "saved"]

_DRAWABLE = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoResult(PhotoPrediction, ABC):
    """A prediction with dict keys, drawing and files.

    Attributes:
        stem: name of saved files without `_res` and suffix.
    """

    stem: str = ""

    def __post_init__(self) -> None:
        if not self.stem:
            object.__setattr__(self, "stem", self._default_stem())

    def _default_stem(self) -> str:
        if self.input_path is None:
            return f"{int(time.time())}_{random.randrange(10_000):04d}"
        stem = Path(self.input_path).stem
        number = self.page_index if self.page_index is not None else self.frame_index
        return stem if number is None else f"{stem}_{number}"

    # ---------------------------------------------------------------- as a dict

    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """The dict keys."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (differs by key)
        if key not in self.keys():
            raise KeyError(f"{key}: a result has {', '.join(self.keys())}")
        if key == "input_img":
            return np.ascontiguousarray(self.image[:, :, ::-1])
        return getattr(self, key)

    # ---------------------------------------------------------------- as text

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything that a JSON file can hold."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What is printed beside the origin, large arrays left out."""

    @property
    def json(self) -> dict[str, Any]:
        """`{"res": ...}` as JSON files hold it."""
        return {"res": self.to_dict()}

    def print(self, json_format: bool = False, indent: int = 4, ensure_ascii: bool = False) -> None:
        """Print to standard output, large arrays left out.

        Args:
            json_format: lay it out as JSON.
            indent: spaces per level of that JSON.
            ensure_ascii: escape non-ASCII letters in that JSON.
        """
        sys.stdout.write(self._text(json_format=json_format, indent=indent, ensure_ascii=ensure_ascii) + "\n")

    def _text(self, *, json_format: bool, indent: int | None, ensure_ascii: bool) -> str:
        content = {"res": {**self.origin, **self.summary()}}
        return json.dumps(content, indent=indent, ensure_ascii=ensure_ascii) if json_format else repr(content)

    @property
    def origin(self) -> dict[str, Any]:
        """What was predicted on."""
        origin: dict[str, Any] = {"input_path": self.input_path, "page_index": self.page_index}
        if self.frame_index is not None:
            origin["frame_index"] = self.frame_index
        return origin

    # ---------------------------------------------------------------- as a picture

    @property
    def img(self) -> Image.Image:
        """The drawing, RGB."""
        return Image.fromarray(self.drawing)

    @property
    @abstractmethod
    def drawing(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the photo with what was found drawn on it."""

    # ---------------------------------------------------------------- as files

    def save_to_img(self, path: Path | str) -> Path:
        """Save the drawing.

        Args:
            path: an image file, or a folder that gets `<stem>_res<suffix>` (.png if the suffix of the input
                is not one that can be written).

        Returns:
            The file.

        Raises:
            UsageError: for an image file of a kind that cannot be written.
        """
        suffix = Path(self.input_path or "").suffix
        name = f"{self.stem}_res{suffix if suffix.lower() in _DRAWABLE else '.png'}"
        target = file_at(path, name=name, mime="image/")
        write_image(target, self.drawing)
        return saved(target)

    def _save_json(
        self, path: Path | str, content: dict[str, Any], *, indent: int, ensure_ascii: bool
    ) -> Path:
        target = file_at(path, name=f"{self.stem}_res.json", mime="application/json")
        write_text(target, json.dumps(content, indent=indent, ensure_ascii=ensure_ascii))
        return saved(target)

    @abstractmethod
    def save_all(self, path: Path | str) -> list[Path]:
        """Save everything that a prediction is shown by into a folder."""

    @property
    def str(self) -> Any:  # noqa: ANN401 (below this line the name `str` is this property)
        """One line, large arrays left out."""
        return self._text(json_format=False, indent=None, ensure_ascii=False)


def file_at(path: Path | str, *, name: str, mime: str) -> Path:
    """`path` if it names a file of the kind, else `name` in the folder `path`."""
    path = Path(path)
    names_a_file = (mimetypes.guess_type(path.name)[0] or "").startswith(mime)
    return path if names_a_file and not path.is_dir() else path / name


def saved(path: Path) -> Path:
    """Tell that a result was written to `path`; returns it."""
    logger.info("The result has been saved in %s.", path)
    return path
