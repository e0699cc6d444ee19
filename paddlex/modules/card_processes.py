"""Training on several cards: one process for each, which end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import paddlex
from paddlex.utils.device import Device
from paddlex.utils.logging import logger

__all__ = ["in_card_process", "run_on_cards"]

_RANK, _COUNT = "PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM"
_POLL_SECONDS = 0.2
# How long the main process may take to record an error that the others met as well.
_GRACE_SECONDS = 15.0


def in_card_process() -> int | None:
    """Number of this process among those of a training on several cards; None if it is not one of them.

    That of `paddle.distributed.launch` counts too: the variables are Paddle's own.
    """
    count = os.environ.get(_COUNT, "1")
    return int(os.environ.get(_RANK, "0")) if count.isdigit() and int(count) > 1 else None


def run_on_cards(arguments: Sequence[str], *, device: Device, output_dir: Path) -> int:
    """Run `python -m paddlex` with these arguments once for each card and wait for the end.

    The first process, the main one, writes to this terminal; number k writes to `train_card_<k>.log`. When
    one fails the others are ended. SIGTERM is passed on to the main one, which stops all after the step.

    Args:
        arguments: of the command line.
        device: its cards, at least two.
        output_dir: gets the logs.

    Returns:
        The exit code of the main process, or of the first that failed.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    logger.info("training in %d processes, one for each of %s", len(device.ids), device)
    with contextlib.ExitStack() as stack:
        processes = [
            _start(arguments, environment, log=_open_log(stack, output_dir, number))
            for number, environment in enumerate(_environments(device))
        ]
        stack.enter_context(_passing_on_sigterm(processes[0]))
        return _wait(processes, output_dir)


def _open_log(stack: contextlib.ExitStack, folder: Path, number: int) -> IO[bytes] | None:
    return stack.enter_context((folder / f"train_card_{number}.log").open("wb")) if number else None


def _environments(device: Device) -> list[dict[str, str]]:
    """Variables that Paddle reads, for each process."""
    ports = _free_ports(len(device.ids) + 1)
    endpoints = [f"127.0.0.1:{port}" for port in ports[1:]]
    # The package is found by the processes as it was by this one, installed or not.
    search = [str(Path(paddlex.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    common = {
        **os.environ,
        _COUNT: str(len(device.ids)),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
        "PADDLE_MASTER": f"127.0.0.1:{ports[0]}",
        "PYTHONPATH": os.pathsep.join(filter(None, search)),
    }
    return [
        {
            **common,
            _RANK: str(number),
            "PADDLE_CURRENT_ENDPOINT": endpoint,
            f"FLAGS_selected_{device.type}s": str(card),
        }
        for number, (endpoint, card) in enumerate(zip(endpoints, device.ids, strict=True))
    ]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _start(
    arguments: Sequence[str], environment: dict[str, str], *, log: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "paddlex", *arguments], env=environment, stdout=log, stderr=log
    )


def _wait(processes: list[subprocess.Popen[bytes]], output_dir: Path) -> int:
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the processes got it too, and stop after the step
                codes = [process.poll() for process in processes]
                failed = [number for number, code in enumerate(codes) if code]
                if failed:
                    return _end_after(failed[0], processes, output_dir)
                if all(code == 0 for code in codes):
                    return 0
                time.sleep(_POLL_SECONDS)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _end_after(number: int, processes: list[subprocess.Popen[bytes]], output_dir: Path) -> int:
    """Let the main process say what is wrong, if it meets the same error; return the exit code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        processes[0].wait(_GRACE_SECONDS)
    if processes[0].poll():
        return int(processes[0].returncode)
    code = int(processes[number].returncode)
    logger.error(
        "process %d of the training ended with code %d; see %s",
        number,
        code,
        output_dir / f"train_card_{number}.log",
    )
    return code


@contextlib.contextmanager
def _passing_on_sigterm(process: subprocess.Popen[bytes]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
