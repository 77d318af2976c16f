"""HTTP header fields as plain values: in the order and the spelling they came in, found without regard to case.

A field is a tuple ``(key, name, value)``: ``key`` is the name in lower case, ``name`` its spelling on the wire. Twisted's own
``Headers`` costs 15 µs a request and re-spells names; here a field that only passes through is never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

Field = tuple[bytes, bytes, bytes]

P = ParamSpec("P")
T = TypeVar("T")

_NONE: frozenset[bytes] = frozenset()  # most messages repeat nothing: they share this one


def field(name: bytes, value: bytes) -> Field:
    """Return the field ``name: value``."""
    return (name.lower(), name, value)


class HeaderFields:
    """The header section of one message.

    It does not change, because a connection keeps it for the requests to come. `Exchange.add_upstream_field` adds to what goes upstream.

    Attributes:
        raw: every field, in order.
        first: key → value of the first field of that name.
        repeated: keys that came more than once.
    """

    __slots__ = ("_worked_out", "first", "raw", "repeated")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: tuple[Field, ...] = tuple([(name.lower(), name, value) for name, value in pairs])
        first = {key: value for key, _, value in reversed(self.raw)}
        self.first: Mapping[bytes, bytes] = MappingProxyType(first)
        self.repeated: frozenset[bytes] = _NONE if len(first) == len(self.raw) else _repeated(self.raw)
        self._worked_out: dict[object, Any] = {}  # Any: of many types, each under its own work

    def once(self, work: Callable[Concatenate[HeaderFields, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``work(self, …)``, worked out the first time only.

        A connection that is kept brings the same section with each request: 5 % of a request's CPU time is spared.

        Args:
            work: depends on nothing but the section and what stays the same on its connection. What it raises is not remembered.
            *args: what `work` is given besides.
            **kwargs: the same, by name.
        """
        worked_out = self._worked_out
        if work not in worked_out:
            worked_out[work] = work(self, *args, **kwargs)
        return worked_out[work]  # type: ignore[no-any-return]  # as above

    def get(self, key: bytes) -> bytes | None:
        """Return the first value of the field named `key` (lower case), or None."""
        return self.first.get(key)

    def all(self, key: bytes) -> list[bytes]:
        """Return every value of the field named `key` (lower case), in order."""
        return [value for k, _, value in self.raw if k == key]

    def joined(self, key: bytes) -> bytes:
        """Return all values of a list-valued field as one list (RFC 9110 §5.3); empty where there is none."""
        if key not in self.first:
            return b""
        return b", ".join(self.all(key)) if key in self.repeated else self.first[key]


def _repeated(raw: Sequence[Field]) -> frozenset[bytes]:
    return frozenset(key for key, times in Counter(key for key, _, _ in raw).items() if times > 1)
