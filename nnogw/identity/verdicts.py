"""The verdict cache: what IAM said of a credential, kept for a while."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.errors import AuthUnavailable
from nnogw.exchange import Exchange, Identity
from nnogw.identity.single_flight import Flight, SingleFlight
from nnogw.identity.tables import LruTable
from nnogw.interfaces import Clock, DegradedLedger, Verdict
from nnogw.settings import VerdictCacheSettings

if TYPE_CHECKING:
    from hashlib import blake2b

#: How far a life may be off its setting, so that verdicts fetched together do not all end together.
_JITTER = 0.1

_DIGEST_SIZE = 16  # bytes: 128 bits under a secret key are beyond any search for two tokens with one digest

_REFUSED = Verdict(None, "hit")


class Judge(Protocol):
    """Whom the cache asks about a credential: `nnogw.identity.iam.Iam`, which says what the methods promise."""

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a session's bearer token."""

    def api_key(self, key: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a programmatic key."""


@frozen
class _Entry:
    verdict: Verdict  # as it is given out, a hit
    identity: Identity
    fresh_until: float  # monotonic seconds
    stale_until: float  # monotonic seconds until which it may bridge an outage


class VerdictCache:
    """Judges credentials (a `nnogw.interfaces.IdentitySource`), and remembers the verdicts in memory.

    A table's key is a keyed digest of kind and credential; no credential is kept. Refusals have a table of their own, so that random tokens
    cannot push real users out. Outages are not remembered. Requests with the same new credential share one call. Lives stand on the
    monotonic clock; how long a session has left is read from the wall clock once, when its verdict comes in.

    Args:
        settings: lives (seconds) and bounds.
        judge: whom to ask.
        clock: monotonic time.
        ledger: told of ``iam-outage`` and ``stale-verdicts``.
        now: the wall time in Unix seconds.
        jitter: returns a random number from 0 to 1.
        key: of the digests, up to 64 bytes; one of the process's own if empty.

    Attributes:
        hits: judgements from memory, refusals included.
        misses: judgements that had to wait for IAM.
        stale: judgements by a verdict past its life, through an outage.
        refusals: credentials that IAM refused.
        calls: questions to IAM.
        failures: questions that an outage left open.
    """

    def __init__(
        self,
        settings: VerdictCacheSettings,
        judge: Judge,
        *,
        clock: Clock,
        ledger: DegradedLedger,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        key: bytes = b"",
    ) -> None:
        self.hits = self.misses = self.stale = self.refusals = self.calls = self.failures = 0
        self._settings = settings
        self._judge = judge
        self._clock = clock
        self._ledger = ledger
        self._now = now
        self._jitter = jitter
        key = key or os.urandom(32)
        self._session_digest = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"session")
        self._api_key_digest = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"apikey")
        self._valid: LruTable[bytes, _Entry] = LruTable(settings.max_entries)
        self._refused: LruTable[bytes, float] = LruTable(settings.max_negative_entries)  # digest → monotonic end of its life
        self._flights: SingleFlight[bytes, Verdict] = SingleFlight()

    @property
    def evictions(self) -> int:
        """How many verdicts were dropped because a table was full."""
        return self._valid.evictions + self._refused.evictions

    @property
    def entries(self) -> int:
        """How many valid verdicts are in memory."""
        return len(self._valid)

    @property
    def negative_entries(self) -> int:
        """How many refusals are in memory."""
        return len(self._refused)

    def remembered_session(self, token: bytes) -> Verdict | None:
        """Return the good verdict on a session's token that is in memory and within its life, or None."""
        entry = self._valid.get(_digest(self._session_digest, token))
        if entry is None or self._clock.seconds() >= entry.fresh_until:
            return None
        self.hits += 1
        return entry.verdict

    def session(self, token: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a session's bearer token; a Deferred only if IAM has to be asked.

        Raises (in the Deferred):
            AuthUnavailable: IAM cannot say, and nothing in memory may stand in for it.
        """
        return self._look_up(self._session_digest, self._judge.session, token, exchange)

    def api_key(self, key: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a programmatic key; as `session`."""
        return self._look_up(self._api_key_digest, self._judge.api_key, key, exchange)

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey"), and do not remember what is being asked of it now."""
        digest = _digest(self._session_digest if kind == "session" else self._api_key_digest, credential)
        self._valid.drop(digest)
        self._refused.drop(digest)
        self._flights.detach(digest)

    def forget_user(self, user_id: str) -> int:
        """Drop every verdict of a user, and return how many there were."""
        return self._forget_where(lambda entry: entry.identity.user_id == user_id)

    def forget_platform(self, platform_id: str) -> int:
        """Drop every verdict of a platform's users and keys, and return how many there were."""
        return self._forget_where(lambda entry: entry.identity.platform_id == platform_id)

    def forget_all(self) -> int:
        """Drop every verdict, refusals included, and return how many there were."""
        self._flights.detach_all()
        return self._valid.clear() + self._refused.clear()

    def _forget_where(self, chosen: Callable[[_Entry], bool]) -> int:
        self._flights.detach_all()  # whose verdicts are under way is not known
        return self._valid.drop_where(chosen)

    def _look_up(
        self, keyed: blake2b, ask: Callable[[bytes, Exchange], Deferred[Identity | None]], credential: bytes, exchange: Exchange
    ) -> Verdict | Deferred[Verdict]:
        digest = _digest(keyed, credential)
        now = self._clock.seconds()
        entry = self._valid.get(digest)
        if entry is not None and now < entry.fresh_until:
            self.hits += 1
            return entry.verdict
        refused_until = self._refused.get(digest)
        if refused_until is not None and now < refused_until:
            self.hits += 1
            return _REFUSED
        self.misses += 1
        verdict = self._flights.join(digest, lambda flight: self._ask(ask(credential, exchange), digest, flight))
        return verdict.addCallback(self._count)

    def _ask(self, answer: Deferred[Identity | None], digest: bytes, flight: Flight[Verdict]) -> Deferred[Verdict]:
        self.calls += 1
        return answer.addCallbacks(self._learn, self._bridge, callbackArgs=(digest, flight), errbackArgs=(digest,))

    def _count(self, verdict: Verdict) -> Verdict:
        if verdict.cache == "stale":
            self.stale += 1
        return verdict

    def _learn(self, identity: Identity | None, digest: bytes, flight: Flight[Verdict]) -> Verdict:
        self._ledger.end("iam-outage", "iam")
        self._ledger.end("stale-verdicts", "iam")
        if identity is None:
            self.refusals += 1
        if not flight.detached:
            self._valid.drop(digest)
            self._refused.drop(digest)
            self._remember(identity, digest)
        return Verdict(identity, "miss")

    def _remember(self, identity: Identity | None, digest: bytes) -> None:
        settings = self._settings
        now = self._clock.seconds()
        if identity is None:
            if settings.negative_ttl > 0:
                self._refused.put(digest, now + settings.negative_ttl)
            return
        fresh = settings.ttl * (1 - _JITTER + 2 * _JITTER * self._jitter())
        stale = fresh + settings.stale_if_error
        if identity.expires_at is not None:
            left = identity.expires_at - self._now()
            fresh = min(fresh, left)
            stale = min(stale, left)
        if stale > 0:
            self._valid.put(digest, _Entry(Verdict(identity, "hit"), identity, now + fresh, now + stale))

    def _bridge(self, failure: Failure, digest: bytes) -> Verdict | Failure:
        error = failure.value
        if not isinstance(error, AuthUnavailable):
            return failure
        self.failures += 1
        self._ledger.begin("iam-outage", "iam", error.reason)
        entry = self._valid.get(digest)
        if entry is None or self._clock.seconds() >= entry.stale_until:
            return failure
        self._ledger.begin("stale-verdicts", "iam", error.reason)
        return Verdict(entry.identity, "stale")


def _digest(keyed: blake2b, credential: bytes) -> bytes:
    digest = keyed.copy()
    digest.update(credential)
    return digest.digest()
