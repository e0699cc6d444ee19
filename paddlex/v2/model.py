"""What detectors and segmenters are."""

from __future__ import annotations

from paddlex.v2.slimmable import SlimmableModel
from paddlex.v2.trainable import TrainableModel

__all__ = ["Model"]


class Model(TrainableModel, SlimmableModel):
    """A model of the 2.x API; see `SavedModel` for the constructor and the attributes."""
