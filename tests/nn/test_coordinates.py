"""Coordinates of feature maps."""

from pathlib import Path

import paddle

from paddlex.modules.export_paddle import save_static_graph
from paddlex.nn.coordinates import coordinate_maps, spatial_size


def test_coordinates_are_columns_then_rows_from_minus_one_to_one() -> None:
    across, down = coordinate_maps(paddle.zeros([2, 5, 3, 2]))[1]

    assert across.tolist() == [[-1.0, 1.0]] * 3
    assert down.tolist() == [[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]


def test_a_lone_cell_lies_at_the_start_of_both_axes() -> None:
    assert coordinate_maps(paddle.zeros([1, 1, 1, 1])).flatten().tolist() == [-1.0, -1.0]


def test_size_is_of_the_last_two_axes() -> None:
    assert spatial_size(paddle.zeros([2, 5, 3, 4])) == [3, 4]
    assert spatial_size(paddle.zeros([3, 4])) == [3, 4]


class _Sizes(paddle.nn.Layer):
    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        height, width = spatial_size(x)
        return coordinate_maps(x), height * 2, width * 2


def test_a_traced_graph_serves_every_size(tmp_path: Path) -> None:
    save_static_graph(_Sizes(), tmp_path, name="sizes", inputs={"x": (-1, 3, -1, -1)})
    traced = paddle.jit.load(str(tmp_path / "sizes"))

    for size in ([2, 3], [5, 4]):
        x = paddle.zeros([2, 3, *size])
        maps, height, width = traced(x)
        assert [int(height), int(width)] == [2 * side for side in size]
        assert maps.tolist() == coordinate_maps(x).tolist()
