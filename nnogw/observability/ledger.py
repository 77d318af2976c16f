"""The ledger of degraded states: what is not as it should be, since when, why, and how often it was noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

from attrs import define
from twisted.logger import Logger

log = Logger()

#: Entries at most; the oldest makes room. Services, files and addresses come from the settings, so that there are far fewer.
MAX_ENTRIES = 1000
#: Seconds in which a state is told of once in the log: one of two failing servers begins and ends an outage many times a second.
QUIET = 10.0


@define
class Entry:
    """One degraded state that goes on."""

    #: "iam-outage", "stale-verdicts", "registry-outage", "platform-status-unknown", "service-failing", "name-unresolved",
    #: "log-unwritable", "log-not-reopened" or "reload-failed".
    state: str
    subject: str  # what it is the state of: a service, a file
    since: float  # Unix seconds
    reason: str  # the latest one
    count: int = 0  # how often it was noticed since then
    logged: bool = False  # its beginning is in the log


class Ledger:
    """Knows which degraded states there are (a `nnogw.interfaces.DegradedLedger`); the log hears when each begins and ends.

    Args:
        now: tells Unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._entries: dict[tuple[str, str], Entry] = {}
        self._logged_at: dict[tuple[str, str], float] = {}  # Unix seconds at which the log was last told

    @property
    def entries(self) -> list[Entry]:
        """What is degraded at the moment, the oldest first."""
        return list(self._entries.values())

    def document(self) -> list[dict[str, object]]:
        """Return the entries as JSON-serialisable objects."""
        return [
            {
                "state": entry.state,
                "subject": entry.subject,
                "since": datetime.fromtimestamp(entry.since, timezone.utc).isoformat(timespec="milliseconds"),
                "reason": entry.reason,
                "count": entry.count,
            }
            for entry in self._entries.values()
        ]

    def begin(self, state: str, subject: str, reason: str) -> None:
        """Note that a degraded state has begun, or was noticed again."""
        key = (state, subject)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            entry = self._entries[key] = Entry(state, subject, self._now(), reason)
        entry.reason = reason
        entry.count += 1
        if not entry.logged and self._may_log(key):
            entry.logged = True
            log.warn("degraded: {state} of {subject}: {reason}", state=state, subject=subject, reason=reason)

    def end(self, state: str, subject: str) -> None:
        """Note that a degraded state is over; nothing happens if it had not begun."""
        entry = self._entries.pop((state, subject), None)
        if entry is not None and entry.logged:
            log.info(
                "over: {state} of {subject}, after {seconds:.1f} s and {count} times",
                state=state,
                subject=subject,
                seconds=self._now() - entry.since,
                count=entry.count,
            )

    def _may_log(self, key: tuple[str, str]) -> bool:
        now = self._now()
        before = self._logged_at.get(key)
        if before is not None and 0 <= now - before < QUIET:  # below 0: the clock was set back
            return False
        if len(self._logged_at) >= MAX_ENTRIES:
            self._logged_at.clear()
        self._logged_at[key] = now
        return True
