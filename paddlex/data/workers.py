"""Processes that do one kind of job on numbered tasks and hand the results back in order.

Workers are fresh interpreters (`spawn`), on every system alike: a fork of a process that has run OpenMP,
OpenCV or CUDA threads can hang, and a fork keeps the parent's GPU context alive. The caller's `__main__` is
not imported again, so scripts need no `if __name__ == "__main__"` guard.

A worker that dies is noticed by its sentinel and reported with what it was doing; nothing waits for it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import sys
import traceback
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import cv2

from paddlex.utils.errors import DatasetError, PaddleXError
from paddlex.utils.logging import logger

__all__ = ["Job", "WorkerPool"]

# Tasks a worker holds: one at work and one waiting, so that it never idles.
_TASKS_PER_WORKER = 2
# Arrays below this many bytes travel inside the message.
_OUT_OF_BAND_BYTES = 1 << 16
_SLOW_SECONDS = 60.0
_CLOSE_SECONDS = 2.0


class Job(Protocol):
    """What workers do; must be picklable."""

    def __call__(self, task: Any, /) -> Any:  # noqa: ANN401 (any picklable task and result)
        """Do one task."""
        ...

    def describe(self, task: Any, /) -> str:  # noqa: ANN401
        """Name what a task works on, for messages."""
        ...


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    connection: Connection
    assigned: deque[tuple[int, Any]] = field(default_factory=deque)


@dataclass
class _Failure:
    error: Exception
    text: str


class _WorkerTracebackError(Exception):
    """The traceback of an error that happened in a worker, shown as its cause."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class WorkerPool:
    """A fixed number of worker processes; they start with the first `run` and stay for the next.

    Args:
        job: the work; it is pickled once and sent to every worker.
        count: processes, at least one.
    """

    def __init__(self, job: Job, *, count: int) -> None:
        self._job, self._count = job, count
        self._workers: list[_Worker] = []
        self._last_ticket = -1
        self._close: Callable[[], object] = lambda: None

    def run(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of each task in order; at most `2 * count` are under way or waiting.

        Raises:
            DatasetError: if a worker died.
            Exception: what the job raised.
        """
        if not self._workers:
            self._start()
        remaining = iter(tasks)
        wanted: deque[int] = deque()
        results: dict[int, Any] = {}
        while True:
            self._top_up(remaining, wanted)
            if not wanted:
                return
            while wanted[0] not in results:
                for ticket, outcome in self._receive():
                    if ticket in wanted:  # others belong to a run that its caller left early
                        results[ticket] = outcome
            yield self._unwrap(results.pop(wanted.popleft()))

    def close(self) -> None:
        """End the workers."""
        self._close()
        self._workers = []

    # ---------------------------------------------------------------- steps

    def _start(self) -> None:
        payload = pickle.dumps(self._job, protocol=5)
        context = multiprocessing.get_context("spawn")
        # What the caller's own script defines can only be found by importing that script in the worker.
        hidden = contextlib.nullcontext() if b"__main__" in payload else _main_module_hidden()
        with hidden:
            for number in range(self._count):
                ours, theirs = context.Pipe()
                name = f"paddlex-loader-{number}"
                process = context.Process(target=_work, args=(theirs,), name=name, daemon=True)
                process.start()
                theirs.close()
                self._workers.append(_Worker(number, process, ours))
        self._close = weakref.finalize(self, _end, self._workers)
        for worker in self._workers:
            with self._watched(worker):
                worker.connection.send_bytes(payload)

    def _top_up(self, remaining: Iterator[Any], wanted: deque[int]) -> None:
        for _ in range(_TASKS_PER_WORKER):
            for worker in sorted(self._workers, key=lambda worker: len(worker.assigned)):
                room = len(wanted) < _TASKS_PER_WORKER * self._count
                if not room or len(worker.assigned) >= _TASKS_PER_WORKER:
                    continue
                task = next(remaining, None)
                if task is None:
                    return
                self._last_ticket += 1
                worker.assigned.append((self._last_ticket, task))
                wanted.append(self._last_ticket)
                with self._watched(worker):
                    worker.connection.send((self._last_ticket, task))

    def _receive(self) -> Iterator[tuple[int, Any]]:
        """Wait for at least one message, or for the end of a worker."""
        sources: list[Any] = [worker.connection for worker in self._workers]
        ready = wait(sources + [worker.process.sentinel for worker in self._workers], timeout=_SLOW_SECONDS)
        if not ready:
            busy = "; ".join(self._job.describe(w.assigned[0][1]) for w in self._workers if w.assigned)
            logger.warning("no batch for %d seconds; workers are at: %s", _SLOW_SECONDS, busy)
        for worker in self._workers:
            if worker.connection in ready:
                with self._watched(worker):
                    ticket, outcome = _receive_message(worker.connection)
                worker.assigned.popleft()
                yield ticket, outcome
            elif worker.process.sentinel in ready:
                raise self._death(worker)

    def _unwrap(self, outcome: Any) -> Any:  # noqa: ANN401
        if not isinstance(outcome, _Failure):
            return outcome
        if isinstance(outcome.error, PaddleXError):
            raise outcome.error
        raise outcome.error from _WorkerTracebackError(outcome.text)

    @contextlib.contextmanager
    def _watched(self, worker: _Worker) -> Iterator[None]:
        """Turn a broken pipe into the report of the worker's death."""
        try:
            yield
        except (EOFError, OSError):
            raise self._death(worker) from None

    def _death(self, worker: _Worker) -> DatasetError:
        worker.process.join(_CLOSE_SECONDS)
        how = _how_it_ended(worker.process.exitcode)
        at = self._job.describe(worker.assigned[0][1]) if worker.assigned else "nothing yet"
        self.close()
        return DatasetError(
            f"data loading worker {worker.number} {how} while preparing {at}; often memory ran out: "
            "free some, use a smaller batch_size or fewer num_workers (0 loads without workers)"
        )


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is None:
        return "stopped answering"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    try:
        return f"was ended by signal {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was ended by signal {-exitcode}"


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.connection.close()  # a worker that waits for a task, or writes a result, ends by this
    for worker in workers:
        worker.process.join(_CLOSE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Let `spawn` see a `__main__` without file, which it does not import again in the child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


# ---------------------------------------------------------------- in the worker


def _work(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    cv2.setNumThreads(1)  # the workers are the parallelism
    with contextlib.suppress(EOFError, OSError):  # the parent is gone or has closed the pool
        job: Job = pickle.loads(connection.recv_bytes())
        while True:
            ticket, task = connection.recv()
            try:
                outcome = job(task)
            except Exception as error:  # crosses to the parent, which raises it
                outcome = _Failure(_picklable(error), traceback.format_exc())
            _send_message(connection, (ticket, outcome))


def _picklable(error: Exception) -> Exception:
    """`error` itself if it survives pickling, else its text in the nearest kind."""
    with contextlib.suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return error
    kind = PaddleXError if isinstance(error, PaddleXError) else RuntimeError
    return kind(f"{error}")


def _send_message(connection: Connection, message: Any) -> None:  # noqa: ANN401
    """Send with large arrays beside the pickle, which spares a copy of each."""
    buffers: list[pickle.PickleBuffer] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        inside = buffer.raw().nbytes < _OUT_OF_BAND_BYTES
        if not inside:
            buffers.append(buffer)
        return inside

    payload = pickle.dumps(message, protocol=5, buffer_callback=keep_inside)
    connection.send_bytes(len(buffers).to_bytes(4, "little"))
    connection.send_bytes(payload)
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def _receive_message(connection: Connection) -> Any:  # noqa: ANN401
    count = int.from_bytes(connection.recv_bytes(), "little")
    payload = connection.recv_bytes()
    return pickle.loads(payload, buffers=[connection.recv_bytes() for _ in range(count)])
