"""The semantic segmentation networks give the published numbers, on weights and inputs made by `fill`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from fill import fill_state_dict, image
from paddle import Tensor, nn
from reference import Reference, find_references, require_references
from semantic_common import labels

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.nn.dropout import Dropout
from paddlex.repo_apis.paddle_seg.bisenetv2 import build_bisenetv2
from paddlex.repo_apis.paddle_seg.deeplab import build_deeplab_v3p_r50, build_deeplab_v3p_r101
from paddlex.repo_apis.paddle_seg.fast_scnn import build_fast_scnn
from paddlex.repo_apis.paddle_seg.hrnet import build_hrnet_w18, build_hrnet_w48
from paddlex.repo_apis.paddle_seg.losses.dice import DiceLoss
from paddlex.repo_apis.paddle_seg.losses.lovasz_softmax import LovaszSoftmaxLoss
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.repo_apis.paddle_seg.unet import build_unet
from paddlex.training.optim import build_optimizer

_BUILDERS: dict[str, Callable[..., SemanticNetwork]] = {
    "DeepLabV3P-ResNet50_vd": build_deeplab_v3p_r50,
    "DeepLabV3P-ResNet101_vd": build_deeplab_v3p_r101,
    "BiSeNetV2": build_bisenetv2,
    "UNet": build_unet,
    "UNet-deconv": partial(build_unet, use_deconv=True),
    "HRNet-W18": build_hrnet_w18,
    "HRNet-W48": build_hrnet_w48,
    "FastSCNN": build_fast_scnn,
}
_FILES = [
    file
    for prefix in ("DeepLabV3P", "BiSeNetV2", "UNet", "HRNet", "FastSCNN")
    for file in find_references("semantic_segmentation", model_prefix=prefix)
]
# Constructor arguments of the variants, by the group of checks.
_VARIANTS: dict[str, dict[str, Any]] = {
    "align_corners": {"align_corners": True},
    "os16": {"output_stride": 16},
    "multi_grid": {"multi_grid": (1, 2, 4)},
}

Values = dict[str, np.ndarray]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.num_classes: int = reference.info["num_classes"]
        self.seed: int = reference.info["input"]["seed"]
        self.network = self.build()
        self.weights = fill_state_dict(self.network.state_dict(), keep=reference.info["keep"])
        self.reset()

    def build(self, **options: Any) -> SemanticNetwork:
        """Build the network with further constructor arguments."""
        return _BUILDERS[self.reference.model](num_classes=self.num_classes, **options)

    def reset(self) -> None:
        """Undo what training changes, and return to evaluation mode without dropout."""
        self.network.set_state_dict(self.weights)
        self.network.clear_gradients()
        self.network.eval()
        for layer in _layers(self.network, Dropout):
            layer.rate = 0.0

    def train(self, *, frozen_statistics: bool) -> None:
        """Go to training mode, with normalisations in evaluation mode where statistics are frozen."""
        self.reset()
        self.network.train()
        if frozen_statistics:
            for layer in _layers(self.network, nn.BatchNorm2D):
                layer.eval()

    def picture(self, text: str | None = None) -> Tensor:
        """The picture of the first `image(seed=..., shape=...)` in `text`; the one of evaluation."""
        return _image_of(text or self.reference.info["input"]["eval"])

    def batch(self) -> dict[str, Tensor]:
        """The two pictures and label maps of the training checks."""
        pictures = self.picture(self.reference.info["input"]["train"])
        count, _, height, width = pictures.shape
        label_map = labels(self.seed, (count, height, width), self.num_classes)
        return {"image": pictures, "label_map": paddle.to_tensor(label_map)}


def _layers(network: nn.Layer, kind: type[nn.Layer]) -> Iterator[nn.Layer]:
    return (layer for layer in network.sublayers() if isinstance(layer, kind))


def _image_of(text: str) -> Tensor:
    seed, shape = re.findall(r"image\(seed=(\d+), shape=\(([\d, ]+)\)\)", text)[0]
    return paddle.to_tensor(image(int(seed), tuple(int(n) for n in shape.split(","))))


@lru_cache(maxsize=1)
def _subject(file: Path) -> Subject:
    return Subject(Reference(file))


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    """The network of one reference, built once for all its checks (conftest.py puts them in a row)."""
    built = _subject(request.param)
    built.reset()
    return built


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per model, and per model and group of checks where a test asks for the group."""
    if "subject" not in metafunc.fixturenames:
        return
    if "group" not in metafunc.fixturenames:
        metafunc.parametrize(
            "subject", _FILES, indirect=True, ids=[file.stem for file in _FILES], scope="module"
        )
        return
    cases = [
        pytest.param(file, group, id=f"{file.stem}-{group}")
        for file in _FILES
        for group in Reference(file).groups
    ]
    metafunc.parametrize(("subject", "group"), cases, indirect=["subject"])


