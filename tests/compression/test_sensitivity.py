"""Sensitivities: measured by masking, kept through an interruption, refused for another network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from toys import SIZE, Residual, photo, randomised

from paddlex.compression.dependencies import find_dependencies
from paddlex.compression.sensitivity import RATIOS, analyze_sensitivity, read_sensitivities
from paddlex.utils.errors import FileFormatError, PruneError


class Score:
    """How near the network's output is to that of the whole one, in (0, 1]; counts its calls.

    Args:
        network: whole at the time.
        stop_after: raise as a user's interruption would, after so many calls.
    """

    def __init__(self, network: nn.Layer, *, stop_after: int | None = None) -> None:
        self.network, self.calls, self.stop_after = network, 0, stop_after
        self.wanted = self._run()

    def _run(self) -> np.ndarray:
        with paddle.no_grad():
            output: np.ndarray = self.network(photo()).numpy()
        return output

    def __call__(self) -> float:
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        return float(1 / (1 + np.abs(self._run() - self.wanted).mean()))


def test_analyze_sensitivity_measures_every_group_at_every_ratio(tmp_path: Path) -> None:
    network = randomised(Residual())
    dependencies = find_dependencies(network, inputs=SIZE)
    before = {name: value.numpy() for name, value in network.state_dict().items()}
    score = Score(network)
    found = analyze_sensitivity(network, dependencies, evaluate=score, file=tmp_path / "s.json")
    assert found.is_complete and found.baseline == 1.0
    assert {name: tuple(losses) for name, losses in found.losses.items()} == {
        "stem.conv.weight": RATIOS,
        "inner.conv.weight": RATIOS,
    }
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    losses = found.losses["stem.conv.weight"]
    assert 0 < losses[0.1] < losses[0.9] < 1
    # Of 8 channels 1, 2, 2, 3, 4, 5, 6, 6, 7 go; of 6 they are 1, 1, 2, 2, 3, 4, 4, 5, 5: 7 + 5 evaluations.
    assert losses[0.2] == losses[0.3] and losses[0.7] == losses[0.8]
    assert score.calls == 1 + 7 + 5


def test_an_interrupted_analysis_goes_on_where_it_stopped(tmp_path: Path) -> None:
    network = randomised(Residual())
    dependencies = find_dependencies(network, inputs=SIZE)
    file = tmp_path / "s.json"
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        analyze_sensitivity(network, dependencies, evaluate=Score(network, stop_after=5), file=file)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name])
    partial = read_sensitivities(file)
    assert not partial.is_complete
    assert len(partial.losses["stem.conv.weight"]) == 5  # 4 measured, one of them for two ratios
    score = Score(network)
    resumed = analyze_sensitivity(network, dependencies, evaluate=score, file=file)
    assert score.calls == 13 - 5
    fresh = analyze_sensitivity(network, dependencies, evaluate=Score(network), file=tmp_path / "t.json")
    assert resumed.losses == fresh.losses == read_sensitivities(file).losses
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["s.json", "t.json"]


def test_a_complete_file_needs_no_evaluation(tmp_path: Path) -> None:
    network = randomised(Residual())
    dependencies = find_dependencies(network, inputs=SIZE)
    for calls in (13, 0):
        score = Score(network)
        analyze_sensitivity(network, dependencies, evaluate=score, file=tmp_path / "s.json")
        assert score.calls == calls


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    network = randomised(Residual())
    dependencies = find_dependencies(network, inputs=SIZE)
    file = tmp_path / "s.json"
    analyze_sensitivity(network, dependencies, evaluate=Score(network), file=file, about={"photos": 3})
    content = file.read_text(encoding="utf-8")

    def again(other: nn.Layer = network, **changes: object) -> None:
        arguments = {"about": {"photos": 3}, "criterion": "l1_norm", **changes}
        analyze_sensitivity(
            other, find_dependencies(other, inputs=SIZE), evaluate=lambda: 0.0, file=file, **arguments
        )

    with pytest.raises(PruneError, match="of another criterion than the present"):
        again(criterion="fpgm")
    with pytest.raises(PruneError, match="of another data set than the present"):
        again(about={"photos": 4})
    with pytest.raises(PruneError, match="of another state of weights than the present"):
        again(randomised(Residual(), seed=5))
    wider = Residual()
    wider.inner, wider.outer = type(wider.inner)(8, 7, kernel_size=3), type(wider.inner)(7, 8, kernel_size=3)
    with pytest.raises(PruneError, match="of another network than the present"):
        again(randomised(wider))
    assert file.read_text(encoding="utf-8") == content
    file.write_text(json.dumps({"criterion": "l1_norm"}), encoding="utf-8")
    with pytest.raises(FileFormatError, match="no file of sensitivities"):
        again()
