"""The configuration's page in the documentation is complete and true."""

from __future__ import annotations

import json
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import NOTHING, fields, has
from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading.sources import SERVICE_VARIABLES
from nnogw.settings import DEFAULT_ROUTES, Settings
from nnogw.tap import Options
from tests.loading.configurations import problems

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "configuration.rst").read_text(encoding="utf-8")
_TITLE = re.compile(r"^``(\[[^`]+\])``\n~+$", re.MULTILINE)
_TERM = re.compile(r"^``(\w+)``(?:, [a-z ]+)?, (?:default ``(.+)``|required)$", re.MULTILINE)
_TOML = re.compile(r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", re.MULTILINE)


def sections(cls: type, path: str = "", *, listed: bool = False) -> Iterator[tuple[str, type]]:
    """Return the tables that `cls` is made of: their titles on the page, and their classes."""
    if path:
        yield (f"[[{path}]]" if listed else f"[{path}]"), cls
    for name, kind in typing.get_type_hints(cls).items():
        below = f"{path}.{name}".lstrip(".")
        arguments = typing.get_args(kind)
        if has(kind):
            yield from sections(kind, below)
        elif typing.get_origin(kind) is tuple and has(arguments[0]):
            yield from sections(arguments[0], below, listed=True)
        elif typing.get_origin(kind) is Mapping:
            yield from sections(arguments[1], f"{below}.NAME")


def options(cls: type) -> dict[str, str | None]:
    """Return the options of `cls` that are no tables, and their defaults in TOML; None for those without one."""
    kinds = typing.get_type_hints(cls)
    found = {}
    for option in fields(cls):
        if not has(kinds[option.name]) and not any(map(has, typing.get_args(kinds[option.name]))):
            found[option.name] = None if option.default is NOTHING else in_toml(option.default)
    return found


def in_toml(value: Any) -> str:
    """Return `value` as the file would have it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


class ConfigurationPageTests(SynchronousTestCase):
    """Nobody has to read the source to configure the gateway."""

    def test_every_option_is_on_the_page_with_its_default(self) -> None:
        """Under the title of its table, in order; and nothing is that no longer exists."""
        _, *parts = _TITLE.split(PAGE)
        described = {
            title: {name: default or None for name, default in _TERM.findall(text)}
            for title, text in zip(parts[::2], parts[1::2], strict=True)
        }
        self.assertEqual(described, {title: options(cls) for title, cls in sections(Settings)})

    def test_every_option_is_explained(self) -> None:
        """A term alone explains nothing."""
        for term in _TERM.finditer(PAGE):
            self.assertRegex(PAGE[term.end() :], r"\A\n    \S.{20}", term.group())

    def test_every_example_is_a_good_file(self) -> None:
        """With a service key, as in production."""
        examples = _TOML.findall(PAGE)
        self.assertGreater(len(examples), len(list(sections(Settings))))
        for example in examples:
            self.assertEqual(problems(textwrap.dedent(example), {"AUTH_API_KEY": "key"}), [], example)

    def test_every_variable_is_on_the_page(self) -> None:
        """Those of the services, and the others."""
        for pair in SERVICE_VARIABLES.values():
            self.assertIn("   * - ``{}``, ``{}``\n".format(*pair), PAGE)
        for variable in ("AUTH_API_KEY", "AUTH_API_KEY_FILE", "CREDENTIALS_DIRECTORY", "CORS_ORIGINS", "RATE_LIMITER"):
            self.assertIn(f"   * - ``{variable}``\n", PAGE)

    def test_every_option_of_the_command_is_on_the_page(self) -> None:
        """Except those that every command has."""
        ours = {name.rstrip("=") for name in Options().longOpt} - {"version", "help"}
        self.assertEqual(set(re.findall(r"^``--(\w+)", PAGE, re.MULTILINE)), ours)

    def test_the_standard_routes_are_on_the_page(self) -> None:
        """As they are in the settings."""
        self.assertEqual(tuple(re.findall(r"   \* - ``(/api/v1/.+)``\n     - ``(.+)``", PAGE)), DEFAULT_ROUTES)

    def test_the_problems_that_it_shows_are_those_that_are_told(self) -> None:
        """A reader may search for them."""
        toml = """
            [services.billing]
            conect_timeout = 1
            [[routes]]
            prefix = "/api/a"
            service = "iam"
            [[routes]]
            prefix = "/api/b"
            service = "biling"
            """
        lines = problems(toml, {"NNO_IAM_URL": "localhost:8788"})
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertIn("nnogw: " + line.replace("nnogw.toml", "/etc/nnogw/nnogw.toml"), PAGE)
