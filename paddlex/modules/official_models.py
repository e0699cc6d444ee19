"""Official inference models: found by name, downloaded once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from paddlex.inference.folder import SETTINGS_FILE
from paddlex.modules.zoo import find_model
from paddlex.utils.download import cache_home, fetch
from paddlex.utils.errors import DownloadError
from paddlex.utils.files import safe_extract
from paddlex.utils.logging import logger

__all__ = ["official_model_folder"]


def official_model_folder(name: str) -> Path:
    """The inference folder of an official model, downloaded at first use.

    Raises:
        UsageError: for an unknown name.
        DownloadError: if it cannot be had; the message says where to put the archive by hand.
        FileFormatError: if the archive is damaged.
    """
    spec = find_model(name)
    folder = cache_home() / "official_models" / spec.name
    if (folder / SETTINGS_FILE).is_file():
        return folder
    archive = fetch(spec.inference_url)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack.", dir=folder.parent) as temporary:
        content = safe_extract(archive, Path(temporary) / "content")
        found = next(iter(sorted(content.rglob(SETTINGS_FILE))), None)
        if found is None:
            raise DownloadError(f"{archive}: holds no {SETTINGS_FILE}; delete it and run again")
        # An unfinished folder of a killed run has no settings file, for that is what makes it count.
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(found.parent, folder)
    logger.info("%s lies in %s", spec.name, folder)
    return folder
