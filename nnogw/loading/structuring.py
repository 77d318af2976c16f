"""From plain values to the classes of `nnogw.settings`, strictly: no unknown key, no conversion of one type into another."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError, ClassValidationError, ForbiddenExtraKeysError, IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from nnogw.loading.document import Document, Path, did_you_mean
from nnogw.loading.rules import RULES, Rule, name
from nnogw.settings import SERVICE_NAMES, ServiceSettings, Settings

Structure = Callable[[Any, Any], Any]


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
            if isinstance(inner, ForbiddenExtraKeysError):
                known = attrs.fields_dict(error.cl)
                for key in sorted(inner.extra_fields):
                    document.problem((*path, key), f"unknown key, {did_you_mean(key, known)}")
    elif isinstance(error, IterableValidationError):
        for inner, place in error.group_exceptions()[0]:
            _note_problems(document, inner, (*path, place.index))
    elif isinstance(error, Unexpected):
        document.unexpected(path, error.value, error.expected)


def _structure_class(cls: type, converter: Converter) -> Structure:
    """Return what structures a table into `cls`, each option by its rule."""
    rules = RULES.get(cls, {})
    types = typing.get_type_hints(cls)
    hooks: dict[str, Any] = {}
    for option in attrs.fields(cls):
        kind = types[option.name]
        rule = rules.get(option.name)
        arguments = typing.get_args(kind)
        if rule is not None:
            value = _by_rule(rule)
            hooks[option.name] = override(struct_hook=_each(value, "a list of strings") if arguments else value)
        elif typing.get_origin(kind) is tuple:
            hooks[option.name] = override(struct_hook=_each(_of(converter, arguments[0]), f"tables, each under [[…{option.name}]]"))
    from_table = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **hooks)

    def from_anything(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise Unexpected(value, "a table")
        return from_table(value, kind)

    return from_anything


def _by_rule(rule: Rule) -> Structure:
    def structure_value(value: Any, kind: Any) -> Any:
        expected = rule(value)
        if expected:
            raise Unexpected(value, expected)
        return value

    return structure_value


def _of(converter: Converter, cls: type) -> Structure:
    return lambda value, kind: converter.structure(value, cls)


def _each(structure_item: Structure, expected: str) -> Structure:
    def structure_list(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise Unexpected(value, expected)
        return tuple(_items(enumerate(value), structure_item, kind))

    return structure_list


def _structure_services(value: Any, kind: Any) -> dict[str, ServiceSettings]:
    """Return all services: the standard ones that are not configured are there too."""
    if not isinstance(value, dict):
        raise Unexpected(value, "tables, each under [services.NAME]")

    def structure_service(item: tuple[str, Any], kind: Any) -> ServiceSettings:
        key, table = item
        if name(key):
            raise Unexpected(key, f"{name(key)} as the name of a service")
        return _converter.structure(table, ServiceSettings)

    services = _items(((key, (key, table)) for key, table in value.items()), structure_service, kind)
    return {**{service: ServiceSettings() for service in SERVICE_NAMES}, **dict(zip(value, services, strict=True))}


def _items(items: Iterable[tuple[Any, Any]], structure_item: Structure, kind: Any) -> list[Any]:
    """Return the structured items; what is wrong with any of them is told together, and where."""
    structured, errors = [], []
    for index, item in items:
        try:
            structured.append(structure_item(item, kind))
        except (Unexpected, BaseValidationError) as error:
            error.__notes__ = [IterableValidationNote("", index, kind)]  # add_note() is Python 3.11's
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, kind)
    return structured


_converter = Converter(forbid_extra_keys=True, detailed_validation=True)
_converter.register_structure_hook_factory(attrs.has, _structure_class)
_converter.register_structure_hook_func(lambda kind: kind == typing.get_type_hints(Settings)["services"], _structure_services)
