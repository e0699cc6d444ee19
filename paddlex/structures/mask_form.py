"""What the mask grids of a network mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["MaskForm"]

_Frame = Literal["photo", "input", "box"]
_Values = Literal["logits", "probabilities"]
_Boxes = Literal["free", "bounding", "derived"]


@dataclass(frozen=True)
class MaskForm:
    """How the mask grid (h, w) of a detection becomes a mask on the photo.

    Attributes:
        frame: what the grid spans: the whole photo; the whole network input, padding included; or the
            detection's own box, with zeros beyond it.
        values: the mask is set where the enlarged grid is above 0 (logits) or above 0.5 (probabilities). In
            the frame "box" 0.5 itself is set too, as in Mask R-CNN.
        boxes: "free": box and mask are predicted apart; "bounding": nothing of the mask outside its box is
            kept; "derived": the network predicts no boxes, those of the results are the extents of the masks.
    """

    frame: _Frame
    values: _Values
    boxes: _Boxes = "free"

    @property
    def threshold(self) -> float:
        """The grid value at the edge of a mask."""
        return 0.0 if self.values == "logits" else 0.5

    def to_json(self) -> dict[str, str]:
        """Fields for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MaskForm:
        """The form that `to_json` described.

        Raises:
            ValueError: naming the field that is missing or unknown.
        """
        for name, choices in (("frame", _Frame), ("values", _Values), ("boxes", _Boxes)):
            if fields.get(name) not in get_args(choices):
                expected = ", ".join(get_args(choices))
                raise ValueError(f"mask_form: {name} is {fields.get(name)!r}; expected one of {expected}")
        return cls(fields["frame"], fields["values"], fields["boxes"])
