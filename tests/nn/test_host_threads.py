"""Work shared among threads."""

import pytest

from paddlex.nn.host_threads import share_among_threads


@pytest.mark.parametrize("threads", ["", "0", "1", "3"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_index_is_done_once(monkeypatch: pytest.MonkeyPatch, threads: str, count: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    done: list[int] = []
    share_among_threads(done.extend, count)

    assert sorted(done) == list(range(count))


def test_errors_of_a_thread_reach_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def fail_on_odd(share: range) -> None:
        if 1 in share:
            raise ArithmeticError("index 1")

    with pytest.raises(ArithmeticError, match="index 1"):
        share_among_threads(fail_on_odd, 4)
