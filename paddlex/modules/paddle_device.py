"""Choosing the device that Paddle computes on."""

from __future__ import annotations

import os

import paddle

from paddlex.training import distributed
from paddlex.utils.device import Device, parse_device
from paddlex.utils.errors import DeviceError
from paddlex.utils.logging import logger

__all__ = ["environment", "use_device"]


def environment() -> dict[str, str | int]:
    """What Paddle can compute on: {"place": "gpu" or "cpu", "num": GPUs, or `CPU_NUM` for the CPU}."""
    if paddle.is_compiled_with_cuda() and (count := paddle.device.cuda.device_count()):
        return {"place": "gpu", "num": count}
    number = os.environ.get("CPU_NUM", "")
    return {"place": "cpu", "num": int(number) if number.isdecimal() and int(number) else 1}


def use_device(text: str | None) -> Device:
    """Make Paddle compute on a device.

    Args:
        text: `cpu`, `gpu`, `gpu:0`, ...; None takes the first GPU if there is one.

    Returns:
        The one card, or the CPU, that is used.

    Raises:
        DeviceError: if it is not there.
    """
    device = _best_device() if text is None else parse_device(text)
    if device.type == "gpu":
        _require_gpu(device)
    cards = device.each()
    if len(cards) > 1:
        # Of a training on several cards, each process has its own; see `card_processes`.
        number = distributed.rank() if distributed.world_size() > 1 else 0
        if distributed.world_size() == 1:
            logger.warning("device %s: this process computes on %s alone", device, device.first)
        device = cards[number]
    try:
        paddle.set_device(device.first)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise DeviceError(f"device {device}: not usable with this Paddle ({reason}); use cpu") from error
    return device


def _best_device() -> Device:
    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count():
        return Device("gpu", (0,))
    return Device("cpu")


def _require_gpu(device: Device) -> None:
    if not paddle.is_compiled_with_cuda():
        raise DeviceError(
            f"device {device}: the installed Paddle computes on the CPU only; install paddlepaddle-gpu, "
            "or use cpu"
        )
    count = paddle.device.cuda.device_count()
    absent = [number for number in device.ids if number >= count]
    if absent or not count:
        raise DeviceError(f"device {device}: {count} GPU(s) found, numbered from 0; use one of them, or cpu")
