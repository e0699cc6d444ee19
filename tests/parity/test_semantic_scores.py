"""Scores of semantic segmentation equal the published ones, also with a class that is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from semantic_common import each_common, logits_of, loss_labels, reference_of

from paddlex.metrics.semantic import SemanticScores


@each_common
@pytest.mark.parametrize(("group", "further"), [("metric", 0), ("metric_absent", 1)])
def test_scores_equal_the_published_ones(file: Path, group: str, further: int) -> None:
    reference = reference_of(file)
    num_classes = reference.info["num_classes"] + further
    both = {absent: SemanticScores(num_classes=num_classes, absent_iou=absent) for absent in (0.0, 1.0)}
    for predicted, label_map in zip(logits_of(reference).argmax(axis=1), loss_labels(reference), strict=True):
        for scores in both.values():
            scores.update(predicted=predicted, label_map=label_map)
    table = both[0.0].confusion
    values = {
        "confusion_matrix": table.counts,
        "intersect": table.intersections,
        "pred_area": table.predicted,
        "label_area": table.labelled,
        "category_acc": table.precision(),
        "category_f1": table.dice(),
        "oacc": both[0.0].compute()["Acc"],
        "kappa": both[0.0].compute()["Kappa"],
        "category_iou": table.iou(absent=0.0),
        "miou": both[0.0].compute()["mIoU"],
        "category_iou_paddleseg": table.iou(absent=1.0),
        "miou_paddleseg": both[1.0].compute()["mIoU"],
        "dice_paddleseg": table.dice(),
    }
    assert reference.faults(group, values) == []
