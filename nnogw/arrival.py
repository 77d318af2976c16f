"""From a request's head to its exchange: who sends it, where it leads, and what is wrong with it. A pure function of values."""

from __future__ import annotations

from nnogw.bodies import Body
from nnogw.errors import GatewayError
from nnogw.exchange import Exchange
from nnogw.fields import HeaderFields
from nnogw.headers import TrustedProxies, client_address
from nnogw.routes import RouteTable


def arrive(
    method: bytes,
    target: bytes,
    fields: HeaderFields,
    *,
    peer: str,
    secure: bool,
    body: Body | None,
    refusal: GatewayError | None,
    routes: RouteTable,
    trusted: TrustedProxies,
    started: float,
    started_at: float,
) -> Exchange:
    """Return the exchange of a request whose head is in, as the pipeline is given it.

    Args:
        method: the method, as received.
        target: the request target, as received.
        fields: the header section.
        peer: the address at the other end of the connection; ``"unix"`` on a unix socket.
        secure: the connection is TLS.
        body: the request's body; None if there is none.
        refusal: what the parser found wrong; what the path rules find wrong is added here, for the pipeline to answer.
        routes: where paths lead.
        trusted: the proxies in front of us that may say who the client is.
        started: monotonic seconds at which the head was in.
        started_at: the same, in Unix seconds.
    """
    exchange = Exchange(method, target, fields, peer, secure, body, refusal, started, started_at)
    exchange.ip = fields.once(client_address, peer, trusted)
    if refusal is None:
        try:
            exchange.path, exchange.route, exchange.rest = routes.resolve(target, fields.first.get(b"host"), method)
        except GatewayError as error:
            exchange.refusal = error
    return exchange
