"""The innermost step: the request goes to its service, and the service's response comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.errors import NotFound, ServiceUnavailable, UpstreamFailed, UpstreamTimeout
from nnogw.exchange import Exchange, Response
from nnogw.fields import Field, HeaderFields
from nnogw.headers import TrustedProxies, end_to_end_request, end_to_end_response, forwarded_fields, via
from nnogw.interfaces import Proceed, ServiceClient, ServiceResponse


class Proxy:
    """Passes requests on to the services of their routes.

    Args:
        services: the client of each service; None for one that has neither a binding nor a URL.
        trusted: the proxies in front of us, whose ``X-Forwarded-*`` are added to instead of replaced.
        monotonic: tells monotonic seconds.
    """

    def __init__(self, services: Mapping[str, ServiceClient | None], trusted: TrustedProxies, monotonic: Callable[[], float]) -> None:
        self._services = services
        self._passing_on = {forwarding: partial(_passing_on, trusted, forwarding) for forwarding in (False, True)}
        self._monotonic = monotonic

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Send the request on.

        Raises:
            NotFound: no route leads to the path.
            ServiceUnavailable: the service is not configured.
        """
        route = exchange.route
        if route is None:
            raise NotFound(reason="no route")
        service = self._services[route.service]
        if service is None:
            raise ServiceUnavailable(
                f"The service {route.service} is not configured.", reason="no binding and no URL", details={"service": route.service}
            )
        fields = [
            *exchange.fields.once(self._passing_on[service.forward_credentials], exchange.peer, exchange.secure),
            (b"x-nno-request-id", b"X-Nno-Request-Id", exchange.request_id.encode()),
            (b"x-nno-trace-id", b"X-Nno-Trace-Id", exchange.trace_id.encode()),
        ]
        if exchange.identity is not None:
            fields += exchange.identity.fields
        if exchange.upstream_fields:
            fields = _with_ours(fields, exchange.upstream_fields)
        exchange.upstream = service.address
        host = exchange.fields.first.get(b"host") if service.preserve_host else None
        started = self._monotonic()
        forwarded = service.forward(exchange.method, route.upstream_path + exchange.rest, fields, exchange.body, host, exchange.hinted)
        return forwarded.addCallbacks(self._responded, self._failed, (exchange, started), errbackArgs=(exchange, started))

    def _responded(self, response: ServiceResponse, exchange: Exchange, started: float) -> Response:
        exchange.upstream_time = self._monotonic() - started
        exchange.end = "upstream"
        fields = end_to_end_response(response.fields)
        fields.append(via(response.fields))
        body = response.body
        whole = body.whole()
        if whole is not None:
            return Response(response.status, fields, whole, response.reason)
        if exchange.status:  # a middleware did not wait, and something else has been sent
            body.stopProducing()
        else:
            exchange.upstream_body = body
        return Response(response.status, fields, body, response.reason)

    def _failed(self, failure: Failure, exchange: Exchange, started: float) -> Failure:
        exchange.upstream_time = self._monotonic() - started
        error = failure.value
        if isinstance(error, (UpstreamFailed, UpstreamTimeout)):  # and not what the client's own body failed with
            exchange.upstream_failure = error.kind
        return failure


def _with_ours(fields: list[Field], ours: tuple[Field, ...]) -> list[Field]:
    """Return `fields` with what middlewares have added, which goes before what a client sent under the same name."""
    names = {item[0] for item in ours}
    return [*(item for item in fields if item[0] not in names), *ours]


def _passing_on(trusted: TrustedProxies, forward_credentials: bool, fields: HeaderFields, peer: str, secure: bool) -> tuple[Field, ...]:
    """Return what of a request's fields goes on to a service, and what the gateway says of the connection that they came on."""
    peer_trusted = peer in trusted
    passing = end_to_end_request(fields, forward_credentials=forward_credentials, peer_trusted=peer_trusted)
    return (*passing, *forwarded_fields(fields, peer=peer, secure=secure, peer_trusted=peer_trusted), via(fields))
