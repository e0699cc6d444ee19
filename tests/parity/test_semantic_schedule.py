"""Learning rates of semantic segmentation follow the published schedule."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from semantic_common import each_common, reference_of

from paddlex.training.schedules import LearningRate


@each_common
def test_polynomial_decay_ends_at_zero_and_stays_there(file: Path) -> None:
    reference = reference_of(file)
    said = reference.checks("lr")["poly"]["what"]
    base, total, count = re.search(
        r"learning_rate ([\d.]+), (\d+) steps in total, first (\d+)", said
    ).groups()
    rate = LearningRate(base=float(base), total_steps=int(total), decay="polynomial")
    values = {"poly": np.array([rate(step) for step in range(int(count))])}
    assert reference.faults("lr", values) == []
