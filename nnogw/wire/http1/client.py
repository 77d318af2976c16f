"""The upstreams' side: one connection, which sends a request and parses its response with llhttp."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import httptools
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from nnogw.bodies import Body
from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.fields import Field, HeaderFields
from nnogw.interfaces import Clock, Transport
from nnogw.wire.body import IncomingBody
from nnogw.wire.http1.head import split_head
from nnogw.wire.http1.limits import State, StateLimit, TimeLimits, UpstreamState
from nnogw.wire.response import UpstreamResponse
from nnogw.wire.transport.connect_errors import connection_broke
from nnogw.wire.transport.reader import SocketReader
from nnogw.wire.transport.write_batch import WriteBatch
from nnogw.wire.transport.writer import SocketWriter

#: The most bytes that a response's head may have (nginx 4–8 KiB, Envoy 60 KiB, Node 16 KiB).
MAX_HEAD = 64 * 1024

#: Bytes of a response that one read takes at most: with 128 KiB, a download of 10 MiB costs a fifth more CPU time.
BULK = 256 * 1024
#: Methods whose request without a body says ``Content-Length: 0`` (RFC 9110 §8.6).
_WITH_CONTENT = frozenset({b"POST", b"PUT", b"PATCH"})
#: What a reason phrase may not hold (RFC 9112 §4): control bytes other than a tab.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@define(eq=False)
class UpstreamRequest:
    """A request as it goes to an upstream."""

    method: bytes
    target: bytes = field(repr=False)  # path and query, byte for byte
    host: bytes
    fields: Sequence[Field] = field(repr=False)  # end-to-end fields; Host and the framing of the body are added on the wire
    body: Body | None = None
    hinted: Callable[[HeaderFields], None] | None = None  # called with the fields of each 103 that comes before the response
    repeatable: bool = False  # may be sent twice whatever its method is; its body can be streamed again


class DiedUnused(Exception):
    """A pooled connection was closed by the upstream before any byte of this response: it had been dead already."""


class Owner(Protocol):
    """What a connection needs of its pool."""

    clock: Clock
    batch: WriteBatch
    limits: TimeLimits

    def opened(self) -> None:
        """A connection is established."""

    def released(self, connection: UpstreamConnection) -> None:
        """The connection is ready for another request."""

    def closing(self, connection: UpstreamConnection) -> None:
        """The connection is about to be closed, or cut: nobody may get it any more."""

    def lost(self, connection: UpstreamConnection) -> None:
        """The connection is gone."""


@implementer(IHandshakeListener)
class UpstreamConnection(TwistedProtocol):
    """A connection to one address of an upstream, which carries one request at a time.

    What comes is taken by the current state, a method ``(data) -> rest``: a head, a body of known length, a chunked body, a body that ends
    with the connection, or nothing at all (`_unexpected`).

    Args:
        owner: the pool.

    Attributes:
        ready: fires when the connection can be used; over TLS, when the handshake is through and the certificate has been verified.
    """

    #: As in `nnogw.wire.http1.server.GatewayChannel`.
    __slots__ = (
        "_arrived",
        "_body",
        "_body_left",
        "_done",
        "_head",
        "_headers_complete",
        "_keep_alive",
        "_lost",
        "_message_complete",
        "_owner",
        "_pairs",
        "_parser",
        "_paused",
        "_reason",
        "_receive",
        "_request",
        "_response_begun",
        "_sending",
        "_status",
        "_time",
        "_tls",
        "_used",
        "_waiting",
        "_writer",
        "ready",
    )

    transport: Transport  # None until it is there; only `_abort` may come before

    def __init__(self, owner: Owner, *, tls: bool) -> None:
        self._owner = owner
        self._tls = tls
        self.ready: Deferred[UpstreamConnection] | None = Deferred(self._not_waited_for)
        self._used = False  # has carried a request before
        self._request: UpstreamRequest | None = None
        self._sending = False  # the request's body is not through
        self._waiting: Deferred[UpstreamResponse] | None = None
        self._response_begun = False  # some byte of the response has come
        self._arrived: UpstreamResponse | None = None  # parsed, not handed over yet
        self._body: IncomingBody | None = None
        self._body_left = 0
        self._done = False  # the response is whole, the connection not yet released
        self._keep_alive = False
        self._paused = False
        self._parser: Any = None  # of httptools, or None where none is fed; Any, as asking before each feeding would cost
        self._receive: Callable[[bytes], bytes] = self._unexpected
        self._time = StateLimit(owner.clock, owner.limits, UpstreamState.CONNECTING, self._expired)
        self._lost = False

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return self._time.state

    @property
    def quiet(self) -> bool:
        """Whether nothing waits in the socket of an idle connection: neither its end nor bytes that nobody has asked for."""
        transport: object = self.transport
        if not isinstance(transport, Connection):
            transport = getattr(transport, "transport", None)  # what TLS lies on
            if not isinstance(transport, Connection):
                return True
        try:
            transport.getHandle().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # -- Protocol ----------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Take the new connection."""
        self._owner.opened()
        transport = self.transport
        SocketReader(transport, self.dataReceived, bulk=BULK)
        self._writer = SocketWriter(transport, self._owner.batch, self._on_stalled)
        if getattr(transport.getPeer(), "host", None):
            transport.setTcpNoDelay(True)
        if not self._tls:
            self._get_ready()

    def handshakeCompleted(self) -> None:
        """TLS is established; if the upstream is not who it should be, Twisted has aborted the connection a moment ago."""
        if not self.transport.disconnecting:
            self._get_ready()

    def _not_waited_for(self, _: object) -> None:
        """Nobody waits for the connection any more: it is cut, and its end is not to be told."""
        self.ready = None
        self._abort()

    def _get_ready(self) -> None:
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.callback(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what has come; the response is handed over once, with as much of its body as came along."""
        while data:
            data = self._receive(data)
        if self._done:
            self._release()
        response = self._arrived
        if response is not None:
            self._arrived = None
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.callback(response)
            if self._body is not None and not self._body.flows:
                self.pause_body()  # until somebody streams it

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted declares a default
        """Tell whoever waits for something from this connection."""
        self._lost = True
        self._time.enter(UpstreamState.CLOSED)
        self._time.close()
        self._owner.lost(self)
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.errback(reason)
        elif self._receive == self._receive_until_close and reason.check(ConnectionDone):
            self._complete()
            self._done = False
        elif self._used and not self._response_begun and self._waiting is not None:
            self._fail(DiedUnused())
        elif self._waiting is not None or self._body is not None:
            self._fail(connection_broke(reason))

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, request: UpstreamRequest, limits: TimeLimits) -> Deferred[UpstreamResponse]:
        """Send `request` and return its response, as soon as its head is in.

        Cancelling closes the connection.

        Args:
            request: the request.
            limits: how long the connection's states may last until the next request.

        Raises (in the Deferred):
            DiedUnused: the connection had been closed while it was idle.
            UpstreamFailed: it broke, or the response is malformed.
            UpstreamTimeout: no response within the time.
            whatever the request's body failed with.
        """
        self._request = request
        if limits is not self._time.limits:
            self._time.use(limits)
        self._response_begun = False
        self._begin_head()
        waiting: Deferred[UpstreamResponse] = Deferred(self._cancelled)
        self._waiting = waiting
        body = request.body
        lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (request.method, request.target, request.host)]
        for _, name, value in request.fields:
            lines += (name, b": ", value, b"\r\n")  # joined once: half the cost of joining each line
        if body is None:
            lines.append(b"Content-Length: 0\r\n\r\n" if request.method in _WITH_CONTENT else b"\r\n")
        elif body.length is None:
            lines.append(b"Transfer-Encoding: chunked\r\n\r\n")
        else:
            lines.append(b"Content-Length: %d\r\n\r\n" % body.length)
        self._writer.write(b"".join(lines))
        if body is None:
            self._time.enter(UpstreamState.AWAITING)
        else:
            self._sending = True
            self._time.enter(UpstreamState.SENDING)
            self._writer.set_source(body)
            body.stream(self)
        return waiting

    def body_data(self, data: bytes) -> None:
        """Send some of the request's body."""
        if self._sending:
            request = self._request
            if request is not None and request.body is not None and request.body.length is None:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            self._writer.write(data)

    def body_ended(self) -> None:
        """End the request."""
        if not self._sending:
            return
        self._sending = False
        request = self._request
        if request is not None and request.body is not None and request.body.length is None:
            self._writer.write(b"0\r\n\r\n")
        self._writer.set_source(None)
        if self._waiting is not None:
            self._time.enter(UpstreamState.AWAITING)
        else:
            self._settle()

    def body_failed(self, error: Exception) -> None:
        """Give up: the request will never be whole."""
        if self._sending:
            self._sending = False
            self._fail(error)
            self._abort()

    def _cancelled(self, _: object) -> None:
        self._waiting = None
        self._stop_sending()
        self._abort()

    def _stop_sending(self) -> None:
        """Want no more of the request's body."""
        if self._sending:
            self._sending = False
            self._writer.set_source(None)
            if self._request is not None and self._request.body is not None:
                self._request.body.stopProducing()

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _begin_head(self) -> None:
        self._receive = self._receive_head
        self._head = b""
        self._reason = b""
        self._pairs: list[tuple[bytes, bytes]] = []  # names and values of the fields that have come
        self._headers_complete = False
        self._message_complete = False
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)

    def _end_of_interim(self) -> None:
        """Take an interim response (RFC 9110 §15.2); the real one follows."""
        request = self._request
        if self._status == 103 and request is not None and request.hinted is not None:
            request.hinted(HeaderFields(self._pairs))
        self._begin_head()

    def _receive_head(self, data: bytes) -> bytes:
        if not self._response_begun:
            if self._used and self._writer.unsent and self._request is not None and self._request.body is None:
                # Before the request is even sent, nothing can be a response to it: say, a 408 for an idle connection.
                self._fail(DiedUnused())
                self._abort()
                return b""
            self._response_begun = True
        head, data, rest, complete = split_head(self._head, data)
        self._head = head
        if len(head) > MAX_HEAD:
            return self._malformed(f"head over {MAX_HEAD} bytes")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return self._malformed("101 without an Upgrade in the request")
        except httptools.HttpParserError as error:
            return self._malformed(str(error))
        if not complete:
            return b""
        if not self._headers_complete:
            return self._malformed("the head ends too early")
        if not 100 <= self._status <= 599:
            return self._malformed("a status outside 100 to 599")
        if not self._reason.isalpha() and _CONTROL.search(self._reason):  # most are one word
            return self._malformed("a control byte in the reason phrase")
        if self._status < 200 and self._status != 101:
            self._end_of_interim()
            return rest
        return self._start_body(head, rest)

    def _start_body(self, head: bytes, rest: bytes) -> bytes:
        """Take the head of the response; its body begins with `rest` (RFC 9112 §6.3)."""
        fields = HeaderFields(self._pairs)
        first = fields.first
        coding = first.get(b"transfer-encoding")
        announced = first.get(b"content-length")
        length = None if announced is None else int(announced)
        http11 = head.startswith(b"HTTP/1.1 ")
        if not http11 and not head.startswith(b"HTTP/1.0 "):
            return self._malformed("unknown protocol version")
        if self._status == 101:
            return self._malformed("101 without an Upgrade in the request")
        if coding is not None and (not http11 or coding.lower() != b"chunked" or b"transfer-encoding" in fields.repeated):
            return self._malformed("a transfer coding other than chunked")
        connection = first.get(b"connection")
        if connection is None:
            self._keep_alive = http11
        elif connection == b"keep-alive" and not fields.repeated:  # as nginx and many others say it
            self._keep_alive = True
        else:
            self._keep_alive = _keeps_alive(fields, http11=http11)
        request = self._request
        bodiless = self._status in (204, 304) or (request is not None and request.method == b"HEAD")
        body = IncomingBody(self, length)
        self._arrived = UpstreamResponse(self._status, self._reason, fields, body)
        self._body = body
        if bodiless or length is not None:
            self._parser = None  # it may expect a body that does not come, or that is counted here
            left = 0 if bodiless or length is None else length
            if left <= len(rest):  # all of it came along with the head: so it is with most responses
                if left:
                    body.data(rest[:left])
                self._complete()
                return rest[left:]
            self._body_left = left
            self._receive = self._receive_sized
        elif coding is not None:
            self._receive = self._receive_chunked
        else:
            self._parser = None
            self._keep_alive = False
            self._receive = self._receive_until_close
        self._settle()
        return rest

    def _settle(self) -> None:
        """Enter the state that belongs to the response's body, as far as it has not ended."""
        if self._body is None:
            return
        if self._sending:
            state = UpstreamState.EXCHANGING
        elif not self._body.flows:
            state = UpstreamState.UNCLAIMED
        else:
            state = UpstreamState.PAUSED if self._paused else UpstreamState.RECEIVING
        self._time.move(state)

    def _receive_sized(self, data: bytes) -> bytes:
        left = self._body_left
        rest = b""
        if len(data) > left:
            rest = data[left:]
            data = data[:left]
        self._body_left = left - len(data)
        self._body_data(data)
        if not self._body_left:
            self._complete()
        return rest

    def _receive_chunked(self, data: bytes) -> bytes:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._message_complete:
                return self._malformed(str(error))
            self._keep_alive = False  # more than was asked for: the response is whole, the connection is not to be trusted
        if self._message_complete:
            self._complete()
        return b""

    def _receive_until_close(self, data: bytes) -> bytes:
        self._body_data(data)
        return b""

    def _unexpected(self, data: bytes) -> bytes:
        """Bytes that nobody asked for: whatever they are, the next request must not get them as its response."""
        self._keep_alive = False
        self._abort()
        return b""

    def _body_data(self, data: bytes) -> None:
        if self._time.state is UpstreamState.RECEIVING:
            self._time.enter(UpstreamState.RECEIVING)  # progress
        if self._body is not None:
            self._body.data(data)

    def _complete(self) -> None:
        body, self._body = self._body, None
        self._receive = self._unexpected
        self._done = True
        if body is not None:
            body.end()

    def _release(self) -> None:
        self._done = False
        if self._time.state is UpstreamState.CLOSED:
            return
        if self._sending or self._time.stalled:  # the rest of the request is not wanted; the next one would wait behind it
            self._stop_sending()
            self._abort()
            return
        self._request = None
        if self._paused:
            self.resume_body()
        if not self._keep_alive:
            self.close()
            return
        self._used = True
        if self._owner.limits is not self._time.limits:  # the configuration has changed meanwhile
            self._time.use(self._owner.limits)
        self._time.enter(UpstreamState.IDLE)
        self._owner.released(self)

    # -- llhttp ------------------------------------------------------------------------------------------------------

    def on_status(self, status: bytes) -> None:
        """Take a piece of the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; trailers are dropped (RFC 9110 §6.5.1 allows it)."""
        if not self._headers_complete:
            self._pairs.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take what llhttp makes of the head."""
        parser = self._parser
        self._headers_complete = True
        self._status: int = parser.get_status_code()

    def on_message_begin(self) -> None:
        """Take note of a message behind the one that was asked for: it is nobody's."""
        if self._message_complete:
            self._keep_alive = False

    def on_body(self, data: bytes) -> None:
        """Take a piece of a chunked body."""
        if not self._message_complete:
            self._body_data(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        self._message_complete = True

    # -- what the response's body asks for ---------------------------------------------------------------------------

    def pause_body(self) -> None:
        """Stop reading; meanwhile the upstream's silence is not its fault."""
        if self._lost:
            return
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()
        self._settle()

    def resume_body(self) -> None:
        """Go on reading."""
        if self._lost:
            return
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
        self._settle()

    def stop_body(self) -> None:
        """Close: nobody wants the rest of the response."""
        self._body = None
        self._stop_sending()
        self._abort()

    # -- failing -----------------------------------------------------------------------------------------------------

    def renew(self, limits: TimeLimits) -> None:
        """Let other limits count from now on, for the present state too."""
        self._time.change(limits)

    def close(self) -> None:
        """Close the connection in order; it is cut if that takes the upstream too long."""
        self._owner.closing(self)
        self._time.enter(UpstreamState.CLOSING)
        self._writer.close()

    def _abort(self) -> None:
        if not self._lost:
            self._owner.closing(self)
            self._time.enter(UpstreamState.CLOSED)
            if self.transport is not None:
                self.transport.abortConnection()

    def _malformed(self, what: str) -> bytes:
        self._fail(UpstreamFailed(reason=f"malformed response: {what}", kind="malformed"))
        self._abort()
        return b""

    def _fail(self, error: Exception) -> None:
        """Tell the one who waits, for the head or for the rest of the body; what the request still sends is not wanted."""
        self._receive = self._unexpected
        self._arrived = None
        waiting, self._waiting = self._waiting, None
        body, self._body = self._body, None
        self._stop_sending()
        if waiting is not None:
            waiting.errback(error)
        elif body is not None:
            body.fail(error)

    def _on_stalled(self, stalled: bool) -> None:
        if stalled:
            self._time.stall(self._writer)
        else:
            self._time.unstall()

    def _expired(self) -> None:
        if self._waiting is not None:
            which = "request" if self._sending or self._time.stalled else "response"
            self._fail(UpstreamTimeout(reason=f"no {which} progress in time", end=f"timeout:{which}"))
        elif self._body is not None:
            which = "request" if self._time.stalled else "idle"
            self._fail(UpstreamTimeout(reason="the response's body stopped coming", end=f"timeout:{which}"))
        elif self._time.state is UpstreamState.IDLE:
            self.close()
            return
        self._abort()


def _keeps_alive(fields: HeaderFields, *, http11: bool) -> bool:
    """Whether the upstream keeps the connection open after a response with a ``Connection`` among its `fields` (RFC 9112 §9.3)."""
    options = {option.strip(b" \t").lower() for option in fields.joined(b"connection").split(b",")}
    return b"close" not in options and (http11 or b"keep-alive" in options)
