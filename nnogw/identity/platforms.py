"""What status a platform has: asked of the registry, and for how long that counts."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from nnogw.exchange import Exchange
from nnogw.identity.control_client import BadResponse, CallFailed, ControlClient, ControlResponse
from nnogw.identity.freshness import Freshness, Kept, freshness
from nnogw.identity.single_flight import Call
from nnogw.identity.status_store import StatusStore
from nnogw.interfaces import Clock
from nnogw.settings import LifecycleSettings

#: Seconds for which a status that the registry did not tell counts as unknown without a wait, after the last question about it.
_UNKNOWN_FOR = 60.0

#: A client or a server may take them for a way up (RFC 3986 §5.2.4), however they are encoded; no platform is called that.
_DOT_SEGMENTS = frozenset({".", ".."})


class PlatformStatuses:
    """Knows the statuses of platforms (a `nnogw.interfaces.PlatformStatusSource`).

    Requests that need the same status share one call. In an outage the last known status serves on, and a status that was never learnt is
    unknown: the request that finds it out waits for its call, later ones are answered at once while the registry is asked again beside
    them. While the registry is known to be down, one request at a time waits for it at most. The policy is that of
    `nnogw.identity.freshness`.

    Args:
        agent: reaches the registry.
        settings: lives (seconds).
        store: what is remembered.
        clock: monotonic time.
        service_keys: the service keys that are active; the first one goes along.
        base_url: the registry's address, which may have a base path.
        connect_timeout: seconds from connecting to the head of a response.
        timeout: seconds for a whole call.
    """

    def __init__(
        self,
        agent: IAgent,
        settings: LifecycleSettings,
        store: StatusStore,
        *,
        clock: Clock,
        service_keys: Sequence[str] = (),
        base_url: str = "http://registry",
        connect_timeout: float = 2,
        timeout: float = 3,
    ) -> None:
        self._client = ControlClient(agent, base_url=base_url, clock=clock, connect_timeout=connect_timeout, timeout=timeout)
        self._credentials = {b"Authorization": b"Bearer " + service_keys[0].encode()} if service_keys else {}
        self._settings = settings
        self._clock = clock
        self._store = store

    def status(self, platform_id: str, exchange: Exchange) -> str | Deferred[str | None] | None:
        """Return a platform's status, or None while it is not known; a Deferred only if the registry has to be waited for."""
        entry = self._store.known.get(platform_id)
        now = self._clock.seconds()
        state = freshness(entry, now, down=self._store.source.down)
        if entry is not None:
            if state is Freshness.FRESH:
                return entry.value
            if state is Freshness.BRIDGING:
                self._ask_beside(platform_id, exchange, entry, now)
                return self._bridged(entry.value, "the registry does not answer")
        if platform_id in _DOT_SEGMENTS:
            return None
        if not self._store.source.may_wait(platform_id):
            self._ask_beside(platform_id, exchange, None, now)
            return self._bridged(None, "the registry does not answer")
        return self._join(platform_id, exchange)

    def _ask_beside(self, platform_id: str, exchange: Exchange, entry: Kept[str | None] | None, now: float) -> None:
        """Ask about a platform without waiting, if that is due."""
        if platform_id not in self._store.flights and self._store.source.may_ask_beside(platform_id, entry, now):
            self._join(platform_id, exchange)

    def _join(self, platform_id: str, exchange: Exchange) -> Deferred[str | None]:
        return self._store.flights.join(platform_id, lambda call: self._ask(platform_id, exchange, call))

    def _ask(self, platform_id: str, exchange: Exchange, call: Call[str | None]) -> Deferred[str | None]:
        successes = self._store.outage.successes
        response = self._client.call("GET", "/" + quote(platform_id, safe=""), exchange, self._credentials)
        status = response.addCallback(_status).addCallbacks(
            self._learn, self._failed, callbackArgs=(platform_id, call), errbackArgs=(platform_id, call, successes)
        )
        return status.addBoth(self._ended, platform_id)

    def _learn(self, status: str | None, platform_id: str, call: Call[str | None]) -> str | None:
        self._store.outage.succeeded()
        if not call.detached:
            fresh_until = self._clock.seconds() + self._settings.ttl
            self._store.known.put(platform_id, Kept(status, fresh_until, fresh_until + self._settings.stale_if_error))
        return status

    def _failed(self, failure: Failure, platform_id: str, call: Call[str | None], successes: int) -> str | None:
        """Return the status that stands in for the one that did not come."""
        failure.trap(CallFailed)
        reason = f"registry: {failure.getErrorMessage()}"
        self._store.outage.failed(reason, successes, platform_id if failure.check(BadResponse) else None)
        now = self._clock.seconds()
        entry = self._store.known.get(platform_id)
        if entry is None or now >= entry.stale_until or entry.value is None:
            entry = Kept(None, now, now + _UNKNOWN_FOR)
        if not call.detached:
            self._store.known.put(platform_id, entry.not_answered(now))
        return self._bridged(entry.value, reason)

    def _bridged(self, status: str | None, reason: str) -> str | None:
        if status is None:
            self._store.outage.follow("platform-status-unknown", reason)
        return status

    def _ended(self, outcome: str | Failure | None, platform_id: str) -> str | Failure | None:
        self._store.source.ended(platform_id, self._clock.seconds())
        return outcome


def _status(response: ControlResponse) -> str | None:
    """Return the status that the registry tells, None if it does not know the platform.

    Raises:
        BadResponse: it cannot tell, or its response is not what was agreed on.
    """
    if response.status == 404:
        return None
    if response.status != 200:
        raise BadResponse(f"answered {response.status}")
    try:
        platform = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        raise BadResponse("the response is not JSON") from None  # the decoder's error quotes the document
    status = platform.get("status") if isinstance(platform, dict) else None
    if not isinstance(status, str):
        raise BadResponse("the response has no status")
    return status
