"""CSP-PAN: sizes of the levels, place of the pooling."""

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.necks.csp_pan import CSPPAN


def test_levels_keep_their_sizes_and_get_the_given_widths() -> None:
    neck = CSPPAN((4, 6, 8), (16, 12, 8), num_blocks=1)
    features = [paddle.randn([2, channels, 64 // s, 96 // s]) for channels, s in ((4, 8), (6, 16), (8, 32))]

    assert [level.shape for level in neck(features)] == [[2, 16, 2, 3], [2, 12, 4, 6], [2, 8, 8, 12]]
    assert neck.out_channels == (16, 12, 8)
    assert neck.strides == (32, 16, 8)


@pytest.mark.parametrize(
    ("num_blocks", "order"),
    [(1, "0 spp"), (2, "0 spp 1"), (3, "0 1 spp 2"), (4, "0 1 spp 2 3")],
)
def test_pooling_follows_the_middle_block_of_the_coarsest_level(num_blocks: int, order: str) -> None:
    neck = CSPPAN((4, 4, 4), (8, 8, 8), num_blocks=num_blocks)
    names = [name for name, _ in neck.fpn_stages[0][0].convs.named_children()]

    assert names == order.split()
    assert not [name for name in neck.state_dict() if "spp" in name and "fpn_stages.0" not in name]
