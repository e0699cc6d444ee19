"""When runs of PaddleX 2 stop early: scores that fall or stand still, one after the other."""

from __future__ import annotations

import pytest

from paddlex.v2.early_stop import has_stalled


@pytest.mark.parametrize(
    ("scores", "stops"),
    [
        pytest.param([], False, id="nothing_yet"),
        pytest.param([0.5, 0.4], False, id="the_first_score_is_no_best_so_the_second_is_one"),
        pytest.param([0.5, 0.4, 0.3, 0.2], True, id="two_falls_after_a_best"),
        pytest.param([0.1, 0.4, 0.40005, 0.40002], False, id="a_new_best_however_small_starts_anew"),
        pytest.param([0.1, 0.4, 0.4, 0.4], True, id="standing_still_counts"),
        pytest.param([0.1, 0.4, 0.2, 0.3, 0.2], False, id="a_rise_below_the_best_starts_anew"),
        pytest.param([0.1, 0.4, 0.2, 0.1, 0.9], True, id="once_stopped_it_stays_so"),
    ],
)
def test_two_in_a_row_end_a_run(scores: list[float], stops: bool) -> None:
    assert has_stalled(scores, patience=2) is stops
