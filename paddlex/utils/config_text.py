"""YAML and `dotted.path=value` texts to plain Python values: parsed, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from paddlex.utils.errors import ConfigError, UsageError
from paddlex.utils.files import read_text

__all__ = ["apply_override", "flatten", "load_yaml", "parse_override", "parse_scalar"]

_MAX_ALIASES = 100


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars people mean (YAML 1.2 core).

    YAML 1.1 reads `off` as False, `0010` as 8, `12:30` as 750 and `1e-4` as text; none of that is wanted.
    Keys that stand twice and expansion bombs are refused.
    """

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 (signature of PyYAML)
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MAX_ALIASES:
                raise yaml.YAMLError(f"more than {_MAX_ALIASES} aliases; write the values out")
        return super().compose_node(parent, index)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401
        seen = set()
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if isinstance(name, str) and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name!r} stands twice", key.start_mark
                )
            seen.add(name if isinstance(name, str) else None)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|INF)|\.(nan|NAN)",
     "-+0123456789."),
    ("null", r"~|null|Null|NULL|None|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: naming file, line and column of the fault.
    """
    text = read_text(path)
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise ConfigError(f"{path}: not valid YAML at {place}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: found {type(content).__name__}, expected sections such as `Global:`")
    return content


def parse_scalar(text: str) -> Any:  # noqa: ANN401 (any YAML value)
    """The value that `text` stands for: number, true/false, null, [list], {mapping}, else the text itself."""
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text
    # `a: b` is YAML for a mapping; on the command line it is a path or a sentence.
    if isinstance(value, dict) and not text.lstrip().startswith("{"):
        return text
    # A comment, a date or a tag would silently lose characters.
    if isinstance(value, (str, type(None))) and text.strip().strip("'\"") != (value or ""):
        return None if value is None and "#" not in text else text
    return value


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split `a.b.0=value` at the first `=`.

    Raises:
        UsageError: without `=`, or with an empty path.
    """
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise UsageError(f"-o {text}: expected Section.key=value, for example -o Train.epochs_iters=20")
    return keys, parse_scalar(value)


def apply_override(content: dict[str, Any], keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
    """Set `content[keys...]` in place; missing sections are made.

    A numeric key indexes a list; the list's length appends.

    Raises:
        ConfigError: descending into a scalar, or an index outside its list.
    """
    place: Any = content
    for depth, key in enumerate(keys):
        path, last = ".".join(keys[: depth + 1]), depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) > len(place):
                problem = f"{path}: found index {key!r} of a list with {len(place)} items"
                raise ConfigError("override cannot be applied:", [problem])
            index: Any = int(key)
            if index == len(place):
                place.append({})
        elif isinstance(place, dict):
            index = key
            if not last and place.get(key) is None:
                place[key] = {}
        else:
            parent = ".".join(keys[:depth])
            raise ConfigError("override cannot be applied:", [f"{path}: {parent} is a value, not a section"])
        if last:
            place[index] = value
        else:
            place = place[index]


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted path: value} of every leaf."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            leaves.update(flatten(value, f"{path}."))
        else:
            leaves[path] = value
    return leaves
