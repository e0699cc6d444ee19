"""`model.yml`: what a saved folder says of its model, in the layout of PaddleX 2.

best_model/
model.pdparams       weights
model.pdopt          optimiser, of checkpoints
model.pdstates       what else a resumed run needs, of checkpoints
model_info.json      what the command line needs to evaluate and export the weights
model.yml            what `load_model` needs
eval_details.json    what the evaluation found, if there was one
.success             written last: the folder is complete
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from paddlex.utils.errors import FileFormatError, InputError
from paddlex.utils.files import write_text

__all__ = ["DESCRIPTION", "WEIGHTS", "read_description", "write_description"]

DESCRIPTION, WEIGHTS = "model.yml", "model.pdparams"
# Of the layout; files of PaddleX 1 are of another.
_LAYOUT_VERSION = "2.1.0"
_SUCCESS = ".success"
_NEEDED = ("version", "Model", "_init_params", "_Attributes", "status")


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that also knows the two Python types in files of PaddleX 2; nothing is executed."""


def _tuple(loader: yaml.SafeLoader, node: yaml.Node) -> tuple[Any, ...]:
    assert isinstance(node, yaml.SequenceNode)
    return tuple(loader.construct_sequence(node, deep=True))


def _ordered_dict(loader: yaml.SafeLoader, node: yaml.Node) -> OrderedDict[Any, Any]:
    assert isinstance(node, yaml.SequenceNode)
    content = loader.construct_sequence(node, deep=True)
    return OrderedDict(content[0] if content else ())


_PlainLoader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
_PlainLoader.add_constructor("tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered_dict)


def write_description(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `model.yml` and, after it, the mark of a complete folder.

    Args:
        folder: holds the weights.
        content: plain data without the version.
    """
    text = yaml.safe_dump({"version": _LAYOUT_VERSION, **content}, sort_keys=False, allow_unicode=True)
    write_text(folder / DESCRIPTION, text)
    write_text(folder / _SUCCESS, "")


def read_description(folder: Path) -> dict[str, Any]:
    """Read `model.yml`.

    Raises:
        InputError: if the folder is no saved model, or one of PaddleX 1.
        FileFormatError: if the file is damaged, or asks for Python objects.
    """
    path = folder / DESCRIPTION
    if not path.is_file() and (folder / "model_info.json").is_file():
        raise InputError(
            f"{folder}: weights that the command line has trained; predict with "
            f"paddlex.create_model({str(folder / 'inference')!r}), or give the .pdparams file as "
            "pretrain_weights"
        )
    if not path.is_file():
        raise InputError(
            f"{folder}: holds no {DESCRIPTION}; expected a folder that `train` or `save_model` has written, "
            "such as output/best_model"
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)
    except (yaml.YAMLError, UnicodeDecodeError, AssertionError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path}: cannot be read ({reason}); save the model again") from error
    missing = [key for key in _NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise FileFormatError(f"{path}: lacks {', '.join(missing)}; save the model again")
    version = str(content["version"])
    if not version[:1].isdigit() or int(version.split(".")[0]) < 2:
        raise InputError(f"{path}: of version {version}; models of PaddleX 1 cannot be read: train anew")
    return dict(content)
