"""Several files of a user's folder replaced together: all of them or none."""

from __future__ import annotations

import contextlib
import filecmp
import functools
import itertools
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from paddlex.utils.files import write_json, write_text

__all__ = ["StagedFiles"]


class StagedFiles:
    """New contents gathered beside their targets, then put in place by `commit`.

    A context manager: on leaving, whatever was not committed is gone. What `commit` replaces stays as `.bak`,
    where the first backup, the true original, is never overwritten. When one file cannot be put in place, all
    are taken back; a process killed meanwhile leaves each single file either old or new.

    Args:
        root: folder of the targets; the staging folder is made in it, so that renaming stays on one disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[Path, Path] = {}
        self._numbers = itertools.count()  # `next` is atomic: worker threads ask too

    def __enter__(self) -> StagedFiles:
        self._folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=self._root))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_path(self) -> Path:
        """A fresh path in the staging folder."""
        return self._folder / str(next(self._numbers))

    def add(self, source: Path, target: Path) -> Path:
        """Let `target` become a copy of `source`; a source that is itself staged is moved.

        Returns:
            Where the content lies until `commit`.
        """
        staged = source
        if source.parent != self._folder:
            staged = self.new_path()
            shutil.copy2(source, staged)
        self._files[target] = staged
        return staged

    def add_text(self, text: str, target: Path) -> None:
        """Let `target` hold UTF-8 text."""
        self._files[target] = self.new_path()
        write_text(self._files[target], text)

    def add_json(self, content: Any, target: Path) -> None:  # noqa: ANN401 (any JSON)
        """Let `target` hold JSON on one line."""
        self._files[target] = self.new_path()
        write_json(self._files[target], content, indent=None)

    def commit(self) -> None:
        """Put everything in place.

        Raises:
            OSError: if a file cannot be; then the folder is as it was.
        """
        with contextlib.ExitStack() as undo:
            for target, staged in self._files.items():
                self._place(staged, target, undo)
            undo.pop_all()

    def _place(self, staged: Path, target: Path, undo: contextlib.ExitStack) -> None:
        missing = [folder for folder in target.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            undo.callback(folder.rmdir)
        if not target.exists():
            undo.callback(target.unlink, missing_ok=True)
        elif filecmp.cmp(staged, target, shallow=False):
            return
        else:
            previous = self.new_path()
            shutil.copy2(target, previous)
            self._back_up(previous, target, undo)
            undo.callback(functools.partial(previous.replace, target))
        staged.replace(target)

    def _back_up(self, previous: Path, target: Path, undo: contextlib.ExitStack) -> None:
        backup = target.with_name(target.name + ".bak")
        if backup.exists():
            return
        copy = self.new_path()
        shutil.copy2(previous, copy)
        undo.callback(backup.unlink, missing_ok=True)
        copy.replace(backup)
