"""Tables that depend on the size of the feature maps alone, made once per size."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from paddle import Tensor, nn

__all__ = ["SizeTables"]

SizeT = TypeVar("SizeT", bound=Hashable)


class SizeTables(nn.Layer, Generic[SizeT]):
    """Cache of constant tensors keyed by size.

    The tables of one size, the one to be exported, are buffers: they become stored constants of an exported
    graph. They do not belong to the state dict.

    Args:
        make: size to tensors.
    """

    def __init__(self, make: Callable[[SizeT], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self._make = make
        self._cache: dict[SizeT, tuple[Tensor, ...]] = {}
        self._fixed_size: SizeT | None = None
        self._num_tables = 0

    def fix(self, size: SizeT) -> None:
        """Make the tables of `size` buffers of the network."""
        tables = self._make(size)
        for i, table in enumerate(tables):
            self.register_buffer(f"table{i}", table, persistable=False)
        self._num_tables = len(tables)
        self._fixed_size = size

    def forward(self, size: SizeT) -> tuple[Tensor, ...]:
        """Return the tables of `size`."""
        if size == self._fixed_size:
            return tuple(getattr(self, f"table{i}") for i in range(self._num_tables))
        if size not in self._cache:
            self._cache[size] = self._make(size)
        return self._cache[size]
