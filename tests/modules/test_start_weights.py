"""Where a training begins: the published network, a backbone, a file, or nothing."""

from __future__ import annotations

import dataclasses
import http.server
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.start_weights import find_start_weights
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.utils.errors import WeightsError

SPEC = MODELS["Mask-RT-DETR-S"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with `whole.pdparams` and `backbone.pdparams`."""
    folder = tmp_path / "host"
    folder.mkdir()
    for name in ("whole", "backbone"):
        paddle.save({name: np.ones(2, np.float32)}, str(folder / f"{name}.pdparams"))
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(None, "whole"), ("coco", "whole"), ("imagenet", "backbone"), ("{host}/whole.pdparams", "whole")],
    ids=["default", "coco", "imagenet", "url"],
)
def test_find_start_weights_downloads(host: str, wanted: str | None, expected: str) -> None:
    spec = dataclasses.replace(
        SPEC, weights_url=f"{host}/whole.pdparams", backbone_url=f"{host}/backbone.pdparams"
    )
    start = find_start_weights(wanted and wanted.format(host=host), spec)
    assert not start.from_scratch
    assert list(start.arrays) == [expected]


def test_find_start_weights_none_is_from_scratch() -> None:
    assert find_start_weights("scratch", SPEC).from_scratch
    assert find_start_weights("none", SPEC).from_scratch


def test_find_start_weights_falls_back_loudly_when_nothing_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(logging.getLogger("paddlex"), "propagate", True)
    assert find_start_weights(None, SPEC).from_scratch
    messages = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    # Once each: a logger that a handler was attached to before this test may hand them on twice.
    warnings = list(dict.fromkeys(messages))
    assert warnings[0].startswith("NO PRETRAINED WEIGHTS: https://paddledet.bj.bcebos.com/models/mask_rtdetr")
    assert str(tmp_path / "paddledet.bj.bcebos.com" / "models") in warnings[0]
    assert warnings[1].startswith("TRAINING FROM SCRATCH")


def test_find_start_weights_of_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.pdparams").write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="a web page"):
        find_start_weights(str(tmp_path / "a.pdparams"), SPEC)


def test_own_weights_bring_what_their_network_was_built_with(tmp_path: Path) -> None:
    paddle.save({"weight": np.ones(2, np.float32)}, str(tmp_path / "model.pdparams"))
    built_with = {"channels": {"backbone.stem.weight": [12, None, None, None]}}
    info = ModelInfo(
        model_name=SPEC.name, class_names=("nut",), category_ids=(1,), input_size=None, network=built_with
    )
    write_model_info(tmp_path / "model.pdparams", info)
    assert find_start_weights(str(tmp_path / "model.pdparams"), SPEC).network == built_with
    # Of another model they are weights like any.
    write_model_info(tmp_path / "model.pdparams", dataclasses.replace(info, model_name="SOLOv2"))
    assert find_start_weights(str(tmp_path / "model.pdparams"), SPEC).network == {}
