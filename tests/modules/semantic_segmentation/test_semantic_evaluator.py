"""Scores are counted photo by photo on what users receive; weights of other classes are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image
from tiny_semantic import NAMES, write_pair, write_tiny_semantic

from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.semantic_segmentation.evaluator import evaluate, evaluate_network, run_network
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.utils.errors import DatasetError, WeightsError

SPEC = MODELS["FastSCNN"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_semantic(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def network() -> SemanticNetwork:
    """Untrained, with an opinion on every pixel."""
    paddle.seed(0)
    network = SPEC.build(num_classes=3)
    network.eval()
    return network


def write_weights(folder: Path, network: SemanticNetwork, *, class_names: tuple[str, ...] = NAMES) -> Path:
    path = folder / "model.pdparams"
    paddle.save(network.state_dict(), str(path))
    count = len(class_names)
    info = ModelInfo(
        model_name=SPEC.name, class_names=class_names, category_ids=tuple(range(count)), input_size=None
    )
    write_model_info(path, info)
    return path


def run(weights: Path, dataset: Path, output: Path, **options: object) -> dict:
    return evaluate(
        spec=SPEC,
        dataset_dir=dataset,
        output_dir=output,
        weight_path=weights,
        device="cpu",
        num_workers=0,
        **options,
    )


@pytest.mark.parametrize("batch_size", [1, 2])
def test_accuracy_is_the_share_of_labelled_pixels_that_are_right(
    dataset: Path, tmp_path: Path, network: SemanticNetwork, batch_size: int
) -> None:
    found = run(write_weights(tmp_path, network), dataset, tmp_path, batch_size=batch_size)
    data = SemanticDataset(dataset, "val.txt", num_classes=3)
    preprocess = Preprocessor(preprocess_operations(SPEC))
    right = labelled = 0
    for index in range(len(data)):
        sample = data[index]
        (raw,) = run_network(network, preprocess.prepare(sample.image).image[None])
        right += int((raw.to_label_map() == sample.label_map).sum())
        labelled += int((sample.label_map != 255).sum())
    assert found["metrics"]["Acc"] == pytest.approx(right / labelled)
    assert sum(row["pixels"] for row in found["per_class"]) == labelled


def test_logits_are_enlarged_before_the_decision_unless_it_shall_come_first(
    dataset: Path, network: SemanticNetwork
) -> None:
    data = SemanticDataset(dataset, "val.txt", num_classes=3)
    preprocess = Preprocessor(preprocess_operations(SPEC, short_side=64))
    found = [
        evaluate_network(
            network, dataset=data, preprocess=preprocess, num_workers=0, argmax_first=argmax_first
        )["metrics"]["mIoU"]
        for argmax_first in (False, True)
    ]
    assert found[0] != found[1] and found[0] == pytest.approx(found[1], abs=0.05)


def test_the_network_comes_back_in_the_mode_it_was_in(dataset: Path, network: SemanticNetwork) -> None:
    data = SemanticDataset(dataset, "val.txt", num_classes=3)
    network.train()
    try:
        evaluate_network(network, dataset=data, preprocess=Preprocessor(preprocess_operations(SPEC)))
        assert network.training
    finally:
        network.eval()


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("background", "leaf"), "weights for 3 classes beside a model_info.json of 2"),
        (("background", "stem", "leaf"), "class 1 is 'stem' in the weights, 'leaf' in "),
    ],
    ids=["count", "order"],
)
def test_weights_of_other_classes_are_refused(
    dataset: Path, tmp_path: Path, network: SemanticNetwork, names: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(WeightsError, match=fault):
        run(write_weights(tmp_path, network, class_names=names), dataset, tmp_path)


def test_a_data_set_that_names_more_classes_is_refused(tmp_path: Path, network: SemanticNetwork) -> None:
    folder = write_tiny_semantic(tmp_path / "tiny")
    (folder / "labels.txt").write_text("background\nleaf\nstem\nroot\n")
    with pytest.raises(WeightsError, match=r"weights for 3 classes, .*tiny has 4; use weights trained on"):
        run(write_weights(tmp_path, network), folder, tmp_path)


def test_a_label_that_is_no_class_is_named(tmp_path: Path, network: SemanticNetwork) -> None:
    folder = write_tiny_semantic(tmp_path / "tiny")
    label_map = np.full((32, 48), 3, np.uint8)
    (folder / "val.txt").write_text(write_pair(folder, "odd", label_map=label_map))
    with pytest.raises(DatasetError, match=r"odd\.png: label 3; expected 0 to 2"):
        run(write_weights(tmp_path, network), folder, tmp_path)


def test_photos_of_several_sizes_are_scored_alike_in_any_batch(
    tmp_path: Path, network: SemanticNetwork
) -> None:
    folder = write_tiny_semantic(tmp_path / "tiny")
    lines = []
    for number, (height, width) in enumerate([(32, 48), (48, 32), (40, 56), (40, 56)]):
        rng = np.random.default_rng(number)
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(photo).save(folder / "images" / f"size{number}.png")
        label_map = rng.integers(0, 3, (height, width), dtype=np.uint8)
        Image.fromarray(label_map).save(folder / "annotations" / f"size{number}.png")
        lines.append(f"images/size{number}.png annotations/size{number}.png\n")
    (folder / "val.txt").write_text("".join(lines))
    weights = write_weights(tmp_path, network)
    one, four = (run(weights, folder, tmp_path, batch_size=size) for size in (1, 4))
    assert one["metrics"] == pytest.approx(four["metrics"], abs=1e-3)
    assert [row["pixels"] for row in one["per_class"]] == [row["pixels"] for row in four["per_class"]]
    assert sum(row["pixels"] for row in one["per_class"]) == 2 * 32 * 48 + 2 * 40 * 56


def test_photos_that_are_all_ignored_have_no_score(tmp_path: Path, network: SemanticNetwork) -> None:
    folder = write_tiny_semantic(tmp_path / "tiny")
    nothing = np.full((32, 48), 255, np.uint8)
    (folder / "val.txt").write_text(write_pair(folder, "nothing", label_map=nothing))
    found = run(write_weights(tmp_path, network), folder, tmp_path)
    assert np.isnan(list(found["metrics"].values())).all()
    assert [row["pixels"] for row in found["per_class"]] == [0, 0, 0]
