"""When an operator on the CPU may be another than Paddle's."""

import paddle
from paddle import Tensor

from paddlex.utils.cpu import uses_own_operators

__all__ = ["own_operators_apply"]


def own_operators_apply(*tensors: Tensor) -> bool:
    """Whether the tensors are float32 in the host's memory, no graph is traced, and the user agrees."""
    return (
        paddle.in_dynamic_mode()
        and all(tensor.place.is_cpu_place() and tensor.dtype == paddle.float32 for tensor in tensors)
        and uses_own_operators()
    )
