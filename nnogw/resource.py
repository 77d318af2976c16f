"""The root of the resource tree: one Deferred a request, from its exchange to the last byte of its response."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from nnogw.arrival import arrive
from nnogw.bodies import Body, ResponseBody
from nnogw.errors import GatewayError
from nnogw.exchange import Exchange, Response
from nnogw.fields import Field
from nnogw.wire.relay import Relay
from nnogw.wire.request import GatewayRequest

log = Logger()


class GatewayResource(Resource):
    """Answers every request by running it through the pipeline of its generation of the configuration.

    Args:
        monotonic: tells monotonic seconds.
        now: tells Unix seconds.
        observers: called with each exchange that has ended, after its own `Exchange.on_end`.
    """

    isLeaf = True  # noqa: N815  Twisted's name

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        now: Callable[[], float] = time.time,
        observers: Sequence[Callable[[Exchange], None]] = (),
    ) -> None:
        super().__init__()
        self.monotonic = monotonic
        self.now = now
        self.observers = observers

    def render(self, request: GatewayRequest) -> int:  # our own request, see GatewayRequest
        """Start the pipeline for `request`, whose headers are in; the response follows."""
        channel = request.channel
        generation = request.generation
        exchange = arrive(
            request.method,
            request.target,
            request.fields,
            peer=channel.peer,
            secure=channel.secure,
            body=request.body,
            refusal=request.refusal,
            routes=generation.routes,
            trusted=generation.trusted,
            started=self.monotonic(),
            started_at=self.now(),
        )
        rendering = _Rendering(self, request, exchange)
        exchange.hinted = request.hint
        request.on_end = rendering.ended
        rendering.response = response = generation.pipeline(exchange)
        response.addCallbacks(rendering.write, rendering.failed)
        return NOT_DONE_YET


class _Rendering:
    """One request, from its pipeline to the last byte of its response."""

    __slots__ = ("_exchange", "_request", "_resource", "_streaming", "_unwritable", "response")

    def __init__(self, resource: GatewayResource, request: GatewayRequest, exchange: Exchange) -> None:
        self._resource = resource
        self._request = request
        self._exchange = exchange
        self._streaming: Response | None = None
        self._unwritable = False  # a response could not be written, and another one stands in for it
        self.response: Deferred[Response] | None = None

    def write(self, response: Response) -> None:
        """Write the response: the head, then the body, at once or as it comes.

        One that cannot be written, such as with a field that is no bytes, is a bug like any other: 500.
        """
        self.response = None
        exchange = self._exchange
        request = self._request
        body = response.body
        try:
            if exchange.abandoned:
                if not isinstance(body, bytes):
                    body.stopProducing()
            else:
                exchange.status = response.status
                fields = _merged(response, exchange)
                if isinstance(body, bytes):
                    request.begin(response.status, response.reason, fields, body)
                    request.finish()
                elif request.begin(response.status, response.reason, fields):
                    self._streaming = response
                    Relay(request, body, self._broke)
                else:
                    body.stopProducing()
                    request.finish()
        except Exception:
            self._write_instead(body)
        if exchange.upstream_body is not None:
            self._let_go_of_upstream_body(exchange.upstream_body)

    def _write_instead(self, body: bytes | Body) -> None:
        """Send a 500 in the place of a response with `body` that cannot be written; where that is too late, cut the connection."""
        log.failure("the response to request {request_id} cannot be written", request_id=self._exchange.request_id)
        if not isinstance(body, bytes):
            body.stopProducing()
        if self._request.begun or self._unwritable:
            self._request.abort("gateway")
        else:
            self._unwritable = True
            self.write(self._bug())

    def _let_go_of_upstream_body(self, body: ResponseBody) -> None:
        """Stop the body of an upstream's response if nobody takes it: a middleware has put another response in its place."""
        self._exchange.upstream_body = None
        if not body.flows:
            body.stopProducing()

    def failed(self, failure: Failure) -> None:
        """Answer what the error handler could not: a bug in the outermost middlewares, or the echo of a client that has left."""
        self.response = None
        if self._exchange.abandoned:
            return
        log.failure("request {request_id} failed outside the error handler", failure=failure, request_id=self._exchange.request_id)
        self.write(self._bug())

    def _bug(self) -> Response:
        error = GatewayError(reason="a bug, see the program's log")
        self._exchange.reason = error.reason
        return Response.of(500, error.envelope(self._exchange.request_id), b"application/json")

    def ended(self, by: str) -> None:
        """Close the books on the request; `by` says who cut it short, if anybody."""
        exchange = self._exchange
        if by:
            exchange.abandoned = True
            exchange.end = by
            if not exchange.status:
                exchange.status = 499
        elif not exchange.end:
            exchange.end = "gateway"
        exchange.ended = self._resource.monotonic()
        exchange.bytes_out = self._request.bytes_out
        if self._request.body is not None:
            exchange.bytes_in = self._request.body.received
        for call in (*exchange.on_end, *self._resource.observers):
            try:
                call(exchange)
            except Exception:  # noqa: PERF203  the others are called all the same, and the connection goes on
                log.failure("a callback at the end of request {request_id} failed", request_id=exchange.request_id)
        if by:
            self._abandon()
        self._streaming = None  # its body leads back here: nothing is left for the garbage collector
        if exchange.upstream_body is not None:
            self._let_go_of_upstream_body(exchange.upstream_body)

    def _abandon(self) -> None:
        """Let go of whatever is under way; the exchange is marked, so that nobody takes it for a failure of the upstream."""
        response, self.response = self.response, None
        if response is not None:
            response.cancel()
        streaming, self._streaming = self._streaming, None
        if streaming is not None and not isinstance(streaming.body, bytes):
            streaming.body.stopProducing()

    def _broke(self, error: Exception) -> None:
        exchange = self._exchange
        exchange.reason = error.reason if isinstance(error, GatewayError) else str(error)
        exchange.upstream_failure = getattr(error, "kind", "")
        self._streaming = None


def _merged(response: Response, exchange: Exchange) -> list[Field]:
    """Return the fields of the response: the upstream's, those that middlewares decided on (which win), and additions behind."""
    decided = exchange.response_fields
    fields = [item for item in response.fields if item[0] not in decided]
    fields += [item for item in exchange.response_additions if not _says_already(fields, item)]
    fields += decided.values()
    return fields


def _says_already(fields: list[Field], addition: Field) -> bool:
    """Whether a list-valued field such as ``Vary`` contains what is to be added, or ``*``, which is everything."""
    key, _, value = addition
    for present, _, members in fields:
        if present == key and not {value.lower(), b"*"}.isdisjoint(member.strip().lower() for member in members.split(b",")):
            return True
    return False
