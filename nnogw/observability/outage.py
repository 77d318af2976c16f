"""From single failures to an outage: hysteresis, so that one failure among good responses opens no entry in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from nnogw.interfaces import DegradedLedger

R = TypeVar("R")

#: Failures in a row, without a success between, that are an outage (nginx sets an upstream aside after 1, Envoy after 5, HAProxy after 3).
FAILURES = 3
#: With little traffic two are enough, if so many seconds lie between them.
SECONDS = 5.0
#: Seconds after which failures are an outage even if they all concern one subject: in so long a time, others would have been asked about.
LONG = 120.0
#: Successes in a row that end an outage which began within `AGAIN` seconds of the last one; otherwise one success ends it.
SUCCESSES = 3
AGAIN = 60.0


class Outage:
    """Watches the calls to one source, and says whether the source is in an outage.

    An outage begins after `FAILURES` failures in a row, or after two with `SECONDS` between them. A failure may concern a subject only: IAM
    answers 500 for one token, and nobody asks for the others, as good responses are remembered. Such failures are an outage only if they
    concern two subjects at least, or go on for `LONG` seconds. A call that failed although another has succeeded since it began proves
    nothing.

    The first success ends the outage. If the source fails again soon, the next outage ends with several successes in a row.

    Args:
        state: the entry in the ledger.
        subject: whose state it is.
        seconds: tells monotonic seconds.
        ledger: where the outage is written down; None for nowhere.

    Attributes:
        successes: how many calls have succeeded. Read it before a call, and hand it to `failed`.
        ongoing: an outage goes on.
        silent: the failures since the last success include an outage's worth of calls without any response: who asks will probably wait
            for a time limit.
    """

    __slots__ = (
        "_again",
        "_failures",
        "_followers",
        "_in_a_row",
        "_ledger",
        "_name",
        "_over_at",
        "_seconds",
        "_several",
        "_silences",
        "_state",
        "_subject",
        "_troubled",
        "ongoing",
        "silent",
        "successes",
    )

    def __init__(self, state: str, subject: str, *, seconds: Callable[[], float], ledger: DegradedLedger | None) -> None:
        self.successes = 0
        self.ongoing = False
        self.silent = False
        self._state = state
        self._name = subject
        self._seconds = seconds
        self._ledger = ledger
        self._failures = _Run()
        self._silences = _Run()
        self._subject: Hashable = None  # of the first failure in a row
        self._several = False  # the failures in a row concern more than one subject, or the source itself
        self._troubled = False  # a success changes something
        self._in_a_row = 0  # successes since the last failure of an outage
        self._again = False  # this outage began soon after the last one
        self._over_at: float | None = None  # monotonic seconds
        self._followers: dict[str, None] = {}

    def failed(self, reason: str, successes: int, subject: Hashable = None) -> None:
        """Note a call that failed.

        Args:
            reason: why, for the ledger.
            successes: what `successes` was when the call began.
            subject: what the failure is limited to, if the source did respond; None if there was no response.
        """
        if successes != self.successes:
            return
        now = self._seconds()
        self._troubled = True
        self._in_a_row = 0
        if subject is None:
            self.silent = self._silences.add(now)
            self._several = True
        elif self._failures.count == 0:
            self._subject = subject
        elif subject != self._subject:
            self._several = True
        enough = self._failures.add(now)
        if enough and not self.ongoing and (self._several or self._failures.seconds(now) >= LONG):
            self.ongoing = True
            self._again = self._over_at is not None and now - self._over_at < AGAIN
        if self.ongoing and self._ledger is not None:
            self._ledger.begin(self._state, self._name, reason)

    def succeeded(self, response: R = None) -> R:  # type: ignore[assignment]  # without a response, None is returned
        """Note a call that succeeded, and return its `response`: the callback of a call."""
        self.successes += 1
        if self._troubled:
            self._recover()
        return response

    def _recover(self) -> None:
        if self._failures.count:
            self._failures.count = self._silences.count = 0
            self._several = self.silent = False
            self._subject = None
        if self.ongoing:
            self._in_a_row += 1
            if not self._again or self._in_a_row >= SUCCESSES:
                self._end()
        self._troubled = self.ongoing

    def follow(self, state: str, reason: str) -> None:
        """Write down a state that the outage leads to and that ends with it; nothing happens if there is no outage."""
        if self.ongoing and self._ledger is not None:
            self._followers[state] = None
            self._ledger.begin(state, self._name, reason)

    def forget(self) -> None:
        """Forget all failures: the source is another one now. What comes of calls that have begun before proves nothing."""
        self.successes += 1
        self._failures.count = self._silences.count = 0
        self._several = self.silent = self._troubled = False
        self._subject = None
        if self.ongoing:
            self._end()
        self._over_at = None

    def retire(self) -> None:
        """Forget all failures, and tell nobody of later ones: the source is not used any more."""
        self.forget()
        self._ledger = None

    def _end(self) -> None:
        self.ongoing = False
        self._in_a_row = 0
        self._over_at = self._seconds()
        if self._ledger is not None:
            for state in (*self._followers, self._state):
                self._ledger.end(state, self._name)
        self._followers.clear()


class _Run:
    """Failures in a row."""

    __slots__ = ("_first_at", "count")

    def __init__(self) -> None:
        self.count = 0
        self._first_at = 0.0

    def add(self, now: float) -> bool:
        """Count one more, and say whether they are enough for an outage."""
        if self.count == 0:
            self._first_at = now
        self.count += 1
        return self.count >= FAILURES or (self.count >= 2 and self.seconds(now) >= SECONDS)

    def seconds(self, now: float) -> float:
        """Return how long they have gone on."""
        return now - self._first_at
