"""Device strings."""

from __future__ import annotations

import pytest

from paddlex.utils.device import Device, parse_device
from paddlex.utils.errors import DeviceError


@pytest.mark.parametrize(
    ("text", "device", "first"),
    [
        ("cpu", Device("cpu"), "cpu"),
        ("GPU", Device("gpu"), "gpu"),
        ("gpu:0", Device("gpu", (0,)), "gpu:0"),
        ("gpu:2, 3", Device("gpu", (2, 3)), "gpu:2"),
        ("npu:1", Device("npu", (1,)), "npu:1"),
        ("cpu:0", Device("cpu"), "cpu"),
        ("cpu:0,1", Device("cpu", (0, 1)), "cpu"),
    ],
)
def test_device_is_parsed(text: str, device: Device, first: str) -> None:
    assert parse_device(text) == device
    assert parse_device(text).first == first


@pytest.mark.parametrize("text", ["tpu:0", "gpu:a", "gpu:", "gpu:0:1", "gpu:0,0", "gpu:-1", ""])
def test_bad_device_is_one_clear_line(text: str) -> None:
    with pytest.raises(DeviceError) as caught:
        parse_device(text)
    assert "\n" not in str(caught.value)
