"""Pruning Mask R-CNN on a data set: sensitivities from a file, weights that are evaluated as any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paddle
import pytest
from tiny_coco import CLASSES, write_tiny_coco
from tiny_mask_rcnn import filled, tiny_spec

from paddlex.compression.sensitivity import RATIOS, analyze_sensitivity, read_sensitivities
from paddlex.modules.instance_segmentation.evaluator import evaluate
from paddlex.modules.instance_segmentation.pruner import prune
from paddlex.modules.model_info import ModelInfo, read_model_info, write_model_info
from paddlex.modules.prune_run import PruneOptions, network_dependencies
from paddlex.utils.errors import PruneError

SPEC = tiny_spec("fpn")
SIZE = (96, 160)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_tiny_coco(folder / "dataset")
    (folder / "full").mkdir()
    weights = folder / "full" / "best_model.pdparams"
    paddle.save(filled(SPEC.build(num_classes=2)).state_dict(), str(weights))
    info = ModelInfo(model_name=SPEC.name, class_names=CLASSES, category_ids=(1, 2), input_size=SIZE)
    write_model_info(weights, info)
    return folder


def write_sensitivities(file: Path, *, photos: int) -> None:
    """As if measured: every group loses the square of the ratio."""
    network = filled(SPEC.build(num_classes=2))
    found = network_dependencies(network, input_size=SIZE)
    about = {"score": "AP", "photos": photos, "first": "p4.png"}
    analyze_sensitivity(network, found, evaluate=lambda: 0.5, file=file, about=about)
    known = read_sensitivities(file)
    losses = {name: {ratio: ratio**2 for ratio in RATIOS} for name in known.groups}
    type(known)(**{**vars(known), "losses": losses}).write(file)


def run(workspace: Path, output: Path, **options: Any) -> dict[str, Any]:
    return prune(
        spec=SPEC,
        dataset_dir=workspace / "dataset",
        output_dir=output,
        weight_path=workspace / "full" / "best_model.pdparams",
        options=PruneOptions(device="cpu", num_workers=0, **options),
    )


def test_prune_uses_sensitivities_and_leaves_weights_to_go_on_with(workspace: Path, tmp_path: Path) -> None:
    write_sensitivities(tmp_path / "sensitivities.json", photos=1)
    fields = run(workspace, tmp_path, pruned_flops=0.3, photos=1)
    assert fields["pruned_flops"] == pytest.approx(0.3, abs=0.03)
    assert fields["class_names"] == list(CLASSES)
    weights = tmp_path / fields["weights"]
    info = read_model_info(weights)
    assert info is not None and (info.class_names, info.category_ids) == (CLASSES, (1, 2))
    report = evaluate(
        spec=SPEC,
        dataset_dir=workspace / "dataset",
        output_dir=tmp_path,
        weight_path=weights,
        device="cpu",
        num_workers=0,
    )
    measured = {name: value for name, value in report["metrics"].items() if value == value}
    assert measured == pytest.approx({name: fields["metrics_after"][name] for name in measured})


def test_prune_refuses_sensitivities_of_other_photos(workspace: Path, tmp_path: Path) -> None:
    write_sensitivities(tmp_path / "sensitivities.json", photos=2)
    with pytest.raises(PruneError, match="of another data set than the present"):
        run(workspace, tmp_path, photos=1)
    assert not (tmp_path / "pruned").exists()
