"""The verdict cache: what IAM said of a credential, kept for a while."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from nnogw.errors import AuthUnavailable, RateLimited
from nnogw.exchange import Exchange, Identity
from nnogw.identity.call_queue import CallQueue, QueueFull
from nnogw.identity.failure_limit import FailureLimit
from nnogw.identity.freshness import Freshness, Kept, Source, freshness
from nnogw.identity.iam import IamSilent
from nnogw.identity.lru import LruTable
from nnogw.identity.single_flight import Flight, SingleFlight
from nnogw.interfaces import Clock, DegradedLedger, Verdict
from nnogw.networks import network_of
from nnogw.observability.outage import Outage
from nnogw.settings import VerdictCacheSettings

if TYPE_CHECKING:
    from hashlib import blake2b

#: How far a life may be off its setting, so that verdicts fetched together do not all end together.
_JITTER = 0.1

_DIGEST_SIZE = 16  # bytes: 128 bits under a secret key are beyond any search for two tokens with one digest

#: Requests that may wait at a time for an IAM that is known to be down: two, so that a credential for which IAM always hangs cannot keep
#: the only place and hide that IAM is back.
_PROBES = 2

_REFUSED = Verdict(None, "hit")


class Authenticator(Protocol):
    """Whom the cache asks about a credential: `nnogw.identity.iam.Iam`, which says what the methods promise."""

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a session's bearer token."""

    def api_key(self, key: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a programmatic key."""


class VerdictCache:
    """Judges credentials (a `nnogw.interfaces.IdentitySource`), and remembers the verdicts in memory.

    A table's key is a keyed digest of kind and credential; no credential is kept. Refusals have a table of their own, so that random tokens
    cannot push real users out. Outages are not remembered. Requests with the same new credential share one call. Lives stand on the
    monotonic clock; how long a session has left is read from the wall clock once, when its verdict comes in.

    What a verdict past its life may still do is the policy of `nnogw.identity.freshness`. While IAM is known to be down, a request whose
    credential is not in memory is refused at once (503), but for the few that wait and so find out that IAM is back.

    Args:
        settings: lives (seconds) and bounds.
        authenticator: whom to ask.
        clock: monotonic time.
        ledger: told of ``iam-outage`` and ``stale-verdicts``.
        calls: bounds the calls to IAM.
        failures: refuses addresses that guess; None for nobody.
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
        queue: the calls that are under way or wait.
    """

    def __init__(
        self,
        settings: VerdictCacheSettings,
        authenticator: Authenticator,
        *,
        clock: Clock,
        ledger: DegradedLedger,
        calls: CallQueue | None = None,
        failures: FailureLimit | None = None,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        key: bytes = b"",
    ) -> None:
        self.hits = self.misses = self.stale = self.refusals = self.calls = self.failures = 0
        self.queue = CallQueue(clock=clock) if calls is None else calls
        self._settings = settings
        self._authenticator = authenticator
        self._clock = clock
        self._failure_limit = failures
        self._now = now
        self._jitter = jitter
        key = key or os.urandom(32)
        self._session_digest = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"session")
        self._api_key_digest = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"apikey")
        self._valid: LruTable[bytes, Kept[Verdict]] = LruTable(settings.max_entries, self._left)  # verdicts as they are given out, hits
        self._of_user: dict[str, set[bytes]] = {}  # user id → the digests of the user's credentials in `_valid`
        self._refused: LruTable[bytes, float] = LruTable(settings.max_negative_entries)  # digest → monotonic end of its life
        self._flights: SingleFlight[bytes, Verdict] = SingleFlight()
        self._outage = Outage("iam-outage", "iam", seconds=clock.seconds, ledger=ledger)
        self._source = Source(self._outage, probes=_PROBES)

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
        return entry.value

    def session(self, token: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a session's bearer token; a Deferred only if IAM has to be asked.

        Raises (in the Deferred):
            AuthUnavailable: IAM cannot say, and nothing in memory may stand in for it.
            RateLimited: too many credentials of this address were refused, and this one is not in memory.
        """
        return self._look_up(self._session_digest, self._authenticator.session, token, exchange)

    def api_key(self, key: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a programmatic key; as `session`."""
        return self._look_up(self._api_key_digest, self._authenticator.api_key, key, exchange)

    # -- forgetting --------------------------------------------------------------------------------------------------

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey"), and do not remember what is being asked of it now."""
        digest = self._digest(kind, credential)
        self._valid.drop(digest)
        self._refused.drop(digest)
        self._flights.detach(digest)

    def forget_owner(self, kind: str, credential: bytes, user_id: str | None = None) -> int:
        """Drop every verdict of the user whose credential this is: one session may have several forms of token.

        Args:
            kind: "session" or "apikey".
            credential: of whom.
            user_id: the user, where the caller knows; None to look the credential up in memory.

        Returns:
            How many valid verdicts there were.
        """
        digest = self._digest(kind, credential)
        if user_id is None:
            entry = self._valid.get(digest)
            identity = None if entry is None else entry.value.identity
            user_id = None if identity is None else identity.user_id
        before = len(self._valid)
        self.forget(kind, credential)
        if user_id is not None:
            self.forget_user(user_id)
        return before - len(self._valid)

    def forget_user(self, user_id: str) -> int:
        """Drop every verdict of a user, and return how many there were."""
        self._flights.detach_all()  # whose verdicts are under way is not known
        digests = self._of_user.get(user_id, set())
        return sum(self._valid.drop(digest) for digest in tuple(digests))

    def forget_platform(self, platform_id: str) -> int:
        """Drop every verdict of a platform's users and keys, and return how many there were."""
        self._flights.detach_all()  # as above
        return self._valid.drop_where(lambda entry: entry.value.identity is not None and entry.value.identity.platform_id == platform_id)

    def forget_all(self) -> int:
        """Drop every verdict, refusals included, and return how many there were."""
        self._flights.detach_all()
        return self._valid.clear() + self._refused.clear()

    def _left(self, digest: bytes, entry: Kept[Verdict]) -> None:
        """Keep `_of_user` as small as the table."""
        identity = entry.value.identity
        if identity is None or identity.user_id is None:
            return
        digests = self._of_user[identity.user_id]
        digests.discard(digest)
        if not digests:
            del self._of_user[identity.user_id]

    # -- asking ------------------------------------------------------------------------------------------------------

    def _look_up(
        self, keyed: blake2b, ask: Callable[[bytes, Exchange], Deferred[Identity | None]], credential: bytes, exchange: Exchange
    ) -> Verdict | Deferred[Verdict]:
        digest = _digest(keyed, credential)
        now = self._clock.seconds()
        entry = self._valid.get(digest)
        state = freshness(entry, now, down=self._source.down)
        if state is Freshness.FRESH and entry is not None:
            self.hits += 1
            return entry.value
        refused_until = self._refused.get(digest)
        if refused_until is not None and now < refused_until:
            self.hits += 1
            return _REFUSED

        def start(flight: Flight[Verdict]) -> Deferred[Verdict]:
            return self._ask(lambda: ask(credential, exchange), digest, flight, network_of(exchange.ip))

        if state is Freshness.BRIDGING and entry is not None:
            if digest not in self._flights and self._source.may_ask_beside(digest, entry, now):
                self._flights.join(digest, start).addErrback(_unheard)
            return self._count(self._bridged(entry, "IAM does not answer"))
        if entry is None and self._failure_limit is not None:  # one that was good is no guess, even when its life is over
            try:
                self._failure_limit.check(network_of(exchange.ip))
            except RateLimited:
                return fail()
        self.misses += 1
        if not self._source.may_wait(digest):
            return fail(AuthUnavailable(reason="IAM is known to be down, and others wait for it already"))
        return self._flights.join(digest, start).addCallback(self._count)

    def _ask(self, ask: Callable[[], Deferred[Identity | None]], digest: bytes, flight: Flight[Verdict], address: str) -> Deferred[Verdict]:
        def begin() -> Deferred[Verdict]:
            if not self._source.may_begin(digest):
                raise AuthUnavailable(reason="IAM went down while this call waited for its turn")
            if self._failure_limit is not None and self._valid.get(digest) is None:
                self._failure_limit.check(address)  # again: what waited in line with this one may have been refused
            self.calls += 1
            successes = self._outage.successes
            return ask().addCallbacks(
                self._learn, self._failed, callbackArgs=(digest, flight, address), errbackArgs=(digest, flight, successes)
            )

        call = self.queue.call(address, begin)
        flight.abandoned = call.give_up
        return call.result.addErrback(self._bridge, digest).addBoth(self._ended, digest)

    def _count(self, verdict: Verdict) -> Verdict:
        if verdict.cache == "stale":
            self.stale += 1
        return verdict

    def _learn(self, identity: Identity | None, digest: bytes, flight: Flight[Verdict], address: str) -> Verdict:
        self._outage.succeeded()
        if identity is None:
            self.refusals += 1
            if self._failure_limit is not None:
                self._failure_limit.refused(address)
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
            if identity.user_id is not None:
                self._of_user.setdefault(identity.user_id, set()).add(digest)
            self._valid.put(digest, Kept(Verdict(identity, "hit"), now + fresh, now + stale))

    def _failed(self, failure: Failure, digest: bytes, flight: Flight[Verdict], successes: int) -> Failure:
        """Take note of a question that was not answered."""
        error = failure.value
        if isinstance(error, AuthUnavailable):
            self.failures += 1
            self._outage.failed(error.reason, successes, None if isinstance(error, IamSilent) else digest)
            entry = self._valid.get(digest)
            if entry is not None and not flight.detached:
                self._valid.update(digest, entry.not_answered(self._clock.seconds()))
        return failure

    def _bridge(self, failure: Failure, digest: bytes) -> Verdict | Failure:
        """Return the verdict that may stand in for the one that did not come."""
        error = failure.value
        if isinstance(error, QueueFull):
            failure = Failure(AuthUnavailable(reason=f"calls to IAM: {error}"))
        elif not isinstance(error, AuthUnavailable):
            return failure
        entry = self._valid.get(digest)
        if entry is None or self._clock.seconds() >= entry.stale_until:
            return failure
        return self._bridged(entry, failure.getErrorMessage())

    def _bridged(self, entry: Kept[Verdict], reason: str) -> Verdict:
        self._outage.follow("stale-verdicts", reason)
        return Verdict(entry.value.identity, "stale")

    def _ended(self, outcome: Verdict | Failure, digest: bytes) -> Verdict | Failure:
        self._source.ended(digest, self._clock.seconds())
        return outcome

    def _digest(self, kind: str, credential: bytes) -> bytes:
        return _digest(self._session_digest if kind == "session" else self._api_key_digest, credential)


def _digest(keyed: blake2b, credential: bytes) -> bytes:
    digest = keyed.copy()
    digest.update(credential)
    return digest.digest()


def _unheard(failure: Failure) -> None:
    """Let a question that nobody waits for fail: what there is to know of it has been noted."""
    failure.trap(AuthUnavailable, RateLimited)
