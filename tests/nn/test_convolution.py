"""Convolutions on a CPU: the same values and gradients as Paddle's own, whichever way they are computed."""

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn
from paddle.static import InputSpec

from paddlex.nn import conv_cpu, onednn
from paddlex.nn.conv_cpu import fast_convolutions
from paddlex.nn.convolution import Conv2D, DoublingConv2DTranspose

CASES = {
    "3x3": ((3, 4, 3), {"padding": 1}),
    "1x1": ((3, 4, 1), {}),
    "without bias": ((3, 4, 3), {"bias_attr": False}),
    "strided": ((3, 20, 7), {"padding": 3, "stride": 2}),
    "same": ((3, 4, 3), {"padding": "SAME", "stride": 2}),
    "same, dilated": ((3, 4, 3), {"padding": "SAME", "dilation": 2}),
    "one side": ((3, 4, 2), {"padding": [0, 1, 0, 1]}),
    "flat": ((3, 4, (1, 3)), {"padding": (0, 1), "stride": (2, 1)}),
    "dilated": ((3, 4, 3), {"padding": 4, "dilation": 4}),
    "depthwise": ((32, 32, 3), {"padding": 1, "groups": 32, "bias_attr": False}),
    "grouped": ((8, 16, 3), {"padding": 1, "groups": 4}),
}
ALL_CASES = pytest.mark.parametrize(("arguments", "options"), CASES.values(), ids=CASES.keys())
HAS_ONEDNN = onednn.convolution(onednn.Geometry((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1))
needs_onednn = pytest.mark.skipif(HAS_ONEDNN is None, reason="Paddle's wheel has no oneDNN here")


def _values_and_gradients(layer: nn.Layer, image: np.ndarray) -> list[np.ndarray]:
    layer.clear_gradients()
    x = paddle.to_tensor(image, stop_gradient=False)
    with fast_convolutions():
        y = layer(x)
    (y * y).sum().backward()
    return [y.numpy(), x.grad.numpy(), *(parameter.grad.numpy() for parameter in layer.parameters())]


def _pair(ours: nn.Layer, plain: nn.Layer) -> tuple[nn.Layer, nn.Layer]:
    """The layers with the same weights, a bias among them that is not zero."""
    if ours.bias is not None:
        ours.bias.set_value(paddle.linspace(-2, 3, ours.bias.shape[0]))
    plain.set_state_dict(ours.state_dict())
    return ours, plain


def _fast(layer: nn.Layer, x: Tensor) -> Tensor:
    with fast_convolutions():
        return layer(x)


def _is_onednns(y: Tensor) -> bool:
    return "_Convolve" in y.grad_fn.name()


@pytest.mark.parametrize("operators", ["", "paddle"])
@pytest.mark.parametrize("training", [True, False])
@ALL_CASES
def test_it_computes_what_paddles_own_layer_does(
    arguments: tuple, options: dict, training: bool, operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDLEX_CPU_OPERATORS", operators)
    ours, plain = _pair(Conv2D(*arguments, **options), nn.Conv2D(*arguments, **options))
    ours.train() if training else ours.eval()
    image = np.random.default_rng(0).normal(size=(2, arguments[0], 9, 10)).astype(np.float32)
    found, expected = _values_and_gradients(ours, image), _values_and_gradients(plain, image)

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("training", [True, False])
def test_the_transposed_one_computes_what_paddles_own_layer_does(training: bool) -> None:
    ours, plain = _pair(DoublingConv2DTranspose(3, 4), nn.Conv2DTranspose(3, 4, 2, stride=2))
    ours.train() if training else ours.eval()
    image = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)

    for one, other in zip(
        _values_and_gradients(ours, image), _values_and_gradients(plain, image), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_no_regions_at_all_are_no_error() -> None:
    layer = Conv2D(3, 4, 3, padding=1).train()

    assert _fast(layer, paddle.zeros([0, 3, 14, 14])).shape == [0, 4, 14, 14]


@needs_onednn
def test_onednn_computes_it_where_asked_for_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, x = Conv2D(3, 4, 3), paddle.rand([1, 3, 6, 6])

    assert _is_onednns(_fast(layer, x))
    assert not _is_onednns(layer(x))
    monkeypatch.setenv("PADDLEX_CPU_OPERATORS", "paddle")
    assert not _is_onednns(_fast(layer, x))


def test_a_pass_that_fails_ends_the_wish_for_speed() -> None:
    with pytest.raises(ValueError, match="stop"), fast_convolutions():
        raise ValueError("stop")

    assert not _is_onednns(Conv2D(3, 4, 3)(paddle.rand([1, 3, 6, 6])))


def test_without_onednn_paddle_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_cpu, "convolution", lambda _: None)

    assert not _is_onednns(_fast(Conv2D(3, 4, 3), paddle.rand([1, 3, 6, 6])))


@needs_onednn
def test_frozen_kernels_get_no_gradient_and_cost_none(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv2D(3, 4, 3)
    layer.weight.stop_gradient = layer.bias.stop_gradient = True
    monkeypatch.setattr(onednn.Convolution, "backward_kernels", lambda *_: pytest.fail("computed"))
    x = paddle.rand([1, 3, 6, 6])
    x.stop_gradient = False
    _fast(layer, x).sum().backward()

    assert x.grad is not None
    assert layer.weight.grad is None


@needs_onednn
def test_a_photo_without_gradient_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv2D(3, 4, 3)
    monkeypatch.setattr(onednn.Convolution, "backward_images", lambda *_: pytest.fail("computed"))
    _fast(layer, paddle.rand([1, 3, 6, 6])).sum().backward()

    assert layer.weight.grad is not None


@pytest.mark.parametrize(
    "view",
    [lambda x: x[1:3], lambda x: x[:, :, 1:, 1:], lambda x: x.transpose([0, 1, 3, 2])],
    ids=["some photos", "part of the pixels", "turned"],
)
def test_views_of_other_arrays_are_read_at_the_right_place(view: object) -> None:
    ours, plain = _pair(Conv2D(3, 4, 3, padding=1), nn.Conv2D(3, 4, 3, padding=1))
    x = view(paddle.rand([4, 3, 6, 6]))

    np.testing.assert_allclose(_fast(ours, x).numpy(), plain(x).numpy(), atol=1e-5)


def test_a_view_gets_its_gradient() -> None:
    layer, gradients = Conv2D(3, 4, 3, padding=1), []
    image = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)
    for forward in (_fast, lambda layer, x: layer(x)):
        x = paddle.to_tensor(image, stop_gradient=False)
        y = forward(layer, x.transpose([0, 1, 3, 2]))
        (y * y).sum().backward()
        gradients.append(x.grad.numpy())

    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_sizes_in_turn_share_their_scratch_memory() -> None:
    ours, plain = _pair(Conv2D(16, 32, 3, padding=1), nn.Conv2D(16, 32, 3, padding=1))
    images = [paddle.rand([2, 16, side, side + 3]) for side in (8, 40, 8, 21)]

    for x in images:
        np.testing.assert_allclose(_fast(ours, x).numpy(), plain(x).numpy(), atol=1e-5)


@needs_onednn
def test_a_geometry_onednn_does_not_know_is_left_to_paddle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise onednn._OneDNNError("dnnl_convolution_forward_primitive_desc_create returned 3")

    monkeypatch.setattr(onednn, "_create", refuse)

    assert not _is_onednns(_fast(Conv2D(3, 5, 3), paddle.rand([1, 3, 11, 13])))


def test_the_graph_for_deployment_has_paddles_operator() -> None:
    layer = Conv2D(3, 4, 3).eval()
    graph = paddle.jit.to_static(layer, input_spec=[InputSpec([None, 3, None, None])], full_graph=True)
    with fast_convolutions():
        program = str(graph.forward.concrete_program.main_program)

    assert "pd_op.conv2d" in program
    assert "py_layer" not in program
