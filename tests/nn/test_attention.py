"""Self attention against Paddle's own layer, which takes queries, keys and values one by one."""

import numpy as np
import paddle

from paddlex.nn.attention import MultiHeadSelfAttention


def test_attention_equals_paddles_layer_with_the_position_on_queries_and_keys() -> None:
    paddle.seed(0)
    ours, theirs = MultiHeadSelfAttention(8, num_heads=2), paddle.nn.MultiHeadAttention(8, 2)
    ours.in_proj_bias.set_value(paddle.randn([24]))
    for i, name in enumerate(("q_proj", "k_proj", "v_proj")):
        projection = getattr(theirs, name)
        projection.weight.set_value(ours.in_proj_weight[:, 8 * i : 8 * i + 8])
        projection.bias.set_value(ours.in_proj_bias[8 * i : 8 * i + 8])
    theirs.out_proj.set_state_dict(ours.out_proj.state_dict())
    x, position = paddle.randn([3, 5, 8]), paddle.randn([1, 5, 8])

    expected = theirs(x + position, x + position, x)
    np.testing.assert_allclose(ours(x, position=position).numpy(), expected.numpy(), atol=1e-5)


def test_what_the_mask_hides_has_no_influence() -> None:
    paddle.seed(0)
    attention = MultiHeadSelfAttention(8, num_heads=2)
    mask = np.zeros((4, 4), np.float32)
    mask[:3, 3] = -np.inf
    x, position = paddle.randn([1, 4, 8]), paddle.zeros([1, 4, 8])
    changed = x.clone()
    changed[:, 3] += 1.0

    before = attention(x, position=position, mask=paddle.to_tensor(mask))
    after = attention(changed, position=position, mask=paddle.to_tensor(mask))
    np.testing.assert_allclose(after[:, :3].numpy(), before[:, :3].numpy(), atol=1e-6)
    assert not np.allclose(after[:, 3].numpy(), before[:, 3].numpy())
