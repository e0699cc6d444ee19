"""What all semantic segmentation networks share: losses of heads, and logits at the size of the input."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from paddle import Tensor, nn

from paddlex.nn.conv_bn import fuse_units
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.draws import UniformDraws
from paddlex.nn.dropout import Dropout
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss

__all__ = ["SemanticNetwork"]


class SemanticNetwork(nn.Layer, ABC):
    """A network that gives every pixel the logits of its classes.

    Args:
        num_classes: classes.
        loss: of one head's logits.
        align_corners: how feature maps and logits are resized, see `resize_bilinear`.
        loss_weights: factor of each head's loss, the main head first.
    """

    def __init__(
        self, *, num_classes: int, loss: Loss, align_corners: bool, loss_weights: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.loss = loss
        self.align_corners = align_corners
        self.loss_weights = tuple(loss_weights)
        self._draws = UniformDraws()

    @abstractmethod
    def heads(self, image: Tensor) -> list[Tensor]:
        """Return each head's logits (B, num_classes, h, w) at its own resolution.

        The main head comes first; auxiliary heads follow in training mode only.
        """

    @property
    def draws(self) -> UniformDraws:
        """Randomness of training: dropout; replace it to control it."""
        return self._draws

    @draws.setter
    def draws(self, draws: UniformDraws) -> None:
        self._draws = draws
        for layer in self.sublayers():
            if isinstance(layer, Dropout):
                layer.draws = draws

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses in training mode, the logits in evaluation mode.

        Args:
            batch: "image" (B, 3, H, W) float32; in training also "label_map" (B, H, W) int64, class ids or
                255, which is ignored.

        Returns:
            In training "main", for auxiliary heads "aux1", "aux2", ..., each with its factor, and their sum
            "loss", scalars. Else "logits" (B, num_classes, H, W).
        """
        image = batch["image"]
        if not self.training:
            return {"logits": self.logits(image)}
        losses = {
            f"aux{i}" if i else "main": weight * self.loss(self._enlarge(logits, image), batch["label_map"])
            for i, (weight, logits) in enumerate(zip(self.loss_weights, self.heads(image), strict=True))
        }
        return {**losses, "loss": sum(losses.values())}

    def logits(self, image: Tensor) -> Tensor:
        """Return the main head's logits for image (B, 3, H, W): (B, num_classes, H, W)."""
        return self._enlarge(self.coarse_logits(image), image)

    def coarse_logits(self, image: Tensor) -> Tensor:
        """Return the main head's logits at its own resolution, (B, num_classes, h, w)."""
        return self.heads(image)[0]

    def forward_official(self, image: Tensor) -> tuple[Tensor]:
        """Return the class of every pixel of image (B, 3, H, W), as official inference models do.

        Returns:
            (B, H, W) int32, alone in a tuple.
        """
        return (self.logits(image).argmax(axis=1, dtype="int32"),)

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Do nothing: no table of these networks depends on the size of images."""

    def fuse_for_deploy(self) -> None:
        """Fold normalisations into convolutions, for evaluation only."""
        fuse_units(self)

    def unfreeze_for_scratch(self) -> None:
        """Do nothing: no weight of these networks is frozen."""

    def _enlarge(self, logits: Tensor, image: Tensor) -> Tensor:
        return resize_bilinear(logits, spatial_size(image), align_corners=self.align_corners)
