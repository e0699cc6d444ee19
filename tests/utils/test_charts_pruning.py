"""The chart of sensitivities: a row a group, readable for few and many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlex.utils.charts_pruning import sensitivity_chart


@pytest.mark.parametrize("count", [1, 20, 60])
def test_sensitivity_chart_has_a_row_for_each_group(tmp_path: Path, count: int) -> None:
    ratios = [round(0.1 * step, 1) for step in range(1, 10)]
    names = [f"backbone.stage{index}.a_rather_long_name_of_a_layer.conv.weight" for index in range(count)]
    losses = {name: {ratio: ratio**2 * (i + 1) / count for ratio in ratios} for i, name in enumerate(names)}
    losses[names[0]] = dict.fromkeys(ratios, -0.1)  # pruning may even help
    file = sensitivity_chart(
        tmp_path / "chart.png", losses=losses, ratios=dict.fromkeys(names, 0.33), score="mIoU"
    )
    pixels = np.asarray(Image.open(file).convert("RGB"))
    assert pixels.shape[0] == pytest.approx(120 * (2.0 + 0.19 * count), abs=2)
    blue = (pixels == (0x00, 0x72, 0xB2)).all(axis=2)
    rows = np.flatnonzero(blue.any(axis=1))
    assert np.count_nonzero(np.diff(rows) > 1) == count - 1  # a dot in every row
