"""SOLOv2 as a whole: detections, their two forms, and what training asks of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from paddlex.modules.export_paddle import save_static_graph
from paddlex.repo_apis.paddle_detection.solov2 import SOLOv2, build_solov2
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import ShapeError

SIZE = (64, 96)
GRIDS = (10, 8, 6, 4, 3)


def images(count: int, *, seed: int = 0) -> paddle.Tensor:
    values = np.random.default_rng(seed).random((count, 3, *SIZE), dtype=np.float32)
    return paddle.to_tensor(values)


def contents(count: int) -> paddle.Tensor:
    """Height and width without the padding of 4 rows and 6 columns."""
    return paddle.to_tensor([[SIZE[0] - 4.0, SIZE[1] - 6.0]] * count)


def batch(objects: list[int]) -> dict[str, object]:
    """Photos with so many squares of 24 pixels each."""
    boxes = [np.float32([[16 * k, 8, 16 * k + 24, 32] for k in range(n)]).reshape(-1, 4) for n in objects]
    polygons = [
        [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in rows.astype(float)] for rows in boxes
    ]
    return {
        "image": images(len(objects)),
        "gt_boxes": [paddle.to_tensor(rows) for rows in boxes],
        "gt_class_ids": [paddle.arange(n, dtype="int64") % 3 for n in objects],
        "gt_masks": [InstanceShapes.from_polygons(photo, size=SIZE) for photo in polygons],
    }


@pytest.fixture(scope="module")
def built() -> SOLOv2:
    """A small network with generic weights and unsure of nothing: many cells score above the threshold."""
    paddle.seed(0)
    network = build_solov2(
        num_classes=3,
        width=32,
        grid_sizes=GRIDS,
        cell_strides=(1, 1, 2, 4, 4),
        head_width=32,
        num_head_convs=1,
        kernel_channels=32,
        mask_width=32,
    )
    for parameter in network.parameters():
        parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    network.solov2_head.solo_cate.bias.set_value(paddle.full([3], -1.0))
    return network


@pytest.fixture
def network(built: SOLOv2) -> SOLOv2:
    """The network in evaluation mode, without gradients of the test before."""
    built.eval()
    built.clear_gradients()
    return built


def detect(network: SOLOv2, image: paddle.Tensor) -> dict[str, np.ndarray]:
    with paddle.no_grad():
        found = network.detect(image, contents(len(image)))
    return {name: value.numpy() for name, value in found.items()}


def test_a_batch_is_filled_up_with_rows_of_negative_class(network: SOLOv2) -> None:
    first, second = images(1), paddle.zeros([1, 3, *SIZE])
    together = detect(network, paddle.concat([first, second]))
    alone = [detect(network, image) for image in (first, second)]

    counts = [int((found["class_ids"] >= 0).sum()) for found in alone]
    assert min(counts) > 0
    assert together["scores"].shape == (2, max(found["scores"].shape[1] for found in alone))
    for row, (found, count) in enumerate(zip(alone, counts, strict=True)):
        np.testing.assert_array_equal(together["class_ids"][row, :count], found["class_ids"][0, :count])
        np.testing.assert_allclose(together["scores"][row, :count], found["scores"][0, :count], atol=1e-5)
        assert (together["class_ids"][row, count:] == -1).all()
        assert (np.diff(together["scores"][row]) <= 1e-6).all()


def test_boxes_surround_the_masks_in_fractions_of_the_photo(network: SOLOv2) -> None:
    found = detect(network, images(1))
    for box, mask, class_id in zip(found["boxes"][0], found["masks"][0], found["class_ids"][0], strict=True):
        rows, cols = np.nonzero(mask > 0.5)
        if class_id < 0 or not len(rows):
            continue
        pixels = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]) * 4.0
        content = np.array([SIZE[1] - 6.0, SIZE[0] - 4.0] * 2)
        np.testing.assert_allclose(box, np.minimum(pixels / content, 1.0), rtol=1e-5)


def test_an_image_on_which_nothing_is_found_gives_one_row_of_padding(network: SOLOv2) -> None:
    bias = network.solov2_head.solo_cate.bias.numpy()
    network.solov2_head.solo_cate.bias.set_value(bias - 20)
    found = detect(network, images(2))
    network.solov2_head.solo_cate.bias.set_value(bias)

    assert found["class_ids"].tolist() == [[-1], [-1]]
    assert found["masks"].shape == (2, 1, 16, 24)


def test_official_outputs_are_the_detections_at_the_photos_size(network: SOLOv2) -> None:
    image, im_shape = images(1), contents(1)
    # Twice as high and three times as wide as the network input.
    scale_factor = paddle.to_tensor([[0.5, 1 / 3]])
    with paddle.no_grad():
        count, class_ids, scores, masks = network.forward_official(im_shape, image, scale_factor)
    found = detect(network, image)

    assert (int(count), len(class_ids)) == (len(scores), len(scores))
    assert masks.dtype == paddle.uint8
    assert masks.shape == [len(scores), 120, 270]
    instances = scores.numpy() > 0
    np.testing.assert_array_equal(class_ids.numpy()[instances], found["class_ids"][0][instances])
    np.testing.assert_allclose(scores.numpy(), found["scores"][0], atol=1e-6)


def test_traced_graphs_take_any_size_and_any_number_of_instances(network: SOLOv2, tmp_path: Path) -> None:
    class Official(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, im_shape, image, scale_factor):  # type: ignore[no-untyped-def]
            return self.network.forward_official(im_shape, image, scale_factor)

    inputs = {"im_shape": (-1, 2), "image": (-1, 3, -1, -1), "scale_factor": (-1, 2)}
    save_static_graph(Official().eval(), tmp_path, name="official", inputs=inputs)
    graph = paddle.jit.load(str(tmp_path / "official"))
    for image in (images(1), images(1)[:, :, :32, :64]):
        arguments = paddle.to_tensor([[30.0, 50.0]]), image, paddle.to_tensor([[0.5, 0.5]])
        with paddle.no_grad():
            expected = network.forward_official(*arguments)
        for ours, value in zip(expected, graph(*arguments), strict=True):
            np.testing.assert_allclose(value.numpy(), ours.numpy(), atol=1e-5)


def test_sides_that_32_does_not_divide_are_refused(network: SOLOv2) -> None:
    with pytest.raises(ShapeError, match="40 x 64 pixels, expected multiples of 32; pad to 64 x 64"):
        network({"image": paddle.zeros([1, 3, 40, 64])})


@pytest.mark.parametrize("objects", [[2, 1], [1, 0], [0, 0]], ids=["objects", "one_empty", "all_empty"])
def test_every_trainable_parameter_gets_a_finite_gradient(network: SOLOv2, objects: list[int]) -> None:
    network.train()
    losses = network(batch(objects))
    losses["loss"].backward()

    assert set(losses) == {"loss", "loss_ins", "loss_cate"}
    assert float(losses["loss"]) == pytest.approx(float(losses["loss_ins"]) + float(losses["loss_cate"]))
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == parameter.stop_gradient, name
        assert parameter.grad is None or bool(paddle.isfinite(parameter.grad).all()), name


def test_a_few_steps_lower_both_losses() -> None:
    paddle.seed(0)
    network = build_solov2(
        num_classes=3, width=32, grid_sizes=GRIDS, head_width=32, num_head_convs=1, kernel_channels=32
    )
    network.unfreeze_for_scratch()
    network.train()
    optimizer = paddle.optimizer.Adam(1e-3, parameters=network.parameters())
    first = last = {}
    for _ in range(8):
        last = {name: float(loss) for name, loss in _step(network, optimizer).items()}
        first = first or last

    assert last["loss_ins"] < first["loss_ins"]
    assert last["loss_cate"] < first["loss_cate"]


def _step(network: SOLOv2, optimizer: paddle.optimizer.Optimizer) -> dict[str, paddle.Tensor]:
    losses = network(batch([2, 1]))
    losses["loss"].backward()
    optimizer.step()
    optimizer.clear_grad()
    return losses


def test_fusing_folds_the_backbones_normalisations_and_keeps_the_features() -> None:
    paddle.seed(0)
    network = build_solov2(num_classes=3, head_width=32, num_head_convs=1, mask_width=32)
    network.eval()
    for name, entry in network.backbone.state_dict().items():
        if name.endswith("_variance"):
            entry.set_value(paddle.rand(entry.shape) + 0.5)
    with paddle.no_grad():
        before = network.backbone(images(1))
        network.fuse_for_deploy()
        after = network.backbone(images(1))

    assert not [name for name in network.state_dict() if name.endswith("_variance")]
    for ours, value in zip(after, before, strict=True):
        tolerance = 1e-5 * float(value.abs().max())
        np.testing.assert_allclose(ours.numpy(), value.numpy(), rtol=0, atol=tolerance)


def test_from_scratch_the_whole_backbone_learns() -> None:
    network = build_solov2(num_classes=3, head_width=32, num_head_convs=1, mask_width=32)
    network.unfreeze_for_scratch()

    frozen = {name for name, p in network.named_parameters() if p.stop_gradient}
    assert {name for name in frozen if not name.endswith(("._mean", "._variance"))} == set()
