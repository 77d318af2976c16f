"""The calls that the gateway makes for itself, to IAM and to the registry: within limits of time and size, and without side effects."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import attrs
from attrs import frozen
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from nnogw.errors import GatewayError
from nnogw.exchange import Exchange
from nnogw.interfaces import Clock
from nnogw.wire.transport.deadline import within

#: The most bytes that a response may have; a session or a platform is a few hundred.
MAX_RESPONSE = 64 * 1024

#: The longest ``Retry-After`` (seconds) that is believed; beyond it a recovered service would stay unasked for too long.
MAX_RETRY_AFTER = 300


@frozen
class ControlResponse:
    """A whole response."""

    status: int
    body: bytes = attrs.field(repr=False)  # may tell of a person
    retry_after: int | None = None  # seconds, where it says so and is to be believed


class CallFailed(Exception):
    """No whole response came. The message says why, and holds nothing of what was sent or received."""


class BadResponse(CallFailed):
    """A response came, but none that is of use. That may concern only what was asked about, and says that the service is there."""


class ControlClient:
    """Calls to one service, whose responses are small.

    Redirects are not followed, cookies neither kept nor sent, compressed responses not asked for: none of these is part of what the gateway
    has agreed on with its services, and each would let a response reach further than its caller.

    Args:
        agent: makes the requests.
        base_url: what every path is put behind; without a trailing slash.
        clock: measures the times.
        connect_timeout: seconds from connecting to the head of the response.
        timeout: seconds for a whole call.
        max_response: the most bytes of a response's body.
    """

    def __init__(
        self, agent: IAgent, *, base_url: str, clock: Clock, connect_timeout: float, timeout: float, max_response: int = MAX_RESPONSE
    ) -> None:
        self._client = HTTPClient(
            _PlainAgent(agent),
            cookiejar=IndexableCookieJar(DefaultCookiePolicy(allowed_domains=())),
            data_to_body_producer=_BytesProducer,
        )
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._max_response = max_response

    def call(
        self, method: str, path: str, exchange: Exchange, fields: dict[bytes, bytes], body: bytes | None = None
    ) -> Deferred[ControlResponse]:
        """Make a call on behalf of the request `exchange`, whose ids go along.

        Args:
            method: the method.
            path: the path, percent-encoded, from the slash on.
            exchange: the request that the response is needed for.
            fields: further header fields.
            body: a JSON document to send.

        Raises (in the Deferred):
            CallFailed: the service could not be reached, its response did not come in time or broke off.
            BadResponse: the response is too large.
        """
        headers = Headers({name: [value] for name, value in fields.items()})
        headers.setRawHeaders(b"Accept", [b"application/json"])
        headers.setRawHeaders(b"X-Nno-Request-Id", [exchange.request_id])
        headers.setRawHeaders(b"X-Nno-Trace-Id", [exchange.trace_id])
        if body is not None:
            headers.setRawHeaders(b"Content-Type", [b"application/json"])
        clock = self._clock
        response = self._client.request(
            method,
            self._base_url + path,
            headers=headers,
            data=body,
            allow_redirects=False,
            unbuffered=True,
            reactor=clock,  # type: ignore[arg-type]  # treq asks for more than it uses: with an agent of ours, a clock
        )
        within(self._connect_timeout, response, clock, lambda _: CallFailed(f"no response within {self._connect_timeout:g} s"))
        whole = response.addCallback(self._read)
        within(self._timeout, whole, clock, lambda _: CallFailed(f"no whole response within {self._timeout:g} s"))
        return whole.addErrback(_translate)

    def _read(self, response: IResponse) -> Deferred[ControlResponse]:
        retry_after = _retry_after(response.headers.getRawHeaders(b"Retry-After", [b""])[0])
        collector = _BodyCollector(self._max_response)
        response.deliverBody(collector)
        return collector.whole.addCallback(lambda body: ControlResponse(response.code, body, retry_after))


class _BodyCollector(Protocol):
    """Collects a body within a bound; cancelling `whole` closes the connection."""

    transport: IPushProducer | None  # type: ignore[assignment]  # clients promise no more where a body is delivered

    def __init__(self, max_size: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._stop())
        self._room = max_size
        self._chunks: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep `data`, unless it is too much."""
        if self.whole.called:
            return
        self._room -= len(data)
        if self._room < 0:
            self.whole.errback(BadResponse("the response is too large"))
            self._stop()
        else:
            self._chunks.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the body if it is whole; one without a stated length ends with its connection (RFC 9112 §6.3)."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._chunks))
        else:
            self.whole.errback(reason)

    def _stop(self) -> None:
        self._chunks.clear()
        if self.transport is not None:
            self.transport.stopProducing()


@implementer(IAgent)
class _PlainAgent:
    """Asks for responses without a content coding, and has none decoded: 64 KiB of gzip may be 64 MiB."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send a request, as `IAgent.request` says."""
        headers = Headers() if headers is None else headers.copy()
        headers.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_as_it_came)


def _as_it_came(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"Content-Encoding")
    return response


@implementer(IBodyProducer)
class _BytesProducer:
    """Produces a small body at once, with no need of a reactor, and again if it has to.

    Attributes:
        repeatable: the request may be sent a second time if its kept connection turns out to be closed. The gateway's own questions change
            nothing at the service, whatever their method.
    """

    repeatable = True

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to pause."""

    def resumeProducing(self) -> None:
        """Nothing is left to resume."""

    def stopProducing(self) -> None:
        """Nothing is left to stop."""


def _translate(failure: Failure) -> Failure:
    """Say what went wrong in names of errors only: their texts may quote what was received."""
    error = failure.value
    if isinstance(error, CallFailed):
        return failure
    if isinstance(error, GatewayError):  # from connections of our own
        return Failure(CallFailed(error.reason or error.code))
    causes: list[Failure] = getattr(error, "reasons", [])  # of Twisted's ResponseFailed
    return Failure(CallFailed(": ".join(type(e).__name__ for e in (error, *(cause.value for cause in causes)))))


def _retry_after(value: bytes) -> int | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110 §10.2.3); None for a date, and for what is not to be believed."""
    if not value.isdigit() or len(value) > 9:
        return None
    seconds = int(value)
    return seconds if 1 <= seconds <= MAX_RETRY_AFTER else None