def test_there_are_references() -> None:
    require_references(_FILES)


def test_state_dict_has_the_published_names_order_and_shapes(subject: Subject) -> None:
    state = subject.network.state_dict()
    ours = [[name, list(value.shape)] for name, value in state.items()]

    assert ours == [[name, shape] for name, shape, _ in subject.reference.info["params"]]
    assert sum(value.size for value in state.values()) == subject.reference.info["param_count"]


def test_values_agree(subject: Subject, group: str) -> None:
    faults = subject.reference.faults(group, _PRODUCERS[group](subject, group))

    assert not faults, "\n".join(faults)


# --------------------------------------------------------------------------- evaluation


def _numpy(**tensors: Tensor) -> Values:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


@paddle.no_grad()
def _evaluation(subject: Subject, group: str) -> Values:
    network, picture = subject.network, subject.picture()
    (label_map,) = network.forward_official(picture)
    parts = _PARTS[type(network).__name__](network, picture)
    logits = network._enlarge(parts["head"], picture)
    scores = nn.functional.softmax(logits.transpose([0, 2, 3, 1]))
    return _numpy(logit_0=logits, label_map=label_map, score_map=scores, **parts)


def _deeplab_parts(network: SemanticNetwork, picture: Tensor) -> dict[str, Tensor]:
    features = network.backbone(picture)
    aspp = network.head.aspp(features[-1])
    parts = {f"backbone_{i}": feature for i, feature in enumerate(features)}
    return {**parts, "aspp": aspp, "head": network.head.decoder(aspp, features[0])}


def _bisenetv2_parts(network: SemanticNetwork, picture: Tensor) -> dict[str, Tensor]:
    detail, (*stages, context) = network.db(picture), network.sb(picture)
    aggregate = network.bga(detail, context)
    parts = {"detail": detail, "context": context, "aggregate": aggregate, "head": network.head(aggregate)}
    for i, stage in enumerate(stages, start=1):
        parts[f"semantic_{i}"] = stage
        parts[f"aux_head_{i}"] = getattr(network, f"aux_head{i}")(stage)
    return parts


def _unet_parts(network: SemanticNetwork, picture: Tensor) -> dict[str, Tensor]:
    features = network.encode(picture)
    decoded = network.decode(features)
    parts = {f"short_cut_{i}": feature for i, feature in enumerate(features[:-1])}
    return {**parts, "encode": features[-1], "decode": decoded, "head": network.cls(decoded)}


def _hrnet_parts(network: SemanticNetwork, picture: Tensor) -> dict[str, Tensor]:
    (joined,) = network.backbone(picture)
    return {"backbone": joined, "head": network.head(joined)}


def _fast_scnn_parts(network: SemanticNetwork, picture: Tensor) -> dict[str, Tensor]:
    fine = network.learning_to_downsample(picture)
    coarse = network.global_feature_extractor(fine)
    fused, auxiliary = network.feature_fusion(fine, coarse), network.auxlayer(fine)
    parts = {"downsample": fine, "global": coarse, "fusion": fused}
    # The published network computes its auxiliary head in evaluation, too.
    enlarged = network._enlarge(auxiliary, picture)
    return {**parts, "head": network.classifier(fused), "aux_head": auxiliary, "logit_1": enlarged}


_PARTS: dict[str, Callable[[SemanticNetwork, Tensor], dict[str, Tensor]]] = {
    "DeepLabV3P": _deeplab_parts,
    "BiSeNetV2": _bisenetv2_parts,
    "UNet": _unet_parts,
    "HRNetFCN": _hrnet_parts,
    "FastSCNN": _fast_scnn_parts,
}


@paddle.no_grad()
def _odd_sides(subject: Subject, group: str) -> Values:
    height, width = re.search(
        r"size (\d+)x(\d+)", subject.reference.checks(group)["logit_0"]["what"]
    ).groups()
    picture = paddle.to_tensor(image(subject.seed, (1, 3, int(height), int(width))))
    return _numpy(logit_0=subject.network.logits(picture))


@paddle.no_grad()
def _variant(subject: Subject, group: str) -> Values:
    network, picture = subject.build(**_VARIANTS[group]), subject.picture()
    network.set_state_dict(subject.weights)
    network.eval()
    values = _numpy(logit_0=network.logits(picture))
    if "backbone_3" in subject.reference.checks(group):
        values |= _numpy(backbone_3=network.backbone(picture)[3])
    return values


