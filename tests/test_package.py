"""Public names of the package that act when they are used."""

from __future__ import annotations

import logging

import pytest

import paddlex
from paddlex.utils.errors import UsageError
from paddlex.utils.logging import logger, set_up_logging


def test_log_level_is_information_until_it_is_set(monkeypatch) -> None:
    monkeypatch.delenv("PADDLE_PDX_DEBUG", raising=False)
    logger.setLevel(logging.NOTSET)
    assert paddlex.log_level == 2


@pytest.mark.parametrize(("number", "heard"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_log_level_decides_what_is_heard(number, heard, capsys, monkeypatch) -> None:
    monkeypatch.setattr(logger, "handlers", [])
    paddlex.log_level = number
    assert paddlex.log_level == number
    set_up_logging()  # as every model does; it keeps what was set
    for speak in (logger.error, logger.warning, logger.info, logger.debug):
        speak("said")
    assert capsys.readouterr().err.count("said") == heard


@pytest.mark.parametrize("number", [4, -1, "info", None, True])
def test_an_unknown_log_level_is_refused(number) -> None:
    before = paddlex.log_level
    with pytest.raises(UsageError, match=r"log_level .*; expected 0 \(errors\)"):
        paddlex.log_level = number
    assert paddlex.log_level == before


def test_env_info_tells_place_and_count(monkeypatch) -> None:
    import paddle

    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    monkeypatch.setenv("CPU_NUM", "3")
    assert paddlex.env_info == ({"place": "gpu", "num": gpus} if gpus else {"place": "cpu", "num": 3})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'visualise'; it has .*create_model"):
        _ = paddlex.visualise
    assert set(paddlex.__all__) == set(dir(paddlex))
