"""Where a refused request turns back: what was found wrong further out is answered once every response header is decided on."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.interfaces import Proceed


def refusal(exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
    """Go on, unless the parser, the path rules or the rate limiter have refused the request.

    Raises:
        GatewayError: the refusal, which is answered like any other failure.
    """
    if exchange.refusal is not None:
        raise exchange.refusal
    return proceed()