def _preprocess(subject: Subject, group: str) -> Values:
    what = subject.reference.checks(group)["input"]["what"]
    height, width = (int(side) for side in re.search(r"seed\+100,(\d+),(\d+)", what).groups())
    target = [int(side) for side in re.search(r"Resize\(\[(\d+),(\d+)\]\)", what).groups()]
    picture = image(subject.seed + 100, (1, 3, height, width))[0].transpose(1, 2, 0)
    half = [0.5] * 3
    operations = [
        {"type": "Resize", "target_size": target, "keep_ratio": False, "interp": 1},
        {"type": "NormalizeImage", "mean": half, "std": half, "is_scale": True},
        {"type": "Permute"},
    ]
    bgr = np.floor(255 * picture).astype(np.uint8)
    return {"input": Preprocessor(operations)(np.ascontiguousarray(bgr[..., ::-1]))["image"]}


# --------------------------------------------------------------------------- training


def _heads(subject: Subject, batch: dict[str, Tensor]) -> list[Tensor]:
    """The logits of all heads, at the size of the pictures."""
    return [subject.network._enlarge(head, batch["image"]) for head in subject.network.heads(batch["image"])]


def _total(subject: Subject, heads: list[Tensor], label_map: Tensor, loss: Loss) -> Tensor:
    """The weighted sum that `SemanticNetwork.forward` makes, under any loss."""
    weights = subject.network.loss_weights
    return sum(weight * loss(logits, label_map) for weight, logits in zip(weights, heads, strict=True))


@paddle.no_grad()
def _training(subject: Subject, group: str) -> Values:
    subject.train(frozen_statistics=False)
    batch, lovasz = subject.batch(), LovaszSoftmaxLoss()
    heads, label_map = _heads(subject, batch), batch["label_map"]
    what = subject.reference.checks(group)["running_mean"]["what"]
    norm = dict(subject.network.named_sublayers())[re.search(r"running mean of (\S+)", what).group(1)]
    values = _numpy(running_mean=norm._mean, running_variance=norm._variance)
    for i, logits in enumerate(heads):
        ce, ranked = choose_loss()(logits, label_map), lovasz(logits, label_map)
        values |= _numpy(**{f"logit_{i}": logits, f"loss_ce_{i}": ce, f"loss_lovasz_{i}": ranked})
    total = partial(_total, subject, heads, label_map)
    values |= _numpy(loss_lovasz=total(lovasz), loss_dice=total(DiceLoss()))
    values |= _numpy(loss_mixed=total(choose_loss(True)))
    return values | _numpy(loss=subject.network(batch)["loss"])


@paddle.no_grad()
def _frozen(subject: Subject, group: str) -> Values:
    subject.train(frozen_statistics=True)
    batch = subject.batch()
    total = partial(_total, subject, _heads(subject, batch), batch["label_map"])
    return _numpy(loss=total(choose_loss()), loss_mixed=total(choose_loss(True)))


def _negated_label_logits(logits: Tensor, label_map: Tensor) -> Tensor:
    """Cross-entropy without its logarithm of the sum: what the recorded gradients of the default loss are of.

    They were taken in a second pass over a retained graph. There Paddle's gradient of the fused softmax and
    cross-entropy finds its probabilities overwritten by the first pass, and only the label's part is left.
    The gradient of the whole is in that first pass, of the mixed loss, and in `test_semantic_losses.py`.
    """
    counts = (label_map != 255).astype("float32")
    classes = nn.functional.one_hot((label_map * counts.astype("int64")), logits.shape[1])
    chosen = (logits * classes.transpose([0, 3, 1, 2])).sum(axis=1)
    return -(chosen * counts).sum() / counts.sum()


def _backward(subject: Subject, loss: Loss) -> dict[str, Tensor]:
    """Run one backward pass and return the parameters by every name they have."""
    subject.train(frozen_statistics=True)
    subject.network.loss = loss
    subject.network(subject.batch())["loss"].backward()
    subject.network.loss = choose_loss()
    return dict(subject.network.named_parameters(remove_duplicate=False))


def _gradients(subject: Subject, group: str) -> Values:
    parameters = _backward(subject, choose_loss(True) if "mixed" in group else _negated_label_logits)
    # In float64: a float32 sum of millions of squares is off by a thousandth.
    return {
        name: np.linalg.norm(parameters[name].grad.numpy().astype(np.float64).ravel())
        for name in subject.reference.checks(group)
    }


def _step(subject: Subject, group: str) -> Values:
    optimizer = build_optimizer(subject.network.parameters(), algorithm="momentum", weight_decay=4e-5)
    optimizer.set_lr(0.01)
    parameters = _backward(subject, _negated_label_logits)
    optimizer.step()
    return {name: parameters[name].numpy() for name in subject.reference.checks(group)}


_PRODUCERS: dict[str, Callable[[Subject, str], Values]] = {
    "eval": _evaluation,
    "odd": _odd_sides,
    **dict.fromkeys(_VARIANTS, _variant),
    "preprocess": _preprocess,
    "train": _training,
    "frozen": _frozen,
    "grad": _gradients,
    "grad_mixed": _gradients,
    "step": _step,
}
