"""The configuration before it is checked: plain values, where each was said, and what is wrong with them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import Factory, define

#: Where a value stands: keys of tables, and indexes of lists.
Path = tuple[str | int, ...]

_LONGEST = 100  # characters of a value that an error shows
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0, "Keys"
_SECRET = {("auth", "api_key"), ("rate_limit", "store")}  # a store's URL may carry a password


class ConfigurationError(Exception):
    """The gateway cannot start with this configuration.

    Args:
        problems: what is wrong, a line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))


@define
class Document:
    """What the file, the environment and the command line say together.

    Attributes:
        file: the path of the file; empty if there is none.
        values: the tables, as TOML has them.
        sources: for values from elsewhere than the file, the variable or option that they come from.
        problems: what is wrong so far, a line each.
        complete: everything that was to be read could be read, so that what is missing is known to be missing.
    """

    file: str
    values: dict[str, object] = Factory(dict)
    sources: dict[Path, str] = Factory(dict)
    problems: list[str] = Factory(list)
    complete: bool = True

    def get(self, *path: str) -> Any:  # Any: whatever TOML has; that a rule has judged it, mypy does not know
        """Return the value at `path`, or None."""
        value: object = self.values
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def put(self, path: tuple[str, ...], value: object, source: str) -> None:
        """Set the value at `path` to what `source` says; where the file has something else than a table on the way, that is its problem."""
        table = self.values
        for key in path[:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                return
            table = inner
        table[path[-1]] = value
        self.sources[path] = source

    def unexpected(self, path: Path, value: object, expected: str) -> None:
        """Note that `value` is not what was expected."""
        found = "a value that is not shown" if path[:2] in _SECRET and isinstance(value, str) else shown(value)
        self.problem(path, f"found {found}, expected {expected}")

    def problem(self, path: Path, text: str) -> None:
        """Note a problem with what stands at `path`."""
        self.problems.append(f"{self.where(path)}: {text}")

    def where(self, path: Path) -> str:
        """Return where `path` was said: the variable, the option, or the file and the key as it is written there."""
        for length in range(len(path), 0, -1):
            source = self.sources.get(path[:length])
            if source is not None:
                return source + "".join(f" #{index + 1}" for index in path[length:] if isinstance(index, int))
        return f"{shown_path(self.file)}: {_key(path)}"


def shown(value: object) -> str:
    """Return `value` as an error shows it: on one line, short, and without the password of a URL."""
    if isinstance(value, str):
        if "@" in value:
            return "a value with an @, which is not shown"
        text = json.dumps(value)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + '…"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_LONGEST else "a number of more than a hundred digits"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else "a date or time"


def shown_path(path: str) -> str:
    """Return the path of a file on one line."""
    return path if path.isprintable() and path else json.dumps(path)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the known name that is nearest to `name` as a question, or all that there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"


def _key(path: Path) -> str:
    """Return `path` as the file has it: ``[services.billing] url``, ``[[routes]] #2 prefix``, ``[server] listen #1``."""
    names = [str(name) if isinstance(name, int) or _BARE_KEY.fullmatch(name) else json.dumps(name) for name in path]
    for position, index in enumerate(path):
        if isinstance(index, int):
            if position + 1 < len(path):
                return f"[[{'.'.join(names[:position])}]] #{index + 1} {names[-1]}"
            return f"{_key(path[:position])} #{index + 1}"
    *tables, last = names
    return f"[{'.'.join(tables)}] {last}" if tables else last
