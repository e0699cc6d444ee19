"""Position code of the cells of a map."""

import math

import numpy as np

from paddlex.repo_apis.paddle_detection.necks.attention_encoder import sincos_position_table


def test_code_is_sine_and_cosine_of_row_then_of_column() -> None:
    # Four channels: one frequency, 1.
    table = sincos_position_table(2, 3, channels=4).numpy()[0]

    expected = [
        [math.sin(row), math.cos(row), math.sin(column), math.cos(column)]
        for row in range(2)
        for column in range(3)
    ]
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_frequencies_fall_geometrically() -> None:
    table = sincos_position_table(2, 1, channels=8).numpy()[0]

    # Row 1, frequencies 1 and 1 / 10000^(1 / 2).
    np.testing.assert_allclose(table[1, :2], [math.sin(1.0), math.sin(0.01)], atol=1e-6)
