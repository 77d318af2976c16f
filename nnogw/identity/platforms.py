"""What status a platform has: asked of the registry, and kept for a while."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from nnogw.exchange import Exchange
from nnogw.identity.calls import Answer, CallFailed, ControlClient
from nnogw.identity.single_flight import Flight, SingleFlight
from nnogw.identity.tables import LruTable
from nnogw.interfaces import Clock, DegradedLedger
from nnogw.settings import LifecycleSettings

#: Seconds between two questions about a platform whose last known status bridges an outage.
_RETRY_PAUSE = 1.0

#: A client or a server may take them for a way up (RFC 3986 §5.2.4), however they are encoded; no platform is called that.
_DOT_SEGMENTS = frozenset({".", ".."})


@frozen
class _Entry:
    status: str | None  # None: the registry does not know the platform
    fresh_until: float  # monotonic seconds
    stale_until: float  # monotonic seconds until which it may bridge an outage
    bridging: bool = False  # the last question went unanswered


class PlatformStatuses:
    """Knows the statuses of platforms (a `nnogw.interfaces.PlatformStatusSource`).

    Requests that need the same status share one call. In an outage the last known status serves on: the request that finds it out waits for
    its call, later ones are answered at once while the registry is asked again beside them.

    Args:
        agent: reaches the registry.
        settings: lives (seconds) and bound.
        clock: monotonic time.
        ledger: told of ``platform-status-unknown``.
        service_keys: the service keys that are active; the first one goes along.
        base_url: the registry's address, which may have a base path.
        connect_timeout: seconds from connecting to the head of an answer.
        timeout: seconds for a whole call.
    """

    def __init__(
        self,
        agent: IAgent,
        settings: LifecycleSettings,
        *,
        clock: Clock,
        ledger: DegradedLedger,
        service_keys: Sequence[str] = (),
        base_url: str = "http://registry",
        connect_timeout: float = 2,
        timeout: float = 3,
    ) -> None:
        self._client = ControlClient(agent, base_url=base_url, clock=clock, connect_timeout=connect_timeout, timeout=timeout)
        self._credentials = {b"Authorization": b"Bearer " + service_keys[0].encode()} if service_keys else {}
        self._settings = settings
        self._clock = clock
        self._ledger = ledger
        self._known: LruTable[str, _Entry] = LruTable(settings.max_entries)
        self._flights: SingleFlight[str, str | None] = SingleFlight()

    def status(self, platform_id: str, exchange: Exchange) -> str | Deferred[str | None] | None:
        """Return a platform's status, or None while it is not known; a Deferred only if the registry has to be waited for."""
        entry = self._known.get(platform_id)
        if entry is not None:
            now = self._clock.seconds()
            if now < entry.fresh_until:
                return entry.status
            if entry.bridging and now < entry.stale_until:
                if platform_id not in self._flights:
                    self._join(platform_id, exchange)
                return entry.status
        if platform_id in _DOT_SEGMENTS:
            return None
        return self._join(platform_id, exchange)

    def forget(self, platform_id: str) -> None:
        """Drop what is known of a platform."""
        self._known.drop(platform_id)
        self._flights.detach(platform_id)

    def forget_all(self) -> int:
        """Drop everything, and return how many statuses there were."""
        self._flights.detach_all()
        return self._known.clear()

    def _join(self, platform_id: str, exchange: Exchange) -> Deferred[str | None]:
        return self._flights.join(platform_id, lambda flight: self._ask(platform_id, exchange, flight))

    def _ask(self, platform_id: str, exchange: Exchange, flight: Flight[str | None]) -> Deferred[str | None]:
        answer = self._client.call("GET", "/" + quote(platform_id, safe=""), exchange, self._credentials)
        return answer.addCallback(_status).addCallbacks(
            self._learn, self._bridge, callbackArgs=(platform_id, flight), errbackArgs=(platform_id, flight)
        )

    def _learn(self, status: str | None, platform_id: str, flight: Flight[str | None]) -> str | None:
        self._ledger.end("platform-status-unknown", "registry")
        if not flight.detached:
            fresh_until = self._clock.seconds() + self._settings.ttl
            self._known.put(platform_id, _Entry(status, fresh_until, fresh_until + self._settings.stale_if_error))
        return status

    def _bridge(self, failure: Failure, platform_id: str, flight: Flight[str | None]) -> str | None:
        failure.trap(CallFailed)
        entry = self._known.get(platform_id)
        now = self._clock.seconds()
        if entry is None or now >= entry.stale_until:
            self._ledger.begin("platform-status-unknown", "registry", f"registry: {failure.getErrorMessage()}")
            return None
        if not flight.detached:
            self._known.put(platform_id, _Entry(entry.status, min(now + _RETRY_PAUSE, entry.stale_until), entry.stale_until, bridging=True))
        return entry.status


def _status(answer: Answer) -> str | None:
    """Return the status that the registry tells, None if it does not know the platform.

    Raises:
        CallFailed: it cannot tell, or its answer is not what was agreed on.
    """
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise CallFailed(f"answered {answer.status}")
    try:
        platform = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise CallFailed("the answer is not JSON") from None  # the decoder's error quotes the document
    status = platform.get("status") if isinstance(platform, dict) else None
    if not isinstance(status, str):
        raise CallFailed("the answer has no status")
    return status
