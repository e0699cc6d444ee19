"""Operations of a network, counted from its static graph.

A multiply-add counts once. Counted are convolutions, h_out w_out c_out (k k c_in / groups + 1 with a bias),
transposed ones, h_in w_in c_in c_out k k, and matrix products; nothing else. Lengths that are known at run
time only (the number of detections, say) count as 1 unless the traced form fixes them.
"""

from __future__ import annotations

from paddlex.compression.dependencies import Dependencies, Kept

__all__ = ["count_flops"]


def count_flops(dependencies: Dependencies, kept: Kept | None = None) -> float:
    """Multiply-adds for the input that was traced, without the channels that are not kept.

    Args:
        dependencies: of the network.
        kept: for each class of channels whether it is kept; None keeps all.
    """
    total = 0.0
    for cost in dependencies.costs:
        product = cost.factor
        for axis in cost.axes:
            product *= len(axis) if kept is None else int(kept[axis].sum())
        total += product
    return total
