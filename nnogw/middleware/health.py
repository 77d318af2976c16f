"""The health check: for load balancers, without a question to anybody."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from nnogw.exchange import Exchange, Response
from nnogw.interfaces import Proceed


class Health:
    """Answers ``GET`` and ``HEAD /health``: 200 ``ok``, or 503 ``draining`` when no more requests should be sent here.

    Args:
        draining: whether the gateway is about to stop.
    """

    def __init__(self, draining: Callable[[], bool]) -> None:
        self._draining = draining

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Answer, or go on with any other path."""
        if exchange.path != b"/health" or exchange.method not in (b"GET", b"HEAD"):
            return proceed()
        if self._draining():
            return succeed(Response.of(503, b"draining", b"text/plain"))
        return succeed(Response.of(200, b"ok", b"text/plain"))
