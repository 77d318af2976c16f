"""Rate limit windows in the memory of this process: a table of fixed size that cannot be flushed by whoever mints keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush

from nnogw.interfaces import Decision

#: Windows are told apart by how many quarters of their limit are used up: the fewer, the sooner they have to make room.
_QUARTERS = 4
#: Windows are grouped by their end, rounded up to this part of their period: so many groups at most, however long a period is.
_SLICES = 64
#: A longer key is kept as its digest, so that the longest paths cannot make the table a hundred times as large as the usual ones do.
_LONGEST_KEY = 128  # characters
_FOREVER = math.inf


class MemoryStore:
    """Counts requests in fixed windows, of which it holds `max_keys` at most.

    A window opens with the first request of its key, not at a multiple of the period: callers do not all get their turn at the same
    moment, and nobody knows when another's window ends. Requests over the limit are not counted.

    A full table makes room for a newcomer in this order:

    1. A window that is over. Every newcomer clears up to two of each class away, full table or not, so that the table shrinks again when
       a wave of keys has passed.
    2. Of the least used class (less than a quarter of the limit used, less than half, less than three quarters, less than all, all) the
       window that ends soonest. Whoever mints keys pushes out their own and others that are hardly used: before a window that has used up
       its limit goes, all `max_keys` windows have to be at their limits (which a limit of 1 makes cheap: one request, one such window).
    3. When all of them are, the one that ends soonest goes: its caller has the least left to wait, and may begin again early. A newcomer
       is never refused for want of room; the next newcomer then takes the place of the one before, so that for the rest of the period
       newcomers pass almost uncounted: better than shutting honest callers out.

    Counting costs the same whatever the table holds.

    Args:
        max_keys: how many windows are held, at least 1.
        monotonic: tells monotonic seconds.

    Attributes:
        evictions: how many windows had to make room before they were over.
    """

    __slots__ = ("_classes", "_max_keys", "_monotonic", "_windows", "evictions")

    def __init__(self, max_keys: int, monotonic: Callable[[], float]) -> None:
        self.evictions = 0
        self._max_keys = max_keys
        self._monotonic = monotonic
        self._windows: dict[str, _Window] = {}
        self._classes = tuple(_Class() for _ in range(_QUARTERS + 1))

    @property
    def keys(self) -> int:
        """How many windows there are."""
        return len(self._windows)

    def hit(self, key: str, limit: int, period: float) -> Decision:
        """Count one request and decide on it.

        Args:
            key: whose request it is.
            limit: requests a window, at least 1.
            period: seconds from the first request to the end of the window.

        A window that is open when its limit or its period changes keeps its count, and ends no later than a new one would.

        Returns:
            The decision, at once.
        """
        if len(key) > _LONGEST_KEY:
            key = _digest(key)
        now = self._monotonic()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            self._open(key, window, limit, period, now)
            return Decision(True, limit, limit - 1, period)
        if limit is not window.limit or period is not window.period:  # of one rule they are the same objects: half the cost of !=
            self._change(key, window, limit, period, now)
        count = window.count
        if count >= limit:
            return tuple.__new__(Decision, (False, limit, 0, window.ends - now))
        window.count = count = count + 1
        if count >= window.rises_at:
            del window.group[key]
            self._classify(key, window, limit)
        return tuple.__new__(Decision, (True, limit, limit - count, window.ends - now))  # half the cost of `Decision(…)`

    def bound(self, max_keys: int) -> None:
        """Hold `max_keys` windows at most from now on."""
        self._max_keys = max_keys
        while len(self._windows) > max_keys:
            self._evict()

    def peek(self, key: str, limit: int) -> Decision:
        """Return what the next `hit` of `key` would decide, without counting it; `reset` is 0 if there is no window."""
        window = self._windows.get(key if len(key) <= _LONGEST_KEY else _digest(key))
        now = self._monotonic()
        if window is None or window.ends <= now:
            return Decision(True, limit, limit, 0.0)
        return Decision(window.count < limit, limit, max(limit - window.count, 0), window.ends - now)

    def _open(self, key: str, window: _Window | None, limit: int, period: float, now: float) -> None:
        """Open a window for the first request of `key`, or again in place of a `window` that is over."""
        if window is not None:
            del window.group[key]
        self._clear_away(now)
        if window is None:
            if len(self._windows) >= self._max_keys:
                self._evict()
            window = self._windows[key] = _Window()
        window.count = 1
        window.ends = now + period
        self._place(key, window, limit, period)

    def _change(self, key: str, window: _Window, limit: int, period: float, now: float) -> None:
        """Let another limit or period count for an open window."""
        del window.group[key]
        window.ends = min(window.ends, now + period)
        self._place(key, window, limit, period)

    def _place(self, key: str, window: _Window, limit: int, period: float) -> None:
        window.limit = limit
        window.period = period
        window.slice = math.ceil(window.ends / period * _SLICES) / _SLICES * period
        self._classify(key, window, limit)

    def _classify(self, key: str, window: _Window, limit: int) -> None:
        """Put a window where its fill belongs. It moves on at most once a quarter."""
        quarters = min(window.count * _QUARTERS // limit, _QUARTERS)
        window.rises_at = -(-(quarters + 1) * limit // _QUARTERS)
        window.group = self._classes[quarters].group(window.slice)
        window.group[key] = None

    def _clear_away(self, now: float) -> None:
        for windows in self._classes:
            for _ in range(2):
                key = windows.pop(now)
                if key is None:
                    break
                del self._windows[key]

    def _evict(self) -> None:
        """Drop the window that ends soonest of the least used class that has any."""
        del self._windows[next(key for windows in self._classes if (key := windows.pop(_FOREVER)) is not None)]
        self.evictions += 1


def _digest(key: str) -> str:
    """Return what a window is kept under instead of a long key."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class _Window:
    """The requests of one key.

    Attributes:
        count: how many came.
        ends: monotonic seconds at which the window is over.
        limit, period: what it was last counted against.
        slice: `ends`, rounded up: windows with the same one are in a group.
        rises_at: the count at which the window belongs to the next class.
        group: the group that it is in.
    """

    __slots__ = ("count", "ends", "group", "limit", "period", "rises_at", "slice")

    count: int
    ends: float
    limit: int
    period: float
    slice: float
    rises_at: int
    group: dict[str, None]


class _Class:
    """The keys of windows that are used up to the same quarter, in groups of those that end at about the same time.

    Groups are dicts and not sets: taking any member out of a set that has been large walks over all the places of those that are gone.
    """

    __slots__ = ("_groups", "_slices")

    def __init__(self) -> None:
        self._groups: dict[float, dict[str, None]] = {}
        self._slices: list[float] = []  # a heap

    def group(self, ends: float) -> dict[str, None]:
        """Return the group of the windows that end at `ends`."""
        group = self._groups.get(ends)
        if group is None:
            group = self._groups[ends] = {}
            heappush(self._slices, ends)
        return group

    def pop(self, until: float) -> str | None:
        """Take out a key of the group that ends soonest; None if no group ends up to `until`."""
        slices = self._slices
        while slices and slices[0] <= until:
            group = self._groups[slices[0]]
            if group:
                return group.popitem()[0]
            del self._groups[heappop(slices)]
        return None
