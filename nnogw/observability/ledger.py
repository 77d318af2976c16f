"""The ledger of degraded states: what is not as it should be, since when, why, and how often it was noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from attrs import asdict, define
from twisted.logger import Logger

log = Logger()


@define
class Entry:
    """One degraded state that goes on."""

    state: str  # "iam-outage", "stale-verdicts", "platform-status-unknown" or "log-unwritable"
    subject: str  # what it is the state of: a service, a file
    since: float  # Unix seconds
    reason: str  # the latest one
    count: int  # how often it was noticed since then


class Ledger:
    """Knows which degraded states there are (a `nnogw.interfaces.DegradedLedger`); the log hears when each begins and ends.

    Args:
        now: tells Unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._entries: dict[tuple[str, str], Entry] = {}

    @property
    def entries(self) -> list[Entry]:
        """What is degraded at the moment, the oldest first."""
        return list(self._entries.values())

    def document(self) -> list[dict[str, Any]]:
        """Return the entries as JSON-serialisable objects."""
        return [
            {**asdict(entry), "since": datetime.fromtimestamp(entry.since, timezone.utc).isoformat()} for entry in self._entries.values()
        ]

    def begin(self, state: str, subject: str, reason: str) -> None:
        """Note that a degraded state has begun, or was noticed again."""
        entry = self._entries.get((state, subject))
        if entry is None:
            self._entries[state, subject] = Entry(state, subject, self._now(), reason, 1)
            log.warn("degraded: {state} of {subject}: {reason}", state=state, subject=subject, reason=reason)
        else:
            entry.reason = reason
            entry.count += 1

    def end(self, state: str, subject: str) -> None:
        """Note that a degraded state is over; nothing happens if it had not begun."""
        entry = self._entries.pop((state, subject), None)
        if entry is not None:
            log.info(
                "over: {state} of {subject}, after {seconds:.1f} s and {count} times",
                state=state,
                subject=subject,
                seconds=self._now() - entry.since,
                count=entry.count,
            )
