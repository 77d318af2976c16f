"""Server-Timing: where the time of a request went, for whoever reads the response."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.interfaces import Proceed

T = TypeVar("T")


class Timing:
    """Adds ``Server-Timing: total;dur=…, auth;dur=…, upstream;dur=…`` (milliseconds), behind the upstream's own entries.

    Args:
        monotonic: tells monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Go on, and add the field when it is known how it went."""
        return proceed().addBoth(self._add, exchange)

    def _add(self, outcome: T, exchange: Exchange) -> T:
        value = b"total;dur=%.2f" % ((self._monotonic() - exchange.started) * 1000)
        if exchange.auth_time is not None:
            value += b", auth;dur=%.2f" % (exchange.auth_time * 1000)
        if exchange.upstream_time is not None:
            value += b", upstream;dur=%.2f" % (exchange.upstream_time * 1000)
        exchange.response_additions.append((b"server-timing", b"Server-Timing", value))
        return outcome
