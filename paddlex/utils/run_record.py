"""How a run ended: an exit code, and a result file for whatever started it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paddlex.utils.errors import PaddleXError, UsageError
from paddlex.utils.files import write_json
from paddlex.utils.logging import logger

__all__ = [
    "EXIT_FAILURE",
    "EXIT_INTERRUPTED",
    "EXIT_SUCCESS",
    "EXIT_USAGE",
    "record_failure",
    "run_recorded",
]

EXIT_SUCCESS, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2
# 128 + SIGINT, as shells have it.
EXIT_INTERRUPTED = 130


def run_recorded(result_file: Path, work: Callable[[], dict[str, Any]]) -> int:
    """Call `work`; leave its fields or its error in `result_file`.

    Returns:
        The exit code.
    """
    try:
        # A result of an earlier run must not be mistaken for this one's.
        result_file.unlink(missing_ok=True)
        fields = work()
        write_json(result_file, {"done_flag": True, **fields})
    except PaddleXError as error:
        logger.error("%s", error)
        record_failure(result_file, error)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    except OSError as error:
        # Permissions, a full disk, a folder in a file's place: the user's to mend, and named by the system.
        logger.error("%s", error)
        logger.debug("%s", traceback.format_exc())
        record_failure(result_file, error)
        return EXIT_FAILURE
    except KeyboardInterrupt as error:
        logger.error("interrupted")
        record_failure(result_file, error)
        return EXIT_INTERRUPTED
    except Exception as error:
        record_failure(result_file, error)
        raise
    return EXIT_SUCCESS


def record_failure(result_file: Path, error: BaseException) -> None:
    """Write what went wrong, with the `report` that the error brings along, if any."""
    report = getattr(error, "report", {})
    failure = {"done_flag": False, **report, "err_type": str(type(error)), "err_msg": str(error)}
    try:
        write_json(result_file, failure)
    except OSError as problem:
        logger.error("%s: the result file cannot be written (%s)", result_file, problem)
