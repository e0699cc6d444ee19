"""What an operator is: arguments as the user wrote them, and the transform they stand for."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from paddlex.data.transforms.base import build_transform
from paddlex.utils.errors import ConfigError

__all__ = ["INTERPOLATIONS", "CoreSpec", "Operator", "as_pair", "interp_settings", "plain"]

# OpenCV's codes; RANDOM draws one of the five for each photo.
INTERPOLATIONS = {"NEAREST": 0, "LINEAR": 1, "CUBIC": 2, "AREA": 3, "LANCZOS4": 4}

# Name and parameters of a transform of `paddlex.data.transforms`.
CoreSpec = tuple[str, dict[str, Any]]


class Operator(ABC):
    """Base of all operators: frozen dataclasses whose fields are the constructor's arguments.

    Attributes:
        namespace: `""` for PaddleX 2, `"det."` and `"seg."` for the two of PaddleX 1.
        stage: whether it changes one photo or a batch.
        draws: whether it acts at random; such operators are for training only.
        makes_fractions: whether whole pixel values become fractions where the image can hold them.

    Raises:
        ConfigError: from the constructor, for a value that makes no sense.
    """

    namespace: ClassVar[str] = ""
    stage: ClassVar[Literal["photo", "batch"]] = "photo"
    draws: ClassVar[bool] = True
    makes_fractions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = ""
        try:
            name, parameters = self.core()
            build_transform(name, parameters)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {str(error).removeprefix(f'{name}.')}") from None
        except TypeError as error:  # a comparison of text with a number, say
            raise ConfigError(f"{self}: a value is of the wrong kind ({error})") from None

    @property
    def name(self) -> str:
        """The class's name, behind its namespace."""
        return f"{self.namespace}{type(self).__name__}"

    @property
    def is_random(self) -> bool:
        """Whether it acts at random with these arguments."""
        return self.draws or getattr(self, "interp", None) == "RANDOM"

    @abstractmethod
    def core(self) -> CoreSpec:
        """The transform that this operator stands for."""

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments in types that YAML knows."""
        assert dataclasses.is_dataclass(self)
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def plain(value: Any) -> Any:  # noqa: ANN401 (any argument)
    """Tuples, arrays and NumPy's numbers as lists and numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def as_pair(size: int | Sequence[int], *, width_first: bool = False) -> Any:  # noqa: ANN401 (checked later)
    """[height, width] of a side or a pair; anything else comes back as it is, for the check to refuse."""
    size = plain(size)
    if isinstance(size, int) and not isinstance(size, bool):
        return [size, size]
    if width_first and isinstance(size, list) and len(size) == 2:
        return size[::-1]
    return size


def interp_settings(interp: str) -> dict[str, Any]:
    """Parameters `interp` or `random_interp` for a name.

    Raises:
        ConfigError: if it is none.
    """
    if interp == "RANDOM":
        return {"random_interp": True}
    if not isinstance(interp, str) or interp not in INTERPOLATIONS:
        raise ConfigError(f"interp: found {interp!r}, expected one of {', '.join(INTERPOLATIONS)}, RANDOM")
    return {"interp": INTERPOLATIONS[interp]}
