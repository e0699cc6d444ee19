"""Weights files: every form that Paddle writes is read, and nothing a pickle asks for is run."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from paddlex.utils.errors import WeightsError
from paddlex.utils.pdparams import read_pdparams, read_pickle

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_read_pdparams_reads_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    content = OrderedDict(weight=WEIGHT, fortran=np.asfortranarray(WEIGHT), count=np.int64(7))
    arrays = read_pdparams(write(tmp_path / "a.pdparams", content, protocol))
    assert list(arrays) == ["weight", "fortran", "count"]
    np.testing.assert_array_equal(arrays["weight"], WEIGHT)
    np.testing.assert_array_equal(arrays["fortran"], WEIGHT)
    assert arrays["count"] == 7


def test_read_pdparams_reads_what_paddle_saves(tmp_path: Path) -> None:
    paddle = pytest.importorskip("paddle")
    net = paddle.nn.Linear(2, 3)
    paddle.save(net.state_dict(), str(tmp_path / "layer.pdparams"))
    paddle.save({"weight": net.weight}, str(tmp_path / "tuple.pdparams"))
    for name in ("layer", "tuple"):
        arrays = read_pdparams(tmp_path / f"{name}.pdparams")
        np.testing.assert_array_equal(arrays["weight"], net.weight.numpy())
        assert "StructuredToParameterName@@" not in arrays


def test_read_pickle_keeps_nested_plain_data(tmp_path: Path) -> None:
    content = {"epoch": 3, "rate": 0.5, "generators": (3, (1, 2), None), "nested": {"a": [WEIGHT]}}
    read = read_pickle(write(tmp_path / "state", content))
    assert read["generators"] == (3, (1, 2), None)
    np.testing.assert_array_equal(read["nested"]["a"][0], WEIGHT)


class Malicious:
    """Unpickling this creates a file, if the unpickler lets it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return eval, (f"open({str(self.target)!r}, 'w').close()",)


def test_read_pdparams_never_runs_what_a_pickle_names(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bad = write(tmp_path / "bad.pdparams", {"weight": WEIGHT, "more": Malicious(trace)})
    with pytest.raises(WeightsError, match=r"bad\.pdparams: refused.*builtins\.eval"):
        read_pdparams(bad)
    assert not trace.exists()


def test_read_pdparams_refuses_a_size_claim_without_data(tmp_path: Path) -> None:
    """Calling numpy.ndarray with a huge shape would exhaust the memory before any data is read."""

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return np.ndarray, ((10**15,),)

    with pytest.raises(WeightsError, match="damaged"):
        read_pdparams(write(tmp_path / "bomb.pdparams", {"weight": Bomb()}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"<html>404</html>", "a web page"),
        (b"PK\x03\x04rest", "PyTorch"),
        (pickle.dumps({"weight": np.zeros(1000)}, protocol=4)[:-50], "damaged"),
    ],
    ids=["empty", "html", "zip", "truncated"],
)
def test_read_pdparams_says_what_the_file_is(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        read_pdparams(path)


@pytest.mark.parametrize("value", ["text", [1, 2], np.array([None]), {"deep": WEIGHT}])
def test_read_pdparams_names_an_entry_that_is_no_array(tmp_path: Path, value: object) -> None:
    with pytest.raises(WeightsError, match="'odd' is a"):
        read_pdparams(write(tmp_path / "a.pdparams", {"odd": value}))


def test_read_pdparams_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_pdparams(tmp_path / "absent.pdparams")
