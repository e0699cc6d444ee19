"""Tables are made once per size; those of the fixed size travel as buffers."""

import paddle

from paddlex.nn.size_tables import LevelSizes, SizeTables


def test_tables_are_made_once_per_size() -> None:
    asked: list[LevelSizes] = []

    def make(sizes: LevelSizes) -> tuple[paddle.Tensor, ...]:
        asked.append(sizes)
        return (paddle.full([1], float(sizes[0][0])),)

    tables = SizeTables(make)
    tables.fix(((4, 4),))
    values = [tables(size)[0].item() for size in [((4, 4),), ((2, 2),), ((2, 2),), ((4, 4),)]]

    assert values == [4.0, 2.0, 2.0, 4.0]
    assert asked == [((4, 4),), ((2, 2),)]


def test_fixed_tables_are_buffers_outside_the_state_dict() -> None:
    tables = SizeTables(lambda sizes: (paddle.zeros([sizes[0][0]]),))
    tables.fix(((3, 3),))

    assert len(tables.buffers()) == 1
    assert not tables.state_dict()
