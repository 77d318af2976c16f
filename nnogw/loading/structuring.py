"""From plain values to the classes of `nnogw.settings`, strictly: no unknown key, no conversion of one type into another."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
from cattrs import Converter
from cattrs.errors import (
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from nnogw.loading.document import Document, Path, did_you_mean
from nnogw.loading.rules import RULES
from nnogw.loading.values import Rule, name
from nnogw.settings import SERVICE_NAMES, ServiceSettings, Settings

T = TypeVar("T")
R = TypeVar("R")

#: Takes a plain value and returns the value of an option, or raises.
Structure = Callable[[object], object]


class Unexpected(Exception):
    """A value is not what its option expects.

    Args:
        value: what was found.
        expected: what was expected.
    """

    def __init__(self, value: object, expected: str) -> None:
        super().__init__(expected)
        self.value = value
        self.expected = expected


class WrongBrackets(Unexpected):
    """A value is not the table, or not the list of tables, that its place expects; how they are written follows from the place.

    Args:
        value: what was found.
        expected: what was expected; ``{}`` stands for the names of the tables.
    """

    def at(self, path: Path) -> str:
        """Return what was expected at `path`."""
        return self.expected.format(".".join(str(name) for name in path if not isinstance(name, int)))


def structure(document: Document) -> Settings | None:
    """Return the settings that `document` describes; None if there are problems, which are noted in it."""
    try:
        return _converter.structure(document.values, Settings)
    except BaseValidationError as error:
        _note_problems(document, error, ())
        return None


def _note_problems(document: Document, error: Exception, path: Path) -> None:
    """Walk cattrs' tree of errors; its notes tell the way."""
    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        for inner, note in noted:
            if isinstance(inner, KeyError):
                document.problem((*path, note.name), f"missing, expected {RULES[error.cl][note.name](None)}")
            else:
                _note_problems(document, inner, (*path, note.name))
        for inner in others:
            assert isinstance(inner, ForbiddenExtraKeysError)
            for key in sorted(inner.extra_fields):
                document.problem((*path, key), f"unknown key, {_meant(key, error.cl)}")
    elif isinstance(error, IterableValidationError):
        for inner, place in error.group_exceptions()[0]:
            _note_problems(document, inner, (*path, place.index))
    else:
        assert isinstance(error, Unexpected)
        document.unexpected(path, error.value, error.at(path) if isinstance(error, WrongBrackets) else error.expected)


def _meant(key: str, cls: type) -> str:
    """Return what to say of a key that `cls` does not have: the nearest of its own, the tables that have it, or all of its own."""
    own = attrs.fields_dict(cls)
    if difflib.get_close_matches(key, own, n=1):
        return did_you_mean(key, own)
    if cls is Settings and key in SERVICE_NAMES:
        return f"did you mean [services.{key}]?"
    elsewhere = [f"[{table}]" for table, options in _tables(Settings, "") if table and key in options]
    return f"it belongs in {' or '.join(elsewhere)}" if elsewhere else did_you_mean(key, own)


def _tables(cls: type, name: str) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the names of the tables that `cls` consists of, and their keys; without lists of tables and the services."""
    types = typing.get_type_hints(cls)
    yield name, types
    for option, kind in types.items():
        if attrs.has(kind):
            yield from _tables(kind, f"{name}.{option}".lstrip("."))


def _structure_class(cls: type, converter: Converter) -> Callable[[object, object], object]:
    """Return the cattrs hook that makes a table into `cls`, each option by its rule."""
    rules = RULES.get(cls, {})
    types = typing.get_type_hints(cls)
    hooks: dict[str, Any] = {}  # Any: cattrs has keyword arguments of its own beside those for a class's fields
    for option in attrs.fields(cls):
        rule = rules.get(option.name)
        arguments = typing.get_args(types[option.name])
        if rule is not None:
            structure_option = _list_of(_by_rule(rule)) if arguments else _by_rule(rule)
        elif typing.get_origin(types[option.name]) is tuple:
            structure_option = _tables_of(_of_class(arguments[0]))
        else:
            continue
        hooks[option.name] = override(struct_hook=_hook(structure_option))
    from_table: Callable[[dict[str, object], object], object] = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **hooks
    )

    def from_anything(value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise WrongBrackets(value, "a table: [{}], with single brackets" if isinstance(value, list) else "a table")
        return from_table(value, kind)

    return from_anything


def _hook(structure_value: Structure) -> Callable[[object, object], object]:
    return lambda value, _: structure_value(value)


def _by_rule(rule: Rule) -> Structure:
    def structure_value(value: object) -> object:
        expected = rule(value)
        if expected:
            raise Unexpected(value, expected)
        return value

    return structure_value


def _of_class(cls: type) -> Structure:
    return lambda value: _converter.structure(value, cls)


def _list_of(structure_item: Structure) -> Structure:
    def structure_list(value: object) -> object:
        if not isinstance(value, list):
            raise Unexpected(value, 'a list of strings: ["…", "…"]' if isinstance(value, str) else "a list of strings")
        return tuple(_items(enumerate(value), structure_item))

    return structure_list


def _tables_of(structure_table: Structure) -> Structure:
    structure_list = _list_of(structure_table)

    def structure_tables(value: object) -> object:
        if not isinstance(value, list):
            raise WrongBrackets(value, "a list of tables: [[{}]], with double brackets, above each")
        return structure_list(value)

    return structure_tables


def _structure_services(value: object) -> dict[str, ServiceSettings]:
    """Return all services: the standard ones that are not configured are there too."""
    if not isinstance(value, dict):
        raise Unexpected(value, "tables, each under [services.NAME]")

    def structure_service(item: tuple[str, object]) -> ServiceSettings:
        key, table = item
        expected = name(key)
        if expected:
            raise Unexpected(key, f"as the name of a service {expected}")
        return _converter.structure(table, ServiceSettings)

    services = _items(((item[0], item) for item in value.items()), structure_service)
    return {**{service: ServiceSettings() for service in SERVICE_NAMES}, **dict(zip(value, services, strict=True))}


def _items(items: Iterable[tuple[str | int, T]], structure_item: Callable[[T], R]) -> list[R]:
    """Return the structured items of a list or table; what is wrong with any of them is told together, with its place."""
    structured: list[R] = []
    errors: list[Exception] = []

    def attempt(place: str | int, item: T) -> None:
        try:
            structured.append(structure_item(item))
        except (Unexpected, BaseValidationError) as error:
            error.__notes__ = [IterableValidationNote("", place, None)]  # add_note() is Python 3.11's
            errors.append(error)

    for place, item in items:
        attempt(place, item)
    if errors:
        raise IterableValidationError("items", errors, list)
    return structured


_converter = Converter(forbid_extra_keys=True, detailed_validation=True)
_converter.register_structure_hook_factory(attrs.has, _structure_class)
_converter.register_structure_hook_func(lambda kind: kind == Mapping[str, ServiceSettings], _hook(_structure_services))
