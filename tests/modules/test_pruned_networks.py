"""Each of the six classes, pruned: as many operations go as asked for, and the network stays whole."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import paddle
import pytest
from paddle import Tensor, nn
from tiny_mask_rcnn import CLASS_NAMES, INPUT_SIZE, filled, photos, tiny_spec

from paddlex.compression.criteria import keep_best, rank_channels
from paddlex.compression.dependencies import Dependencies, find_dependencies
from paddlex.compression.flops import count_flops
from paddlex.compression.masking import masked
from paddlex.compression.plan import choose_ratios
from paddlex.compression.prune import MULTIPLE, PruneResult, prune
from paddlex.compression.sensitivity import RATIOS
from paddlex.modules.instance_segmentation import exporter as instance_exporter
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.model_info import ModelInfo
from paddlex.modules.prune_forms import TracedForm, traced_form
from paddlex.modules.prune_run import save_pruned
from paddlex.modules.semantic_segmentation import exporter as semantic_exporter
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.trained_network import TrainedNetwork, load_trained_network
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.repo_apis.spec import ModelSpec
from paddlex.structures.shapes import InstanceShapes

NAMES = ("MaskRCNN", "DeepLabV3P-ResNet50_vd", "BiSeNetV2", "UNet", "UNet-deconv", "HRNet-W18", "FastSCNN")
WANTED = 0.4
SEMANTIC_SIZE = (64, 96)


@dataclass
class Case:
    """A network before and after.

    Attributes:
        spec: the model.
        network: pruned.
        form: how it is traced.
        result: of the pruning.
        before: dependencies of the whole network.
        inputs: of the form.
        whole: what the form gave before.
        masked: what it gave with the same channels switched off.
        pruned: what it gives now.
    """

    spec: ModelSpec
    network: nn.Layer
    form: TracedForm
    result: PruneResult
    before: Dependencies
    inputs: list[Tensor]
    whole: list[np.ndarray]
    masked: list[np.ndarray]
    pruned: list[np.ndarray]

    @property
    def is_semantic(self) -> bool:
        return self.spec.task == "semantic_segmentation"

    @property
    def size(self) -> tuple[int, int]:
        return SEMANTIC_SIZE if self.is_semantic else INPUT_SIZE


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    spec = tiny_spec("fpn") if request.param == "MaskRCNN" else MODELS[request.param]
    network = filled(spec.build(num_classes=len(CLASS_NAMES)))
    size = SEMANTIC_SIZE if spec.task == "semantic_segmentation" else INPUT_SIZE
    form = traced_form(network, input_size=size, proposals=7, detections=3)
    inputs = make_inputs(form)
    before = find_dependencies(network, inputs=form.inputs, form=form.layer)
    # Losses that grow with the ratio, faster in some groups than in others, as measured ones do.
    losses = {
        group.name: {ratio: ratio**2 * (0.2 + zlib.crc32(group.name.encode()) % 7 / 10) for ratio in RATIOS}
        for group in before.groups
    }
    ranking = rank_channels(network, before, "l1_norm")
    ratios = choose_ratios(before, ranking, losses, pruned_flops=WANTED, multiple=MULTIPLE)
    kept = keep_best(before, ranking, ratios, multiple=MULTIPLE)
    whole = run(form, inputs)
    with masked(network, before, kept):
        off = run(form, inputs)
    result = prune(network, before, losses=losses, pruned_flops=WANTED)
    return Case(spec, network, form, result, before, inputs, whole, off, run(form, inputs))


def make_inputs(form: TracedForm) -> list[Tensor]:
    rng = np.random.default_rng(0)
    values = []
    for name, shape in form.inputs.items():
        value = rng.normal(size=shape)
        if name in {"proposals", "detections"}:
            corners = rng.uniform(0, 50, (shape[0], 2))
            value = np.concatenate([corners, corners + rng.uniform(10, 40, corners.shape)], axis=1)
        values.append(paddle.to_tensor(value.astype(np.float32)))
    return values


def run(form: TracedForm, inputs: list[Tensor]) -> list[np.ndarray]:
    form.layer.eval()
    with paddle.no_grad():
        return [output.numpy() for output in form.layer(*inputs)]


def test_the_wanted_share_of_operations_goes(case: Case) -> None:
    measured = find_dependencies(case.network, inputs=case.form.inputs, form=case.form.layer)
    share = 1 - count_flops(measured) / count_flops(case.before)
    assert share == pytest.approx(WANTED, abs=0.03)
    assert share == pytest.approx(case.result.pruned_flops)
    assert case.result.parameters[1] < 0.8 * case.result.parameters[0]


def test_every_operator_has_a_rule_and_every_parameter_is_reached(case: Case) -> None:
    assert (case.before.without_rule, case.before.untraced, case.before.open_costs) == ((), (), ())


def test_the_pruned_network_computes_what_the_masked_one_does(case: Case) -> None:
    for whole, expected, found in zip(case.whole, case.masked, case.pruned, strict=True):
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=1e-4 * scale, rtol=0)
        assert np.abs(found - whole).max() > 100 * np.abs(found - expected).max()


def test_outputs_keep_their_channels(case: Case) -> None:
    assert [output.shape for output in case.pruned] == [output.shape for output in case.whole]


@pytest.fixture(scope="module")
def reloaded(case: Case, tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    """From the files that pruning leaves."""
    info = ModelInfo(
        model_name=case.spec.name,
        class_names=CLASS_NAMES,
        category_ids=(1, 2, 3),
        input_size=case.size,
    )
    output = tmp_path_factory.mktemp("output")
    file = save_pruned(case.network, info, case.result, output_dir=output)
    assert [path.name for path in output.iterdir()] == ["pruned"]
    assert file == output / "pruned" / "model.pdparams"
    classes = SEMANTIC_CLASSES if case.is_semantic else INSTANCE_CLASSES
    return load_trained_network(case.spec, weight_path=file, classes=classes)


def test_saved_weights_are_read_back_in_pruned_form(case: Case, reloaded: TrainedNetwork) -> None:
    form = traced_form(reloaded.network, input_size=case.size, proposals=7, detections=3)
    for found, expected in zip(run(form, case.inputs), case.pruned, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_pruned_channels_hold_for_other_classes(case: Case, reloaded: TrainedNetwork) -> None:
    network = case.spec.build(num_classes=8, **reloaded.options)
    theirs = {name: value.shape for name, value in case.network.state_dict().items()}
    per_class = {name for name, value in network.state_dict().items() if value.shape != theirs[name]}
    assert per_class and len(per_class) < 20
    assert all(
        theirs[name][:1] != network.state_dict()[name].shape[:1] or "bbox" in name for name in per_class
    )


@pytest.mark.onnx_export
def test_exported_graphs_give_what_the_network_gives(
    case: Case, reloaded: TrainedNetwork, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "spec": case.spec,
        "class_names": CLASS_NAMES,
        "options": reloaded.options,
        "folder": tmp_path,
    }
    if not case.is_semantic:
        report = instance_exporter.export_network(
            reloaded.network, input_size=INPUT_SIZE, sample_images=photos(), **options
        )
        assert set(report["differences"]) == {"paddle", "onnx"}
        for differences in report["differences"].values():
            assert differences["compared"] > 10
            assert differences["max_score_difference"] < 1e-4
        return
    image = photos()[1][:64, :96]
    semantic_exporter.export_network(reloaded.network, sample_images=[image], **options)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "inference.onnx"), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"image": case.inputs[0].numpy()})
    np.testing.assert_allclose(found, case.pruned[0], atol=1e-4 * float(np.abs(case.pruned[0]).max()), rtol=0)


def test_training_goes_on(case: Case, reloaded: TrainedNetwork) -> None:
    network = reloaded.network
    network.train()
    network.draws = UniformDraws(0)
    learning = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    # A bias that a normalisation follows has no gradient worth the name.
    kernels = [parameter for parameter in learning if len(parameter.shape) > 1]
    before = [parameter.numpy() for parameter in kernels]
    optimizer = paddle.optimizer.Momentum(1e-3, parameters=learning)
    losses = network(make_batch(case))
    losses["loss"].backward()
    assert all(np.isfinite(float(value)) for value in losses.values())
    optimizer.step()
    changed = [not np.array_equal(old, new.numpy()) for old, new in zip(before, kernels, strict=True)]
    assert np.mean(changed) > 0.9


def make_batch(case: Case) -> dict[str, Any]:
    """Two photos with rectangles."""
    height, width = case.size
    rng = np.random.default_rng(0)
    batch: dict[str, Any] = {"image": paddle.to_tensor(rng.random((2, 3, height, width), dtype=np.float32))}
    if case.is_semantic:
        bands = np.broadcast_to(np.arange(width) * 3 // width, (2, height, width)).astype(np.int64)
        return {**batch, "label_map": paddle.to_tensor(bands)}
    box = [8.0, 6.0, 60.0, 50.0]
    outline = [[box[0], box[1], box[2], box[1], box[2], box[3], box[0], box[3]]]
    return {
        **batch,
        "im_shape": paddle.to_tensor([[float(height), float(width)]] * 2),
        "gt_boxes": [paddle.to_tensor([box])] * 2,
        "gt_class_ids": [paddle.to_tensor(np.array([index], np.int64)) for index in (0, 2)],
        "gt_masks": [InstanceShapes.from_polygons([outline], size=case.size)] * 2,
    }
