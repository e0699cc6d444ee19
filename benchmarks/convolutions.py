"""Convolutions of training steps on the CPU: oneDNN, as our layers call it, against Paddle's own operator.

    python benchmarks/convolutions.py [--repeats 8]

Both run in turns in one process with our CPU settings, forward and backward together; the best run of each
counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

# (what it is part of, photos, channels in, channels out, side, Conv2D's further arguments)
LAYERS: list[tuple[str, int, int, int, int, dict[str, Any]]] = [
    ("ResNet, stage 1", 2, 64, 64, 80, {"kernel_size": 3, "padding": 1}),
    ("ResNet, stage 2", 2, 128, 128, 40, {"kernel_size": 3, "padding": 1}),
    ("ResNet, stage 4", 2, 512, 512, 10, {"kernel_size": 3, "padding": 1}),
    ("ResNet, pointwise", 2, 64, 256, 80, {"kernel_size": 1}),
    ("ResNet, first", 2, 3, 64, 320, {"kernel_size": 7, "padding": 3, "stride": 2}),
    ("ResNeXt, grouped", 2, 1024, 1024, 20, {"kernel_size": 3, "padding": 1, "groups": 32}),
    ("FPN and RPN, stride 4", 2, 256, 256, 80, {"kernel_size": 3, "padding": 1}),
    ("mask head, 24 regions", 24, 256, 256, 14, {"kernel_size": 3, "padding": 1}),
    ("DeepLab, dilated", 2, 512, 512, 32, {"kernel_size": 3, "padding": 2, "dilation": 2}),
    ("UNet, first level", 2, 64, 64, 256, {"kernel_size": 3, "padding": 1}),
    ("HRNet-W18, stride 4", 2, 18, 18, 128, {"kernel_size": 3, "padding": 1}),
    ("BiSeNetV2, depthwise", 2, 128, 128, 64, {"kernel_size": 3, "padding": 1, "groups": 128}),
    ("FastSCNN, depthwise", 2, 64, 64, 128, {"kernel_size": 3, "padding": 1, "groups": 64}),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    from paddlex.utils.cpu import prepare_cpu

    prepare_cpu()
    print(f"{'':24} {'paddle':>9} {'paddlex':>9} {'ratio':>6}   largest difference")
    for name, batch, channels, out, side, arguments in LAYERS:
        paddles, ours, difference = _compare(batch, channels, out, side, arguments, options.repeats)
        times = f"{paddles * 1e3:6.1f} ms {ours * 1e3:6.1f} ms {paddles / ours:6.1f}"
        print(f"{name:24} {times}   {difference:.0e}")


def _compare(
    batch: int, channels: int, out: int, side: int, arguments: dict[str, Any], repeats: int
) -> tuple[float, float, float]:
    """Return the seconds of Paddle's layer and of ours, and how far their results are apart, relatively."""
    import paddle
    from paddle import nn

    from paddlex.nn.conv_cpu import fast_convolutions
    from paddlex.nn.convolution import Conv2D

    layers = [kind(channels, out, bias_attr=False, **arguments) for kind in (nn.Conv2D, Conv2D)]
    layers[1].set_state_dict(layers[0].state_dict())
    x = paddle.randn([batch, channels, side, side])
    x.stop_gradient = False
    gradient = paddle.randn(layers[0](x).shape)
    results: list[list[Any]] = [[], []]

    def step(which: int) -> Callable[[], None]:
        def run() -> None:
            with fast_convolutions():
                y = layers[which](x)
            results[which] = [y, *paddle.grad(y, [x, layers[which].weight], gradient)]

        return run

    best = [float("inf"), float("inf")]
    for repeat in range(repeats + 1):
        for which in (0, 1):
            start = time.perf_counter()
            step(which)()
            if repeat:  # the first allocates
                best[which] = min(best[which], time.perf_counter() - start)
    differences = [
        float((one - other).abs().max() / one.abs().max()) for one, other in zip(*results, strict=True)
    ]
    return best[0], best[1], max(differences)


if __name__ == "__main__":
    main()
