"""The client's side: a connection that parses requests with llhttp and hands each over as soon as its headers are in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httptools
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

from nnogw.errors import BadRequest, GatewayError, PayloadTooLarge, RequestTimeout
from nnogw.fields import HeaderFields
from nnogw.interfaces import Clock, Transport
from nnogw.wire.body import IncomingBody
from nnogw.wire.http1.chunked import ChunkedDecoder
from nnogw.wire.http1.head import split_head
from nnogw.wire.http1.header_cache import LONGEST, HeaderSectionCache
from nnogw.wire.http1.limits import ClientState, State, StateLimit
from nnogw.wire.http1.request_head import BARE_LINE_END, over_limit, refusal_of, version_of
from nnogw.wire.http1.writer import ResponseWriter
from nnogw.wire.request import AlreadyResponded, ClientGone, GatewayRequest, Generation
from nnogw.wire.transport.hangup import HangupWatch
from nnogw.wire.transport.reader import SocketReader
from nnogw.wire.transport.write_batch import WriteBatch
from nnogw.wire.transport.writer import SocketWriter

#: Bytes of a body that one read takes at most: with 64 or 256 KiB, an upload of 1 MiB costs a tenth to a fifth more CPU time.
BULK = 128 * 1024
#: Bytes that are read of a body which nobody wants: to keep its connection, or to let its sender see the response (nginx lingers too).
DRAIN_BYTES = 256 * 1024
#: Requests of one connection that are taken in one turn of the reactor: what a client has pipelined beyond that waits for the next, so that
#: nobody else waits for it. 16 requests that the gateway answers itself take 1 to 2 ms.
MOST_A_TURN = 16
#: A chunked body may take this many bytes on the wire, and `CHUNK_RATIO` times its data: chunks of one byte pass, floods of chunk
#: extensions and trailers do not (Go bounds them since CVE-2023-39326).
CHUNK_OVERHEAD = 16 * 1024
CHUNK_RATIO = 16

_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?= )")


class Root(Protocol):
    """What responds to requests: the root of the resource tree."""

    def render(self, request: GatewayRequest) -> object:
        """Begin to respond to `request`."""


class Site(Protocol):
    """What a connection needs of what all connections share."""

    resource: Root
    clock: Clock
    generation: Generation
    batch: WriteBatch
    hangups: HangupWatch
    channels: set[GatewayChannel]
    closing: bool
    draining: bool

    def forget(self, channel: GatewayChannel) -> None:
        """Take note that a connection is gone."""


class GatewayChannel(TwistedProtocol):
    """One client connection: requests come in one after another, and are answered in that order.

    What comes is taken by the current state, a method ``(data) -> rest``: a head, a body of known length, a chunked body, nothing before
    the response is out (`_hold`), or what nobody wants any more (`_drain`).

    A connection outlives the configuration that it began with. So it reads the site's generation for each request, when the request's head
    is complete or refused, and keeps none.

    Args:
        site: what all connections share.
    """

    #: With 32 connections, slots spare a request 0.5 to 1 % of its CPU time.
    __slots__ = (
        "_body",
        "_body_left",
        "_broken",
        "_chunked",
        "_current",
        "_drained",
        "_head",
        "_headers_complete",
        "_held",
        "_keep_alive",
        "_known",
        "_max_body",
        "_method",
        "_pairs",
        "_parser",
        "_paused",
        "_receive",
        "_retiring",
        "_site",
        "_taken",
        "_time",
        "_url",
        "_wire_bytes",
        "peer",
        "responses",
        "secure",
        "writer",
    )

    transport: Transport

    def __init__(self, site: Site) -> None:
        self._site = site
        self.peer = ""
        self.secure = False
        self._method = b""  # of the latest request; empty before the first
        self._parser: Any = None  # of httptools, or None where none is fed; Any, as asking before each feeding would cost
        self._known: HeaderSectionCache | None = None
        self._receive: Callable[[bytes], bytes] = self._receive_head
        self._paused = False  # the socket is not read
        self._held = b""  # bytes behind the current request, not looked at yet: at most one segment
        self._taken = 0  # requests that were taken in this turn of the reactor
        self._current: GatewayRequest | None = None  # the request that is being answered
        self._body: IncomingBody | None = None  # the body that is coming in
        self._body_left = 0  # bytes of it that have not come, if its length is known
        self._max_body = 0  # bytes that it may have, if its length is not known
        self._wire_bytes = 0  # bytes of a chunked body, framing included
        self._chunked: ChunkedDecoder | None = None  # of the body that is coming in
        self._drained = 0
        self._broken = False  # what follows on the wire cannot be understood any more
        self._retiring = False  # the listener that it came through is not to serve any more
        self._time = StateLimit(site.clock, site.generation.client_limits, ClientState.NEW, self._expired)
        self._begin_head()

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return self._time.state

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    # -- Protocol ----------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Take a new connection."""
        transport = self.transport
        SocketReader(transport, self.dataReceived, bulk=BULK)
        self.writer = SocketWriter(transport, self._site.batch, self._on_stalled)
        self.responses = ResponseWriter(self.writer, self.may_keep_alive)
        host = getattr(transport.getPeer(), "host", None)
        self.peer = host or "unix"
        self.secure = ISSLTransport.providedBy(transport)
        if host:
            transport.setTcpNoDelay(True)
        self._site.channels.add(self)
        self._time.enter(ClientState.NEW)

    def dataReceived(self, data: bytes) -> None:
        """Give `data` to the current state, and what that leaves to the next one."""
        self._taken = 0
        while data:
            data = self._receive(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted declares a default
        """Tell whoever is concerned that the client is gone."""
        self._time.close()
        self._let_go("client")
        self._site.forget(self)  # at last: it may be what a drain waits for, and the request's books are closed then

    def hung_up(self) -> None:
        """The client has closed its end while the connection was not being read."""
        self.cut()

    # -- receiving: a head -------------------------------------------------------------------------------------------

    def _begin_head(self) -> None:
        self._receive = self._receive_head
        self._head = b""
        self._url = b""
        self._pairs: list[tuple[bytes, bytes]] = []  # names and values of the fields that have come
        self._headers_complete = False
        self._body = None
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)

    def _receive_head(self, data: bytes) -> bytes:
        begun = self._head
        if (begun or data)[0] in b"\r\n":
            return self._receive_blank_lines(begun + data)
        head, data, rest, complete = split_head(begun, data)
        self._head = head
        generation = self._site.generation
        known = self._known
        if complete and not begun and known is not None and known.generation == generation.number:
            line = known.request_line(head)
            if line is not None:
                return self._start_known(known, line, rest, generation)
        error = self._parse(data) or over_limit(len(head), self._url, len(self._pairs), generation.limits)
        if error is not None:
            self._refuse(error, HeaderFields(self._pairs))
            return b""
        if not complete:
            if not begun:
                self._time.enter(ClientState.HEAD)
            return b""
        return self._start(head, rest, generation)

    def _receive_blank_lines(self, data: bytes) -> bytes:
        """Skip empty lines before a request (RFC 9112 §2.2); a CR or LF alone is none."""
        blank = _BLANK_LINES.match(data)
        rest = data[blank.end() :] if blank is not None else data
        self._head = b""
        if rest == b"\r":
            self._head = rest  # its LF may still come; this is no request yet
            return b""
        if rest and rest[0] in b"\r\n":
            self._refuse(BadRequest(reason="a CR or LF alone before the request line"), HeaderFields())
            return b""
        return rest

    def _parse(self, data: bytes) -> GatewayError | None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the head was whole; what follows is a body by its own framing, or the next request (RFC 9110 §7.8)
        except httptools.HttpParserError as error:
            reason = "a line that does not end with CR LF" if BARE_LINE_END.search(self._head) else f"malformed HTTP: {error}"
            return BadRequest(reason=reason)
        return None

    def _start(self, head: bytes, rest: bytes, generation: Generation) -> bytes:
        """Hand over the request whose head is complete; `rest`, what came behind it, is left to the next state."""
        fields = HeaderFields(self._pairs)
        version = version_of(head, self._method, self._url) if self._headers_complete else None
        if version is None:
            error: GatewayError | None = BadRequest(reason="malformed request line")
        else:
            error = refusal_of(self._method, version, fields, limits=generation.limits)
        if error is not None:
            self._refuse(error, fields)
            return b""
        body = self._body = self._begin_body(fields.first)
        if body is None and version == b"1.1" and len(head) <= LONGEST and HeaderSectionCache.fits(fields):
            self._known = HeaderSectionCache(head, fields, keep_alive=self._keep_alive, generation=generation.number)
        if body is not None and body.length is None:
            self._max_body = generation.limits.max_body
        self._respond(generation, fields, http10=version == b"1.0", keep_alive=self._keep_alive, body=body)
        return rest

    def _begin_body(self, fields: Mapping[bytes, bytes]) -> IncomingBody | None:
        """Get ready for the body that a good head announces (RFC 9112 §6.3), and return it; None if there is none."""
        length = fields.get(b"content-length")
        if b"transfer-encoding" in fields:
            self._wire_bytes = 0
            self._chunked = ChunkedDecoder()
            self._receive = self._receive_chunked
            body = IncomingBody(self, None)
        elif length is not None and int(length):
            self._body_left = int(length)
            self._receive = self._receive_sized
            body = IncomingBody(self, self._body_left)
        else:
            self._receive = self._hold
            return None
        self._parser = None  # it stands before the body, which is not given to it
        return body

    def _start_known(self, known: HeaderSectionCache, line: tuple[bytes, bytes], rest: bytes, generation: Generation) -> bytes:
        """Hand over a request of which only the request line is new."""
        self._method, self._url = line
        error = over_limit(len(self._head), self._url, len(known.fields.raw), generation.limits)
        if error is not None:
            self._refuse(error, known.fields)
            return b""
        self._receive = self._hold
        self._respond(generation, known.fields, keep_alive=known.keep_alive)
        return rest

    def _refuse(self, error: GatewayError, fields: HeaderFields) -> None:
        """Answer what cannot be understood or is not allowed, and close: nothing behind it may be read as a request."""
        self._broken = True
        self._parser = None
        self._receive = self._drain
        method = _METHOD.match(self._head)
        self._method = method.group() if method else b""
        self._respond(self._site.generation, fields, refusal=error)

    def _respond(
        self,
        generation: Generation,
        fields: HeaderFields,
        *,
        http10: bool = False,
        keep_alive: bool = False,
        body: IncomingBody | None = None,
        refusal: GatewayError | None = None,
    ) -> None:
        """Hand over the request whose request line came last."""
        request = GatewayRequest(
            self, generation, self._method, self._url, fields, http10=http10, keep_alive=keep_alive, body=body, refusal=refusal
        )
        self._taken += 1
        self._current = request
        self._time.enter(ClientState.RESPONDING)
        self._site.resource.render(request)

    # -- receiving: a body -------------------------------------------------------------------------------------------

    def _receive_sized(self, data: bytes) -> bytes:
        rest = b""
        if len(data) > self._body_left:
            rest = data[self._body_left :]
            data = data[: self._body_left]
        self._body_left -= len(data)
        if self._body_data(data, more=self._body_left > 0) and not self._body_left:
            self._body_came()
        return rest

    def _receive_chunked(self, data: bytes) -> bytes:
        chunked = self._chunked
        assert chunked is not None
        try:
            came, taken = chunked.decode(data)
        except httptools.HttpParserError as error:
            self._break_body(BadRequest(reason=f"malformed chunked body: {error}"))
            return b""
        self._wire_bytes += taken
        refusal = self._over_body_limit(len(came))
        if refusal is not None:
            self._break_body(refusal)
        elif (not came or self._body_data(came, more=not chunked.ended)) and chunked.ended:
            self._body_came()
        return data[taken:]

    def _over_body_limit(self, size: int) -> GatewayError | None:
        """Return the refusal of a chunked body of which `size` bytes more have come, or None."""
        assert self._body is not None
        received = self._body.received + size
        if received > self._max_body:
            return PayloadTooLarge(reason=f"body over {self._max_body} bytes", details={"maxBytes": self._max_body})
        if self._wire_bytes > CHUNK_OVERHEAD + CHUNK_RATIO * received:
            return BadRequest(reason="chunk extensions or trailers out of proportion")
        return None

    def _body_data(self, data: bytes, *, more: bool) -> bool:
        """Pass on some of the body, behind which `more` is to come; returns whether the connection still takes it."""
        body = self._body
        assert body is not None
        if body.flows:
            if self._time.state is ClientState.BODY:
                self._time.enter(ClientState.BODY)  # progress
        elif more:
            self._pause()
        body.data(data)
        return self._body is body

    def _body_came(self) -> None:
        body, self._body = self._body, None
        self._chunked = None
        if self._current is None:  # it was answered before its body had come
            self._next()
            return
        self._receive = self._hold
        self._time.enter(ClientState.RESPONDING)
        assert body is not None
        body.end()

    def _break_body(self, error: Exception) -> None:
        body, self._body = self._body, None
        self._broken = True
        self._parser = self._chunked = None
        self._receive = self._drain
        if self._current is None:
            self.cut()
        else:
            self._time.enter(ClientState.RESPONDING)
            assert body is not None
            body.fail(error)

    def _hold(self, data: bytes) -> bytes:
        self._held += data
        self._pause()
        return b""

    def _drain(self, data: bytes) -> bytes:
        self._drained += len(data)
        if self._drained > DRAIN_BYTES:
            self._pause()
        return b""

    # -- llhttp ------------------------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head."""
        self._pairs.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take what llhttp makes of the head."""
        parser = self._parser
        self._headers_complete = True
        self._method = parser.get_method()
        self._keep_alive = parser.should_keep_alive()

    # -- what the request and its body ask for -----------------------------------------------------------------------

    def may_keep_alive(self, request: GatewayRequest) -> bool:
        """Whether the connection can serve another request after this one's response."""
        if self._broken or self._retiring or self._site.closing:
            return False
        body = self._body
        if body is None:
            return True
        if body.length is None or request.expects_continue:
            return False  # it is not known how much will come, or whether anything
        return self._body_left <= DRAIN_BYTES

    def resume_body(self) -> None:
        """Read the body; the client is asked for it first if it waits to be asked."""
        request = self._current
        if request is not None and request.expects_continue:
            request.expects_continue = False
            if not request.begun and self._body is not None and not self._body.received:
                self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._body is not None:
            self._time.enter(ClientState.BODY)
            self._resume()

    def pause_body(self) -> None:
        """Stop reading the body."""
        if self._body is not None:
            self._time.enter(ClientState.RESPONDING)
            self._pause()

    def stop_body(self) -> None:
        """Nobody takes the rest of the body; what of it still comes while the response is sent is thrown away."""
        self._time.move(ClientState.RESPONDING)

    def responded(self, request: GatewayRequest) -> None:
        """The whole response has been written: go on to the next request, or close."""
        self._current = None
        body = self._body
        if body is not None:
            body.abandon(AlreadyResponded("the request was answered before all of its body had come"))
        if not request.keep_alive or self._broken:  # broken: what follows is the rest of a body, whatever the response's head had promised
            self._close()
        elif body is None:
            self._next()
        else:
            self._time.enter(ClientState.DRAINING)
            self._resume()

    def cut(self, by: str = "client") -> None:
        """Drop the connection without a word; `by` says who ended the request under way, if there is one."""
        self._let_go(by)
        self.transport.abortConnection()

    def _let_go(self, by: str) -> None:
        self._time.enter(ClientState.CLOSED)
        self._receive = self._drain
        self._held = b""
        request, self._current = self._current, None
        if request is not None:
            request.lost(by)
        body, self._body = self._body, None
        if body is not None:
            body.fail(ClientGone("the client's connection is gone"))

    def renew(self) -> None:
        """Another generation of the configuration counts from now on; a request under way ends with the one that it began with."""
        self._known = None
        if self._current is None and self._body is None:
            self._time.change(self._site.generation.client_limits)

    def came_through(self, port: object) -> bool:
        """Whether it was accepted by the listening `port`."""
        return getattr(self.transport, "server", None) is port

    def retire(self) -> None:
        """Close as soon as no request is under way: the listener is draining. One that has just been accepted gets time for its first."""
        self._retiring = True
        state = self._time.state
        if state is ClientState.IDLE:
            self._close()
        elif state is ClientState.NEW:
            self._time.enter(ClientState.LATE)

    # -- between requests --------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Take the next request, unless it has to wait: until the client has taken the responses before it, or for the next turn."""
        limits = self._site.generation.client_limits
        if limits is not self._time.limits:
            self._time.use(limits)
        if self._time.stalled:
            self._hold_back()
            return
        if self._taken >= MOST_A_TURN:
            self._hold_back()
            self._site.batch.at_end(self._go_on)
            return
        self._begin_head()
        self._time.enter(ClientState.IDLE)
        self._resume()
        held, self._held = self._held, b""
        if held:
            self.dataReceived(held)
        if self._retiring or self._site.draining:
            self.retire()

    def _hold_back(self) -> None:
        self._receive = self._hold
        self._time.enter(ClientState.HELD)

    def _go_on(self) -> None:
        if self._time.state is ClientState.HELD:
            self._taken = 0
            self._next()

    def _close(self) -> None:
        """Say that this was the last word; a client that is still sending gets time to read it (RFC 9112 §9.6)."""
        unread = self._broken or self._body is not None or bool(self._held)
        self._receive = self._drain
        self._body = None
        self._held = b""
        self._time.enter(ClientState.CLOSING)
        self._resume()  # over TLS, the client's goodbye has to be read
        if unread:
            self.writer.half_close()
        else:
            self.writer.close()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()
            self._site.hangups.watch(self)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._site.hangups.forget(self)
            self.transport.resumeProducing()

    # -- time --------------------------------------------------------------------------------------------------------

    def _on_stalled(self, stalled: bool) -> None:
        if stalled:
            self._time.stall(self.writer)
            return
        self._time.unstall()
        self._go_on()

    def _expired(self) -> None:
        state = self._time.state
        if self._time.stalled or state in (ClientState.CLOSING, ClientState.DRAINING, ClientState.HELD):
            self.cut("timeout:send")
        elif state is ClientState.BODY:
            self._break_body(RequestTimeout(reason="the body stopped coming", end="timeout:body"))
        elif state is ClientState.HEAD:
            self._refuse(RequestTimeout(reason="the head did not come in time", end="timeout:header"), HeaderFields(self._pairs))
        else:
            self._close()
