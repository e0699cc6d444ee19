"""Split photos and masks into training and validation anew, reproducibly and without losing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from paddlex.data.checks.masks import scan_masks
from paddlex.data.formats.pair_list import format_pairs, read_class_names, read_pair_list
from paddlex.data.formats.staging import StagedFiles
from paddlex.data.splitting import SplitSummary, divide, require_folder, require_percents
from paddlex.utils.errors import FileFormatError, SplitFailedError

__all__ = ["split_semantic_dataset"]

_LISTS = ("train.txt", "val.txt")


def split_semantic_dataset(
    dataset_dir: Path, *, train_percent: float, val_percent: float, seed: int = 0, num_workers: int = 4
) -> SplitSummary:
    """Pool `train.txt` and `val.txt` and split the pool anew, in place.

    - A photo that is listed several times is listed once.
    - Both sides get at least one photo; validation gets all that training does not.
    - Photos are drawn at random, then exchanged until every class that two photos show is on both sides,
      as far as that is possible.
    - The first originals stay as `train.txt.bak` and `val.txt.bak`.

    Args:
        dataset_dir: holds the lists; one of the two may be missing.
        train_percent: share of the photos for training.
        val_percent: the rest, up to 100.
        seed: chooses the photos.
        num_workers: threads that read masks.

    Raises:
        SplitFailedError: bad percents, unusable lists, or fewer than 2 photos. The folder is as it was.
        DatasetFileNotFoundError: if `dataset_dir` is no folder.
    """
    train_percent, _ = require_percents(train_percent, val_percent)
    require_folder(dataset_dir)
    pool = _pool(dataset_dir)
    masks = scan_masks(dataset_dir, pool.values(), num_workers=num_workers)
    photos = list(pool)
    # A mask that cannot be read shows no class here; the check that follows tells what is wrong with it.
    classes = [masks[pool[photo]].labels for photo in photos]
    sides, one_sided = divide(classes, train_percent=train_percent, seed=seed, where=dataset_dir)
    _write(dataset_dir, [[(photos[i], pool[photos[i]]) for i in side] for side in sides])
    names = _class_names(dataset_dir)
    lacking = tuple(names.get(c, f"class {c}") for c in sorted(one_sided))
    return SplitSummary(len(sides[0]), len(sides[1]), lacking)


def _pool(dataset_dir: Path) -> dict[str, str]:
    """Mask of every listed photo."""
    present = [name for name in _LISTS if (dataset_dir / name).is_file()]
    if not present:
        raise SplitFailedError(f"{dataset_dir}: neither {' nor '.join(_LISTS)}; put one there")
    pool: dict[str, str] = {}
    for name in present:
        try:
            listed = read_pair_list(dataset_dir, name)
        except FileFormatError as error:
            raise SplitFailedError(f"cannot split: {error}") from error
        if listed.faults:
            raise SplitFailedError(
                f"cannot split: {dataset_dir / name}, {listed.faults[0]}; correct or remove the line"
            )
        for pair in listed.pairs:
            if pool.setdefault(pair.image, pair.mask) != pair.mask:
                raise SplitFailedError(
                    f"cannot split: {dataset_dir / name}, line {pair.line}: {pair.image} was listed before "
                    "with another mask; keep the line whose mask is right"
                )
    return pool


def _class_names(dataset_dir: Path) -> Mapping[int, str]:
    try:
        found = read_class_names(dataset_dir)
    except FileFormatError:
        return {}  # the check tells
    return dict(enumerate(found[0])) if found else {}


def _write(dataset_dir: Path, sides: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Replace both lists, or neither."""
    try:
        with StagedFiles(dataset_dir) as staged:
            for name, pairs in zip(_LISTS, sides, strict=True):
                staged.add_text(format_pairs(pairs), dataset_dir / name)
            staged.commit()
    except OSError as error:
        reason = error.strerror or error
        raise SplitFailedError(f"{dataset_dir}: cannot be written ({reason}); nothing was changed") from error
