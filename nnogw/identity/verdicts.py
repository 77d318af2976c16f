"""The verdict cache: what IAM said of a credential, and for how long that counts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from nnogw.errors import AuthUnavailable, RateLimited
from nnogw.exchange import Exchange, Identity
from nnogw.identity.call_queue import QueueFull
from nnogw.identity.failure_limit import FailureLimit
from nnogw.identity.freshness import Freshness, Kept, freshness
from nnogw.identity.iam import IamSilent
from nnogw.identity.single_flight import Call
from nnogw.identity.verdict_store import VerdictStore, digest_of
from nnogw.interfaces import Authenticator, Clock, Verdict
from nnogw.networks import network_of
from nnogw.settings import AuthSettings

#: How far a life may be off its setting, so that verdicts fetched together do not all end together.
_JITTER = 0.1

_REFUSED = Verdict(None, "hit")


class VerdictCache:
    """Judges credentials (a `nnogw.interfaces.IdentitySource`), by the verdicts in memory or by asking IAM.

    Outages are not remembered. Requests with the same new credential share one call. Lives stand on the monotonic clock; how long a session
    has left is read from the wall clock once, when its verdict comes in.

    What a verdict past its life may still do is the policy of `nnogw.identity.freshness`. While IAM is known to be down, a request whose
    credential is not in memory is refused at once (503), but for the few that wait and so find out that IAM is back.

    Args:
        settings: lives and waits (seconds).
        authenticator: whom to ask.
        store: what is remembered.
        clock: monotonic time.
        failures: refuses addresses that guess; None for nobody.
        now: the wall time in Unix seconds.
        jitter: returns a random number from 0 to 1.
    """

    def __init__(
        self,
        settings: AuthSettings,
        authenticator: Authenticator,
        store: VerdictStore,
        *,
        clock: Clock,
        failures: FailureLimit | None = None,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings.cache
        self._timeout = settings.timeout
        self._authenticator = authenticator
        self._store = store
        self._clock = clock
        self._failure_limit = failures
        self._now = now
        self._jitter = jitter

    def remembered_session(self, token: bytes) -> Verdict | None:
        """Return the good verdict on a session's token that is in memory and within its life, or None."""
        store = self._store
        entry = store.valid.get(digest_of(token, store.session_key))
        if entry is None or self._clock.seconds() >= entry.fresh_until:
            return None
        store.hits += 1
        return entry.value

    def session(self, token: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a session's bearer token; a Deferred only if IAM has to be asked.

        Raises (in the Deferred):
            AuthUnavailable: IAM cannot say, and nothing in memory may stand in for it.
            RateLimited: too many credentials of this address were refused, and this one is not in memory.
        """
        return self._look_up("session", self._authenticator.session, token, exchange)

    def api_key(self, key: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a programmatic key; as `session`."""
        return self._look_up("apikey", self._authenticator.api_key, key, exchange)

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey")."""
        self._store.forget(kind, credential)

    def forget_owner(self, kind: str, credential: bytes, user_id: str | None = None) -> int:
        """Drop every verdict of the user whose credential this is; see `VerdictStore.forget_owner`."""
        return self._store.forget_owner(kind, credential, user_id)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _look_up(
        self,
        kind: str,
        ask: Callable[[bytes, Exchange], Deferred[Identity | None]],
        credential: bytes,
        exchange: Exchange,
    ) -> Verdict | Deferred[Verdict]:
        store = self._store
        digest = store.digest(kind, credential)
        now = self._clock.seconds()
        entry = store.valid.get(digest)
        state = freshness(entry, now, down=store.source.down)
        if state is Freshness.FRESH and entry is not None:
            store.hits += 1
            return entry.value
        refused_until = store.refused.get(digest)
        if refused_until is not None and now < refused_until:
            store.hits += 1
            return _REFUSED

        def start(call: Call[Verdict]) -> Deferred[Verdict]:
            return self._ask(lambda: ask(credential, exchange), digest, call, network_of(exchange.ip))

        if state is Freshness.BRIDGING and entry is not None:
            if digest not in store.flights and store.source.may_ask_beside(digest, entry, now):
                store.flights.join(digest, start).addErrback(_unheard)
            return self._count(self._bridged(entry, "IAM does not answer"))
        if entry is None and self._failure_limit is not None:  # one that was good is no guess, even when its life is over
            try:
                self._failure_limit.check(network_of(exchange.ip))
            except RateLimited:
                return fail()
        store.misses += 1
        if not store.source.may_wait(digest):
            return fail(AuthUnavailable(reason="IAM is known to be down, and others wait for it already"))
        return store.flights.join(digest, start).addCallback(self._count)

    def _ask(self, ask: Callable[[], Deferred[Identity | None]], digest: bytes, call: Call[Verdict], address: str) -> Deferred[Verdict]:
        def begin() -> Deferred[Verdict]:
            if not self._store.source.may_begin(digest):
                raise AuthUnavailable(reason="IAM went down while this call waited for its turn")
            if self._failure_limit is not None and self._store.valid.get(digest) is None:
                self._failure_limit.check(address)  # again: what waited in line with this one may have been refused
            self._store.calls += 1
            successes = self._store.outage.successes
            return ask().addCallbacks(
                self._learn, self._failed, callbackArgs=(digest, call, address), errbackArgs=(digest, call, successes)
            )

        queued = self._store.queue.call(address, begin, self._timeout)
        call.abandoned = queued.give_up
        return queued.result.addErrback(self._bridge, digest).addBoth(self._ended, digest)

    def _count(self, verdict: Verdict) -> Verdict:
        if verdict.cache == "stale":
            self._store.stale += 1
        return verdict

    def _learn(self, identity: Identity | None, digest: bytes, call: Call[Verdict], address: str) -> Verdict:
        self._store.outage.succeeded()
        if identity is None:
            self._store.refusals += 1
            if self._failure_limit is not None:
                self._failure_limit.refused(address)
        if not call.detached:
            self._store.valid.drop(digest)
            self._store.refused.drop(digest)
            self._remember(identity, digest)
        return Verdict(identity, "miss")

    def _remember(self, identity: Identity | None, digest: bytes) -> None:
        settings = self._settings
        now = self._clock.seconds()
        if identity is None:
            if settings.negative_ttl > 0:
                self._store.refused.put(digest, now + settings.negative_ttl)
            return
        fresh = settings.ttl * (1 - _JITTER + 2 * _JITTER * self._jitter())
        stale = fresh + settings.stale_if_error
        if identity.expires_at is not None:
            left = identity.expires_at - self._now()
            fresh = min(fresh, left)
            stale = min(stale, left)
        if stale > 0:
            self._store.keep(digest, identity, now + fresh, now + stale)

    def _failed(self, failure: Failure, digest: bytes, call: Call[Verdict], successes: int) -> Failure:
        """Take note of a question that was not answered."""
        error = failure.value
        if isinstance(error, AuthUnavailable):
            self._store.failures += 1
            self._store.outage.failed(error.reason, successes, None if isinstance(error, IamSilent) else digest)
            entry = self._store.valid.get(digest)
            if entry is not None and not call.detached:
                self._store.valid.update(digest, entry.not_answered(self._clock.seconds()))
        return failure

    def _bridge(self, failure: Failure, digest: bytes) -> Verdict | Failure:
        """Return the verdict that may stand in for the one that did not come."""
        error = failure.value
        if isinstance(error, QueueFull):
            failure = Failure(AuthUnavailable(reason=f"calls to IAM: {error}"))
        elif not isinstance(error, AuthUnavailable):
            return failure
        entry = self._store.valid.get(digest)
        if entry is None or self._clock.seconds() >= entry.stale_until:
            return failure
        return self._bridged(entry, failure.getErrorMessage())

    def _bridged(self, entry: Kept[Verdict], reason: str) -> Verdict:
        self._store.outage.follow("stale-verdicts", reason)
        return Verdict(entry.value.identity, "stale")

    def _ended(self, outcome: Verdict | Failure, digest: bytes) -> Verdict | Failure:
        self._store.source.ended(digest, self._clock.seconds())
        return outcome


def _unheard(failure: Failure) -> None:
    """Let a question that nobody waits for fail: what there is to know of it has been noted."""
    failure.trap(AuthUnavailable, RateLimited)
