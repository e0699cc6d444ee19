"""Every error that a user can mend, in one tree.

A message is one line that gives the place, what was found, what was expected and the remedy. The command
line prints it without a traceback; anything that is not a `PaddleXError` is our bug and keeps its traceback.

    PaddleXError
    ├── UsageError                 command line misused (exit code 2)
    ├── ConfigError                YAML or override wrong; carries every problem
    ├── DeviceError                device string unknown, or device absent
    ├── FileFormatError            a file is not what it should be
    ├── ImageReadError             a photo cannot be decoded
    ├── DatasetError
    │   ├── CheckFailedError       the check found errors; carries every problem
    │   ├── DatasetFileNotFoundError
    │   ├── ConvertFailedError
    │   └── SplitFailedError
    ├── WeightsError               weights missing, unsafe or not of this network
    ├── DownloadError
    ├── InputError                 input of a prediction, drawing or analysis
    ├── ExportError                export failed or differs from the network
    ├── PruneError                 channels cannot be removed as wished
    ├── TrainingDivergedError      NaN or Inf in a loss
    ├── MissingDependencyError     an optional package is absent
    └── ShapeError                 arrays that do not fit together
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CheckFailedError",
    "ConfigError",
    "ConvertFailedError",
    "DatasetError",
    "DatasetFileNotFoundError",
    "DeviceError",
    "DownloadError",
    "ExportError",
    "FileFormatError",
    "ImageReadError",
    "InputError",
    "MissingDependencyError",
    "PaddleXError",
    "PruneError",
    "ShapeError",
    "SplitFailedError",
    "TrainingDivergedError",
    "UsageError",
    "WeightsError",
]


class PaddleXError(Exception):
    """Base of all errors that a user can mend."""


class UsageError(PaddleXError):
    """The command line was misused."""


class _ProblemsError(PaddleXError):
    """An error that reports several problems at once.

    Args:
        message: what failed, one line.
        problems: one line each.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))


class ConfigError(_ProblemsError):
    """The configuration is wrong; `problems` lists every fault found."""


class DeviceError(PaddleXError):
    """The device string is unknown or the device is absent."""


class FileFormatError(PaddleXError):
    """A file cannot be parsed as what it should be."""


class ImageReadError(PaddleXError):
    """A photo is missing, truncated, no image at all, or absurdly large."""


class DatasetError(PaddleXError):
    """A data set cannot be used."""


class CheckFailedError(_ProblemsError, DatasetError):
    """The data set check found errors; `problems` lists them all.

    Attributes:
        report: fields of the result JSON gathered before the failure.
    """

    def __init__(
        self, message: str, problems: Sequence[str] = (), *, report: dict[str, object] | None = None
    ) -> None:
        super().__init__(message, problems)
        self.report = report or {}


class DatasetFileNotFoundError(DatasetError):
    """A file or folder that the data set needs does not exist."""


class ConvertFailedError(_ProblemsError, DatasetError):
    """Annotations could not be converted; the folder is as it was. `problems` lists every fault found."""


class SplitFailedError(DatasetError):
    """The data set could not be split; the folder is as it was."""


class WeightsError(PaddleXError):
    """Weights are missing, unreadable, unsafe or belong to another network."""


class DownloadError(PaddleXError):
    """A file could not be downloaded; the message says where to put it by hand."""


class InputError(PaddleXError):
    """The input of a prediction, drawing or analysis is missing, unreadable or of an unsupported kind."""


class ExportError(PaddleXError):
    """The export failed, or its outputs differ from the network's."""


class PruneError(PaddleXError):
    """Channels cannot be removed as wished, or their sensitivities do not belong to the network."""


class TrainingDivergedError(PaddleXError):
    """A loss became NaN or infinite."""


class ShapeError(PaddleXError):
    """Arrays whose shapes do not fit together."""


class MissingDependencyError(PaddleXError):
    """An optional package is absent.

    Args:
        package: the distribution's name.
        extra: our extra that installs it, or None.
        why: what it is needed for.
    """

    def __init__(self, package: str, *, extra: str | None = None, why: str = "") -> None:
        target = f'"paddlex[{extra}]"' if extra else package
        super().__init__(f"{package} is not installed{f' ({why})' if why else ''}; run: pip install {target}")
