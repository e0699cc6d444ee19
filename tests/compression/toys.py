"""Small networks, one for each way in which channels depend on one another."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN

SIZE = {"image": (1, 3, 8, 8)}


def unit(before: int, after: int, *, groups: int = 1) -> ConvBN:
    return ConvBN(before, after, kernel_size=3, groups=groups, activation=F.relu, bias=True)


class Plain(nn.Layer):
    """Two convolutions; the second makes the output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = unit(3, 8), nn.Conv2D(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.first(image))


class Residual(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.outer = unit(3, 8), unit(8, 6), unit(6, 8)
        self.last = nn.Conv2D(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        return self.last(x + self.outer(self.inner(x)))


class Concatenation(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = unit(3, 4), unit(3, 6), nn.Conv2D(10, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(paddle.concat([self.left(image), self.right(image)], axis=1))


class Depthwise(nn.Layer):
    """A depthwise convolution that doubles, as BiSeNetV2 has it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.last = unit(3, 6), unit(6, 12, groups=6), nn.Conv2D(12, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.wide(self.first(image)))


class Grouped(nn.Layer):
    """Three groups of two channels, as in ResNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = unit(3, 6), unit(6, 12, groups=3), nn.Conv2D(12, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.middle(self.first(image)))


class Flattened(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.last = unit(3, 5), nn.Linear(5 * 16, 7), nn.Linear(7, 2)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(image), 2)
        return self.last(F.relu(self.hidden(x.flatten(1))))


class Transposed(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.enlarge = unit(3, 6), nn.Conv2DTranspose(6, 4, 2, stride=2)
        self.last = nn.Conv2D(4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(F.relu(self.enlarge(self.first(image))))


class Attention(nn.Layer):
    """A gate for each channel, and one for all channels of a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate = unit(3, 8), nn.Conv2D(8, 8, 1)
        self.pixel, self.slope, self.last = nn.Conv2D(8, 1, 1), nn.PReLU(8), nn.Conv2D(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.slope(self.first(image))
        x = x * F.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        x = x * F.sigmoid(self.pixel(x))
        return self.last(F.interpolate(x, size=[16, 16], mode="bilinear"))


class Shared(nn.Layer):
    """One convolution for two feature maps, which ties what makes them; and one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.shared = unit(3, 6), unit(3, 6), unit(6, 4)
        self.last = self.alias = nn.Conv2D(4, 2, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.last(self.shared(part(image))) for part in (self.first, self.second)]


TOYS = (
    Plain,
    Residual,
    Concatenation,
    Depthwise,
    Grouped,
    Flattened,
    Transposed,
    Attention,
    Shared,
)


def randomised(network: nn.Layer, *, seed: int = 0) -> nn.Layer:
    """The network in evaluation mode, every entry (statistics of normalisations, too) drawn at random."""
    generator = np.random.default_rng(seed)
    for name, value in network.state_dict().items():
        drawn = generator.normal(0.0, 0.3, value.shape)
        if name.endswith("_variance"):
            drawn = generator.uniform(0.5, 2.0, value.shape)
        if len(value.shape) > 1:
            drawn /= np.sqrt(np.prod(value.shape[1:])) * 0.3
        value.set_value(paddle.to_tensor(drawn.astype(np.float32)))
    network.eval()
    return network


def photo(*, seed: int = 1, side: int = 8) -> Tensor:
    return paddle.to_tensor(np.random.default_rng(seed).normal(size=(1, 3, side, side)).astype(np.float32))
