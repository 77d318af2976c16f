"""Results that are remembered by arguments which clients choose: bounded in bytes, however long the arguments are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: Bytes that an entry takes in the dictionary itself, at most: a dictionary that has just grown has three places for each entry.
_PLACE = 104
#: An entry that takes more bytes is not kept. What comes again and again (names, addresses, hosts of up to 253 characters) takes less.
_LARGEST = 4096


class Memo(dict[K, V]):
    """The results of a pure function, by its argument: ``memo[argument]`` works out what it does not know.

    It is a dictionary, so that a known argument costs a single look-up: 30 ns less than `functools.lru_cache`, which bounds entries and
    not bytes. When it is full, it is emptied and begins again: what is in use is back at once.

    Args:
        work: the function. What it raises is not remembered.
        room: bytes that arguments and results may take in all.
    """

    __slots__ = ("_room", "_taken", "_work")

    def __init__(self, work: Callable[[K], V], room: int = 256 * 1024) -> None:
        super().__init__()
        self._work = work
        self._room = room
        self._taken = 0

    def __missing__(self, argument: K) -> V:
        """Work out the result for `argument`, and keep it unless it is too large."""
        result = self._work(argument)
        size = _PLACE + _size(argument) + _size(result)
        if size <= _LARGEST:
            if self._taken + size > self._room:
                self.clear()
                self._taken = 0
            self[argument] = result
            self._taken += size
        return result


def _size(value: object) -> int:
    """Return the bytes that `value` takes, what a tuple contains included; what is shared counts each time."""
    size = sys.getsizeof(value)
    return size + sum(map(_size, value)) if isinstance(value, tuple) else size
