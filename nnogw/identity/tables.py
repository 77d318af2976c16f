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

    Attributes:
        evictions: how many entries were dropped because the table was full.
    """

    __slots__ = ("_entries", "_max_entries", "evictions")

    def __init__(self, max_entries: int) -> None:
        self.evictions = 0
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
        entries[key] = value
        entries.move_to_end(key)
        if len(entries) > self._max_entries:
            entries.popitem(last=False)
            self.evictions += 1

    def drop(self, key: K) -> None:
        """Forget what is under `key`, if there is anything."""
        self._entries.pop(key, None)

    def drop_where(self, chosen: Callable[[V], bool]) -> int:
        """Forget every value that is `chosen`, and return how many there were."""
        doomed = [key for key, value in self._entries.items() if chosen(value)]
        for key in doomed:
            del self._entries[key]
        return len(doomed)

    def clear(self) -> int:
        """Forget everything, and return how many entries there were."""
        count = len(self._entries)
        self._entries.clear()
        return count
