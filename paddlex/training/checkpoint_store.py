"""Checkpoint folders that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from paddlex.utils.errors import WeightsError
from paddlex.utils.pdparams import read_pickle

__all__ = ["PREVIOUS", "CheckpointStore"]

PREVIOUS = "previous_{number}"
# A folder being written, one being replaced, one being deleted; the dot hides them from people.
_NEW, _OLD, _DELETED = ".new-", ".old-", ".deleted-"
_STATES = ".pdstates"

Writer = Callable[[Path], object]


class CheckpointStore:
    """Folders `<name>/<name>.<suffix>`, or `<name>/<file_stem>.<suffix>`, under the output folder.

    Args:
        folder: the output folder of a run.
        file_stem: of the files of every checkpoint; None: the name of its folder.
    """

    def __init__(self, folder: Path, *, file_stem: str | None = None) -> None:
        self.folder, self.file_stem = folder, file_stem
        folder.mkdir(parents=True, exist_ok=True)
        self._recover()

    def stem(self, name: str) -> Path:
        """Path of a checkpoint's files without suffix."""
        return self.folder / name / (self.file_stem or name)

    def write(self, name: str, writers: Mapping[str, Writer]) -> Path:
        """Write a checkpoint, replacing an older one of that name as a whole.

        Args:
            name: of the folder and its files.
            writers: what writes each file, by file name.

        Returns:
            The stem of its files.
        """
        new = self._scratch(_NEW, name)
        new.mkdir()
        for file_name, write in writers.items():
            path = new / file_name
            write(path)
            _flush(path)
        self._put(new, name)
        return self.stem(name)

    def copy(self, source: str, name: str) -> Path:
        """Make checkpoint `name` hold the files of `source`; they share the disk space where links exist."""
        new = self._scratch(_NEW, name)
        new.mkdir()
        for path in sorted((self.folder / source).iterdir()):
            if path.is_file():
                stem, dot, suffix = path.name.partition(".")
                renamed = stem == source and self.file_stem is None
                _link(path, new / (f"{name}{dot}{suffix}" if renamed else path.name))
        self._put(new, name)
        return self.stem(name)

    def remove(self, name: str) -> None:
        """Delete a checkpoint."""
        if (self.folder / name).is_dir():
            deleted = self._scratch(_DELETED, name)
            (self.folder / name).rename(deleted)
            shutil.rmtree(deleted)

    def names(self) -> list[str]:
        """Names of the checkpoints that are there, whatever their files are called."""
        return sorted({path.parent.name for path in self.folder.glob(f"[!.]*/*{_STATES}")})

    def newest(self) -> Path | None:
        """Stem of the checkpoint with most steps (the best model's copy only when nothing else is left)."""
        found: list[tuple[int, bool, Path]] = []
        for name in self.names():
            try:
                states = read_pickle(Path(f"{self.stem(name)}{_STATES}"))
            except WeightsError:
                continue
            if isinstance(states, dict) and "step" in states:
                found.append((int(states["step"]), name != "best_model", self.stem(name)))
        return max(found)[2] if found else None

    def set_aside(self, *names: str) -> Path | None:
        """Move the checkpoints, and the files or folders `names`, of an earlier run to `previous_<n>`.

        Returns:
            The folder they are in now, or None when there was nothing.
        """
        moved = [self.folder / name for name in (*self.names(), *names) if (self.folder / name).exists()]
        if not moved or not self.names():
            return None
        number = 1
        while (target := self.folder / PREVIOUS.format(number=number)).exists():
            number += 1
        target.mkdir()
        for path in moved:
            path.rename(target / path.name)
        return target

    def _scratch(self, prefix: str, name: str) -> Path:
        path = self.folder / f"{prefix}{name}"
        if path.exists():
            shutil.rmtree(path)
        return path

    def _put(self, new: Path, name: str) -> None:
        target, old = self.folder / name, self._scratch(_OLD, name)
        if target.exists():
            target.rename(old)
        # A kill between these two lines leaves only `old`; `_recover` gives it its name back.
        new.rename(target)
        if old.exists():
            shutil.rmtree(old)

    def _recover(self) -> None:
        for old in self.folder.glob(f"{_OLD}*"):
            target = self.folder / old.name.removeprefix(_OLD)
            if target.exists():
                shutil.rmtree(old)
            else:
                old.rename(target)
        for pattern in (f"{_NEW}*", f"{_DELETED}*"):
            for left in self.folder.glob(pattern):
                shutil.rmtree(left)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
