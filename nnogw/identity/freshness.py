"""How long something that was learnt may be used, and when its source is asked again: the one policy of both tables."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

import attrs
from attrs import frozen

from nnogw.observability.outage import Outage

V = TypeVar("V")

#: Seconds between two questions that nobody waits for, to a source that is down or about a subject that was not answered for.
PAUSE = 1.0


class Freshness(Enum):
    """What may be done with something that was learnt."""

    FRESH = "fresh"  # use it
    BRIDGING = "bridging"  # use it now; the source is down, and is asked again while nobody waits
    STALE = "stale"  # ask and wait; use it if the source fails
    GONE = "gone"  # ask and wait; nothing stands in for the response


@frozen
class Kept(Generic[V]):
    """Something that was learnt. Times are monotonic seconds."""

    value: V
    fresh_until: float
    stale_until: float  # may be used until then if the source fails
    unanswered: bool = False  # the last question about it got no good response
    ask_at: float = 0.0  # when the next question about it is due, if the last one was not answered

    def not_answered(self, now: float) -> Kept[V]:
        """Return what it is after a question that got no good response."""
        return attrs.evolve(self, unanswered=True, ask_at=now + PAUSE)


def freshness(kept: Kept[V] | None, now: float, *, down: bool) -> Freshness:
    """Return what may be done with `kept`.

    Args:
        kept: what was learnt; None if there is nothing.
        now: monotonic seconds.
        down: the source is known to be down.
    """
    if kept is None:
        return Freshness.GONE
    if now < kept.fresh_until:
        return Freshness.FRESH
    if now >= kept.stale_until:
        return Freshness.GONE
    return Freshness.BRIDGING if down or kept.unanswered else Freshness.STALE


class Source:
    """Decides who may ask a source.

    While the source is up, everybody may. While it is known to be down, nobody waits for its time limit again and again: at most `probes`
    requests at a time wait, each for a question of its own; all others are answered without one. Questions that nobody waits for are asked
    one at a time, `PAUSE` seconds apart. The first response ends this.

    Args:
        outage: knows whether the source is down.
        probes: how many requests may wait at a time for a source that is known to be down.
    """

    __slots__ = ("_next_at", "_probes", "_under_way", "outage")

    def __init__(self, outage: Outage, *, probes: int) -> None:
        self.outage = outage
        self._probes = probes
        self._under_way: set[Hashable] = set()  # subjects that the source is being asked about although it is down
        self._next_at = 0.0  # monotonic seconds: when the next question is due that nobody waits for

    @property
    def down(self) -> bool:
        """Whether the source is known to give no response."""
        return self.outage.silent

    def may_wait(self, subject: Hashable) -> bool:
        """Whether a request may ask about `subject` and wait; if so, the question is counted until `ended`."""
        if not self.outage.silent:
            return True
        if subject in self._under_way or len(self._under_way) >= self._probes:
            return False
        self._under_way.add(subject)
        return True

    def may_begin(self, subject: Hashable) -> bool:
        """Whether a question about `subject` that had to wait may still be asked: the source may have gone down meanwhile."""
        return not self.outage.silent or subject in self._under_way

    def may_ask_beside(self, subject: Hashable, kept: Kept[V] | None, now: float) -> bool:
        """Whether a question about `subject` is due, which nobody waits for; counted as in `may_wait`.

        Args:
            subject: what the question is about.
            kept: what the request beside it is answered with, if with anything.
            now: monotonic seconds.
        """
        if not self.outage.silent:
            return kept is None or now >= kept.ask_at
        if self._under_way or now < self._next_at:
            return False
        self._under_way.add(subject)
        return True

    def ended(self, subject: Hashable, now: float) -> None:
        """Note that a question about `subject` has ended, however it did."""
        if subject in self._under_way:
            self._under_way.discard(subject)
            self._next_at = now + PAUSE
