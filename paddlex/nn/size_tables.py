"""Tables that depend on the size of the feature maps alone, made once per size."""

from collections.abc import Callable

from paddle import Tensor, nn

__all__ = ["LevelSizes", "SizeTables"]

LevelSizes = tuple[tuple[int, int], ...]


class SizeTables(nn.Layer):
    """Cache of constant tensors keyed by the (height, width) of feature maps.

    The tables of one size, the one to be exported, are buffers: they become stored constants of an exported
    graph. They do not belong to the state dict.

    Args:
        make: sizes to tensors.
    """

    def __init__(self, make: Callable[[LevelSizes], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self._make = make
        self._cache: dict[LevelSizes, tuple[Tensor, ...]] = {}
        self._fixed_sizes: LevelSizes | None = None
        self._num_tables = 0

    def fix(self, sizes: LevelSizes) -> None:
        """Make the tables of `sizes` buffers of the network."""
        tables = self._make(sizes)
        for i, table in enumerate(tables):
            self.register_buffer(f"table{i}", table, persistable=False)
        self._num_tables = len(tables)
        self._fixed_sizes = sizes

    def forward(self, sizes: LevelSizes) -> tuple[Tensor, ...]:
        """Return the tables of `sizes`."""
        if sizes == self._fixed_sizes:
            return tuple(getattr(self, f"table{i}") for i in range(self._num_tables))
        if sizes not in self._cache:
            self._cache[sizes] = self._make(sizes)
        return self._cache[sizes]
