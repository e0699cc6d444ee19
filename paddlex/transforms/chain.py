"""A user's list of operators, and what it means for training, for evaluation and in files."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from paddlex.data.transforms import base
from paddlex.data.transforms.color import ChannelsLast, Permute
from paddlex.transforms.operator import CoreSpec, Operator
from paddlex.utils.errors import ConfigError
from paddlex.utils.logging import logger

__all__ = ["Compose"]

# Where operators of each namespace are defined.
_MODULES = {
    "": "paddlex.transforms",
    "det.": "paddlex.det.transforms",
    "seg.": "paddlex.seg.transforms",
}
_NO_CHANGE = {"mean": [0.0] * 3, "std": [1.0] * 3}
# Photos without Normalize go to the network as float32 of 0 to 255.
_AS_THEY_ARE: CoreSpec = ("NormalizeImage", {"min_val": [0.0] * 3, "max_val": [1.0] * 3, **_NO_CHANGE})
_NEED_BYTES = ("CLAHE", "RandomDistort")

_Spec = Mapping[str, Mapping[str, Any] | None]


class Compose:
    """Operators in the order in which they are applied.

    Photos come in upright, as RGB of 8 bits. Operators of a batch (`BatchRandomResize`, `MixupImage`, ...)
    wait until the others are done, except that photos are mixed before anything else.

    Args:
        transforms: at least one operator of this namespace.

    Attributes:
        transforms: the list, as given.

    Raises:
        ConfigError: for anything that is no operator, or operators that cannot follow one another.
    """

    namespace: ClassVar[str] = ""
    # What a photo becomes first.
    head: ClassVar[CoreSpec | None] = None

    def __init__(self, transforms: Sequence[Operator]) -> None:
        if not isinstance(transforms, (list, tuple)) or not transforms:
            raise ConfigError(f"Compose: found {transforms!r}, expected a list of at least one operator")
        self.transforms: list[Operator] = list(transforms)
        for place, operator in enumerate(self.transforms):
            self._require_operator(operator, f"transforms[{place}]")
        self._require_bytes()

    def __len__(self) -> int:
        return len(self.transforms)

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"

    # ---------------------------------------------------------------- for the loader

    def sample_chain(self) -> base.Compose:
        """What is done to each photo for training; the image ends as (3, H, W) float32.

        Use it together with `batch_chain`. Where photos are to be mixed nothing is done here: the whole list
        waits for the batch.
        """
        return base.Compose() if self._mixups() else self._photo_chain()

    def batch_chain(self, extra: Sequence[_Spec | base.BatchTransform] = ()) -> base.BatchCompose:
        """What is done to a batch of photos that `sample_chain` has prepared.

        Args:
            extra: what the network wants after the user's own, as `{name: {parameter: value}}` or ready
                transforms, for images (H, W, 3); padding, usually.
        """
        steps: list[base.BatchTransform | base.Compose] = []
        mixups = self._mixups()
        if mixups:
            steps += [base.build_transform(*operator.core()) for operator in mixups]
            steps.append(self._photo_chain())
        later: list[base.BatchTransform | base.Compose] = [
            base.build_transform(*operator.core())
            for operator in self.transforms
            if operator.stage == "batch" and operator not in mixups
        ]
        for entry in extra:
            later += base.build_batch_transforms([entry]).steps if isinstance(entry, Mapping) else [entry]
        if later:
            # Transforms of a batch move pixels, which they want as (H, W, 3).
            steps += [base.Compose((ChannelsLast(),)), *later, base.Compose((Permute(),))]
        return base.BatchCompose(tuple(steps))

    # ---------------------------------------------------------------- for evaluation and prediction

    def operations(self) -> list[dict[str, Any]]:
        """The list that `Preprocessor` and `inference.yml` take.

        Raises:
            ConfigError: naming an operator that acts at random or has no way back to the photo.
        """
        for place, operator in enumerate(self.transforms):
            where = f"transforms[{place}] {operator.name}"
            if operator.stage == "batch" or operator.is_random:
                raise ConfigError(
                    f"{where}: acts at random; evaluation and prediction take the same steps for each photo: "
                    "leave it out of their transforms"
                )
            if operator.core()[0] == "CenterCrop":
                raise ConfigError(
                    f"{where}: cuts off pixels, which evaluation and prediction shall tell about; use Resize"
                )
        return [{"type": name, **parameters} for name, parameters in self._photo_specs()]

    # ---------------------------------------------------------------- files

    def to_list(self) -> list[dict[str, dict[str, Any]]]:
        """One {name: {argument: value}} each, of lists, numbers and text; `from_list` reads it."""
        return [{operator.name: operator.arguments()} for operator in self.transforms]

    @staticmethod
    def from_list(entries: Sequence[Mapping[str, Mapping[str, Any] | None]]) -> Compose:
        """The chain that `to_list`, or PaddleX 2, has written; of PaddleX 1 where its names say so.

        Arguments that an operator does not know are left out with a warning.

        Raises:
            ConfigError: for an entry that is no operator.
        """
        if not isinstance(entries, (list, tuple)) or not entries:
            raise ConfigError(f"Transforms: found {entries!r}, expected a list of {{operator: arguments}}")
        operators = [_operator(entry, place=f"Transforms[{place}]") for place, entry in enumerate(entries)]
        kind: type[Compose] = importlib.import_module(_MODULES[operators[0].namespace]).Compose
        return kind(operators)

    # ---------------------------------------------------------------- steps

    def _require_operator(self, operator: object, where: str) -> None:
        here = _MODULES[self.namespace]
        if isinstance(operator, type) and issubclass(operator, Operator):
            raise ConfigError(f"{where}: found the class {operator.__name__}; write {operator.__name__}(...)")
        if not isinstance(operator, Operator) or operator.namespace != self.namespace:
            found = (
                f"{_MODULES[operator.namespace]}.{type(operator).__name__}"
                if (isinstance(operator, Operator))
                else repr(operator)[:80]
            )
            raise ConfigError(f"{where}: found {found}, expected an operator of {here}")

    def _require_bytes(self) -> None:
        is_normalised = False
        for place, operator in enumerate(self.transforms):
            name = operator.core()[0]
            if is_normalised and name in _NEED_BYTES:
                raise ConfigError(
                    f"transforms[{place}] {operator.name}: takes values of 0 to 255; put it before Normalize"
                )
            is_normalised = is_normalised or name == "NormalizeImage"

    def _mixups(self) -> list[Operator]:
        return [operator for operator in self.transforms if operator.core()[0] == "MixupImage"]

    def _photo_chain(self) -> base.Compose:
        return base.build_transforms([{name: parameters} for name, parameters in self._photo_specs()])

    def _photo_specs(self) -> list[CoreSpec]:
        specs = [operator.core() for operator in self.transforms if operator.stage == "photo"]
        if not any(name == "NormalizeImage" for name, _ in specs):
            specs.append(_AS_THEY_ARE)
        head = [self.head] if self.head is not None and self._needs_head() else []
        return [*head, *specs, ("Permute", {})]

    def _needs_head(self) -> bool:
        """Whether the head changes any number: converting bytes does not if they are normalised as bytes."""
        if self.head is None or self.head[1]:
            return True
        for operator in self.transforms:
            if operator.core()[0] == "NormalizeImage":
                return False
            if operator.makes_fractions:
                return True
        return False


def _operator(entry: Mapping[str, Mapping[str, Any] | None], *, place: str) -> Operator:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ConfigError(f"{place}: found {entry!r}, expected one {{operator: arguments}}"[:200])
    ((written, arguments),) = entry.items()
    prefix, _, name = str(written).rpartition(".")
    namespace = f"{prefix}." if prefix else ""
    module = importlib.import_module(_MODULES[namespace]) if namespace in _MODULES else None
    known = [one for one in getattr(module, "__all__", []) if one != "Compose"]
    kind = getattr(module, name) if name in known else None
    if not (isinstance(kind, type) and issubclass(kind, Operator)):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        raise ConfigError(f"{place}: unknown operator {written!r}; {hint}")
    assert dataclasses.is_dataclass(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    given = dict(arguments or {})
    for extra in sorted(given.keys() - fields):
        logger.warning("%s.%s: the argument %s is not known here and is left out", place, name, extra)
    try:
        return kind(**{key: value for key, value in given.items() if key in fields})
    except TypeError as error:
        raise ConfigError(f"{place}: {name}: {error}") from None
