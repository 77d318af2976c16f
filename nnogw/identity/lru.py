"""A bounded table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruTable(Generic[K, V]):
    """A table that, when it is full, drops what was not used for the longest time.

    Args:
        max_entries: how many entries it holds at most; 0 keeps nothing.
        left: called with the key and the value of every entry that leaves the table or is replaced; None for nobody.

    Attributes:
        evictions: how many entries were dropped because the table was full.
    """

    __slots__ = ("_entries", "_left", "_max_entries", "evictions")

    def __init__(self, max_entries: int, left: Callable[[K, V], object] | None = None) -> None:
        self.evictions = 0
        self._left = left
        self._max_entries = max_entries
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value under `key`, which counts as a use of it, or None."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value` under `key`."""
        entries = self._entries
        self.drop(key)
        entries[key] = value
        if len(entries) > self._max_entries:
            self.drop(next(iter(entries)))
            self.evictions += 1

    def resize(self, max_entries: int) -> None:
        """Hold `max_entries` at most from now on: what was not used for the longest time goes first."""
        self._max_entries = max_entries
        for key in list(self._entries)[: max(0, len(self._entries) - max_entries)]:
            self.drop(key)
            self.evictions += 1

    def update(self, key: K, value: V) -> None:
        """Put `value` in the place of what is under `key`, which counts neither as a use nor as an end of the entry."""
        if key in self._entries:
            self._entries[key] = value

    def drop(self, key: K) -> bool:
        """Forget what is under `key`, and say whether there was anything."""
        value = self._entries.pop(key, None)
        if value is None:
            return False
        if self._left is not None:
            self._left(key, value)
        return True

    def drop_where(self, chosen: Callable[[V], bool]) -> int:
        """Forget every value that is `chosen`, and return how many there were."""
        doomed = [key for key, value in self._entries.items() if chosen(value)]
        for key in doomed:
            self.drop(key)
        return len(doomed)

    def clear(self) -> int:
        """Forget everything, and return how many entries there were."""
        entries, self._entries = self._entries, OrderedDict()
        if self._left is not None:
            for key, value in entries.items():
                self._left(key, value)
        return len(entries)
