"""Device strings: `cpu`, `gpu`, `gpu:0`, `gpu:0,1`; also `xpu`, `npu`, `mlu`.

`cpu:0,1` asks for two processes on the CPU, which is how training on several cards is tried without a card.
"""

from __future__ import annotations

from dataclasses import dataclass

from paddlex.utils.errors import DeviceError

__all__ = ["DEVICE_TYPES", "Device", "parse_device"]

DEVICE_TYPES = ("cpu", "gpu", "xpu", "npu", "mlu", "dcu")


@dataclass(frozen=True)
class Device:
    """A device type and the ids of the cards to use.

    Attributes:
        type: one of `DEVICE_TYPES`.
        ids: card numbers, or those of processes on the CPU; empty means the first free card, or the CPU.
    """

    type: str
    ids: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.type + (":" + ",".join(map(str, self.ids)) if self.ids else "")

    @property
    def first(self) -> str:
        """The string of the first card only, as `paddle.device.set_device` takes it."""
        return self.type if not self.ids or self.type == "cpu" else f"{self.type}:{self.ids[0]}"

    def each(self) -> tuple[Device, ...]:
        """The cards one by one, one for each process of a training."""
        return tuple(Device(self.type, (number,)) for number in self.ids) or (self,)


def parse_device(text: str) -> Device:
    """Parse a device string.

    Raises:
        DeviceError: naming the part that is wrong.
    """
    kind, colon, rest = text.strip().partition(":")
    kind = kind.lower()
    if kind not in DEVICE_TYPES:
        raise DeviceError(
            f"device {text!r}: unknown type {kind!r}; expected one of {', '.join(DEVICE_TYPES)}"
        )
    if not colon:
        return Device(kind)
    ids = [part.strip() for part in rest.split(",")]
    if not all(part.isdigit() for part in ids):
        raise DeviceError(f"device {text!r}: card numbers must be integers, as in 'gpu:0' or 'gpu:0,1'")
    if len(set(ids)) != len(ids):
        raise DeviceError(f"device {text!r}: a card is named twice")
    if kind == "cpu" and len(ids) == 1:
        return Device("cpu")
    return Device(kind, tuple(map(int, ids)))
