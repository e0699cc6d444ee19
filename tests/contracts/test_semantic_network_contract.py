"""What every semantic segmentation network promises to training, evaluation and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from paddlex.modules.export_onnx import convert_graphs
from paddlex.modules.export_paddle import save_static_graph
from paddlex.nn.draws import UniformDraws
from paddlex.nn.dropout import Dropout
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.utils.errors import ShapeError

NUM_CLASSES = 3
# One of each family.
NAMES = ["DeepLabV3P-ResNet50_vd", "BiSeNetV2", "UNet", "HRNet-W18", "FastSCNN"]
AUXILIARY_HEADS = {"BiSeNetV2": 4, "FastSCNN": 1}
# Of these the tests convert to ONNX: every way of pooling, resizing and padding, and quick to convert.
EXPORTED = ["BiSeNetV2", "FastSCNN"]


@pytest.fixture(scope="module", params=NAMES)
def built(request: pytest.FixtureRequest) -> SemanticNetwork:
    """A network with generic weights."""
    return _build(request.param)


def _build(name: str) -> SemanticNetwork:
    paddle.seed(0)
    network = MODELS[name].build(num_classes=NUM_CLASSES)
    with paddle.no_grad():
        network.train()
        # Some start with kernels near zero; and normalisations shall have statistics of their own.
        for parameter in trainable(network).values():
            parameter.set_value(parameter + 0.05 * paddle.randn(parameter.shape))
        network.heads(make_images(2))
    return network


@pytest.fixture
def network(built: SemanticNetwork) -> SemanticNetwork:
    """The network in evaluation mode, without gradients of the test before."""
    built.eval()
    built.clear_gradients()
    return built


def trainable(network: SemanticNetwork) -> dict[str, paddle.Tensor]:
    return {name: p for name, p in network.named_parameters() if not p.stop_gradient}


def make_images(count: int, *, size: tuple[int, int] = (64, 96), seed: int = 0) -> paddle.Tensor:
    rng = np.random.default_rng(seed)
    return paddle.to_tensor(rng.random((count, 3, *size), dtype=np.float32))


def make_batch(*, ignored_rows: int = 16, size: tuple[int, int] = (64, 96)) -> dict[str, paddle.Tensor]:
    """Two photos with vertical bands of the classes, whose first rows are ignored."""
    label_map = np.broadcast_to(np.arange(size[1]) * NUM_CLASSES // size[1], (2, *size)).astype(np.int64)
    label_map[:, :ignored_rows] = 255
    return {"image": make_images(2, size=size), "label_map": paddle.to_tensor(label_map)}


def test_training_gives_finite_losses_and_a_gradient_to_every_parameter(network: SemanticNetwork) -> None:
    network.train()
    losses = network(make_batch())
    losses["loss"].backward()

    terms = [float(value) for name, value in losses.items() if name != "loss"]
    assert np.isfinite(terms).all()
    assert min(terms) > 0
    assert float(losses["loss"]) == pytest.approx(sum(terms), rel=1e-5)
    assert [name for name, p in trainable(network).items() if p.grad is None] == []
    assert all(bool(paddle.isfinite(p.grad).all()) for p in trainable(network).values())


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_heads_have_terms_of_their_own_in_training_alone(name: str) -> None:
    network = _build(name)
    network.train()
    with paddle.no_grad():
        terms = list(network(make_batch()))
        network.eval()
        assert list(network(make_batch())) == ["logits"]

    aux = [f"aux{i + 1}" for i in range(AUXILIARY_HEADS.get(name, 0))]
    assert terms == ["main", *aux, "loss"]


def test_photos_without_a_label_train_with_a_loss_of_zero(network: SemanticNetwork) -> None:
    network.train()
    losses = network(make_batch(ignored_rows=64))
    losses["loss"].backward()

    assert float(losses["loss"]) == 0.0
    assert [name for name, p in trainable(network).items() if p.grad is None] == []
    assert all(not p.grad.numpy().any() for p in trainable(network).values())


def test_equal_draws_give_equal_losses(network: SemanticNetwork) -> None:
    network.train()
    batch, found = make_batch(), []
    with paddle.no_grad():
        for seed in (1, 1, 2):
            network.draws = UniformDraws(seed)
            found.append(float(network(batch)["loss"]))

    assert found[0] == found[1]
    drops = any(isinstance(layer, Dropout) for layer in network.sublayers())
    assert (found[0] != found[2]) == drops


@pytest.mark.parametrize("size", [(64, 96), (65, 99)], ids=["even", "odd"])
def test_logits_have_the_size_of_the_photo(network: SemanticNetwork, size: tuple[int, int]) -> None:
    with paddle.no_grad():
        logits = network({"image": make_images(1, size=size)})["logits"]

    assert list(logits.shape) == [1, NUM_CLASSES, *size]
    assert bool(paddle.isfinite(logits).all())


def test_logits_do_not_depend_on_the_rest_of_the_batch(network: SemanticNetwork) -> None:
    images = make_images(2)
    with paddle.no_grad():
        together, alone = network.logits(images)[1:].numpy(), network.logits(images[1:]).numpy()

    np.testing.assert_allclose(together, alone, atol=1e-4 * np.abs(alone).max())


def test_official_output_is_the_class_of_every_pixel(network: SemanticNetwork) -> None:
    images = make_images(2)
    with paddle.no_grad():
        (label_map,) = network.forward_official(images)
        logits = network.logits(images)

    assert label_map.dtype == paddle.int32
    np.testing.assert_array_equal(label_map.numpy(), logits.numpy().argmax(axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_fusing_for_deployment_keeps_the_logits(name: str) -> None:
    network, images = _build(name), make_images(1)
    network.eval()
    with paddle.no_grad():
        before = network.logits(images).numpy()
        network.fuse_for_deploy()
        after = network.logits(images).numpy()

    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    folded = [name for name in network.state_dict() if "_batch_norm" in name]
    assert not folded


class _Logits(paddle.nn.Layer):
    def __init__(self, network: SemanticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.network.logits(image)


@pytest.mark.onnx_export
@pytest.mark.parametrize("name", EXPORTED)
def test_one_onnx_graph_serves_every_size(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = _build(name)
    network.eval()
    graph = save_static_graph(_Logits(network), tmp_path, name="logits", inputs={"image": (-1, 3, -1, -1)})
    (model,) = convert_graphs([graph])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    for count, size in ((1, (97, 131)), (2, (64, 96))):
        images = make_images(count, size=size)
        with paddle.no_grad():
            expected = network.logits(images).numpy()
        (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_two_names_of_unets_classifier_are_one_layer() -> None:
    network = MODELS["UNet"].build(num_classes=NUM_CLASSES)
    entries = network.state_dict()

    assert entries["cls.weight"] is entries["conv.weight"]
    assert [name for name in trainable(network) if name.startswith(("cls", "conv"))] == [
        "cls.weight",
        "cls.bias",
    ]


def test_transposed_convolutions_refuse_other_sizes_with_a_proposal() -> None:
    network = MODELS["UNet-deconv"].build(num_classes=NUM_CLASSES)

    with pytest.raises(ShapeError, match=r"70 x 96 pixels, expected multiples of 16; resize to 64 x 96"):
        network.logits(make_images(1, size=(70, 96)))
