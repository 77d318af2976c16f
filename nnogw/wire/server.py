"""The client's side: a connection that parses requests with llhttp and hands each over as soon as its headers are in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from nnogw.errors import BadRequest, GatewayError, PayloadTooLarge, RequestTimeout
from nnogw.fields import HeaderFields
from nnogw.wire.chunked import pieces
from nnogw.wire.deadline import Deadline
from nnogw.wire.inlet import Inlet
from nnogw.wire.known_section import KnownSection
from nnogw.wire.outlet import Outlet
from nnogw.wire.request import ClientBody, ClientGone, GatewayRequest
from nnogw.wire.request_head import BARE_LINE_END, over_limit, refusal_of, version_of

if TYPE_CHECKING:
    from nnogw.wire.site import GatewaySite

#: Bytes of a body that one read takes at most: with 64 or 256 KiB, an upload of 1 MiB costs a tenth to a fifth more CPU time.
BULK = 128 * 1024
#: Bytes that are read of a body which nobody wants: to keep its connection, or to let its sender see the answer (nginx lingers too).
DRAIN_BYTES = 256 * 1024
#: Seconds that such a drain may take, or a client that does not close after our last word (nginx ``lingering_timeout``: 5 s).
LINGER = 5.0
#: Seconds that a connection may still take to begin its first request when the listener drains: it may just have been accepted.
FIRST_REQUEST = 1.0
#: A chunked body may take this many bytes on the wire, and `CHUNK_RATIO` times its data: chunks of one byte pass, floods of chunk
#: extensions and trailers do not (Go bounds them since CVE-2023-39326).
CHUNK_OVERHEAD = 16 * 1024
CHUNK_RATIO = 16

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?= )")


class GatewayChannel(Protocol):
    """One client connection: requests come in one after another, and are answered in that order.

    What comes is taken by the current state, a method ``(data) -> rest``: a head, a body of known length, a chunked body, nothing before
    the answer is out (`_hold`), or what nobody wants any more (`_drain`).

    Args:
        site: what all connections share.
    """

    def __init__(self, site: GatewaySite) -> None:
        self._site = site
        self._limits = site.limits
        self.peer = ""
        self.secure = False
        self._method = b""  # of the latest request; empty before the first
        self._parser: Any = None
        self._known: KnownSection | None = None
        self._receive: Callable[[bytes], bytes] = self._receive_head
        self._paused = False  # the socket is not read
        self._held = b""  # bytes behind the current request, not looked at yet: at most one segment
        self._current: GatewayRequest | None = None  # the request that is being answered
        self._body: ClientBody | None = None  # the body that is coming in
        self._body_left = 0  # bytes of it that have not come, if its length is known
        self._wire_bytes = 0  # bytes of a chunked body, framing included
        self._chunk_data: list[bytes] = []  # what of a chunked body came in one segment
        self._drained = 0
        self._broken = False  # what follows on the wire cannot be understood any more
        self._stalled = False  # the client does not take its answer
        self._lingering = False  # our last word is said
        self._deadline = Deadline(site.clock, self._expired)
        self._begin_head()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    # -- Protocol ----------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Take a new connection."""
        transport: Any = self.transport
        Inlet(transport, self.dataReceived, bulk=BULK)
        self.outlet = Outlet(transport, self._site.turn, self._on_stalled)
        host = getattr(transport.getPeer(), "host", None)
        self.peer = host or "unix"
        self.secure = ISSLTransport.providedBy(transport)
        if host:
            transport.setTcpNoDelay(True)
        self._site.channels.add(self)
        self._deadline.set(self._limits.header_timeout)

    def dataReceived(self, data: bytes) -> None:
        """Give `data` to the current state, and what that leaves to the next one."""
        while data:
            data = self._receive(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted declares a default
        """Tell whoever is concerned that the client is gone."""
        self._deadline.close()
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
        self._message_complete = False
        self._body = None
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)

    def _receive_head(self, data: bytes) -> bytes:
        before = len(self._head)
        if before:
            head = self._head + data
        else:
            if data[0] in b"\r\n":  # RFC 9112 §2.2: empty lines before a request are ignored
                return data.lstrip(b"\r\n")
            head = data
        end = head.find(b"\r\n\r\n", max(0, before - 3)) + 4
        rest = b""
        if 4 <= end < len(head):
            rest = data[end - before :]
            data = data[: end - before]
            head = head[:end]
        self._head = head
        if end >= 4 and not before and self._known is not None:
            line = self._known.request_line(head)
            if line is not None:
                return self._start_known(line, rest)
        error = self._parse(data) or over_limit(len(head), self._url, len(self._pairs), self._limits)
        if error is not None:
            self._refuse(error, HeaderFields(self._pairs))
            return b""
        if end < 4:
            if not before:
                self._wait(self._limits.header_timeout)
            return b""
        return self._start(head, rest)

    def _parse(self, data: bytes) -> GatewayError | None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the head was whole, and the parser is ready for the next: what to make of an upgrade, `_start` says
        except httptools.HttpParserError as error:
            reason = "a line that does not end with CR LF" if BARE_LINE_END.search(self._head) else f"malformed HTTP: {error}"
            return BadRequest(reason=reason)
        return None

    def _start(self, head: bytes, rest: bytes) -> bytes:
        """Hand over the request whose head is complete; `rest`, what came behind it, is left to the next state."""
        fields = HeaderFields(self._pairs)
        version = version_of(head, self._method, self._url) if self._headers_complete else None
        if version is None:
            error: GatewayError | None = BadRequest(reason="malformed request line")
        else:
            error = refusal_of(self._method, version, fields, upgrade=self._upgrade, limits=self._limits)
        if error is not None:
            self._refuse(error, fields)
            return b""
        body: ClientBody | None = None
        self._receive = self._hold
        if not self._message_complete:
            length = fields.first.get(b"content-length")
            if length is not None:
                self._body_left = int(length)
                body = ClientBody(self, self._body_left)
                self._receive = self._receive_sized
                self._parser = None  # bodies of known length are counted here, not parsed: it stands in the middle of one
            else:
                self._wire_bytes = 0
                body = ClientBody(self, None)
                self._receive = self._receive_chunked
        self._body = body
        if body is None and version == b"1.1" and KnownSection.fits(fields):
            self._known = KnownSection(head, fields, keep_alive=self._keep_alive)
        self._wait_for_nothing()
        self._answer(
            GatewayRequest(
                self, self._method, self._url, fields, http10=version == b"1.0", keep_alive=self._keep_alive, body=body, refusal=None
            )
        )
        return rest

    def _start_known(self, line: tuple[bytes, bytes], rest: bytes) -> bytes:
        """Hand over a request of which only the request line is new."""
        known = self._known
        assert known is not None
        self._method, self._url = line
        error = over_limit(len(self._head), self._url, len(known.fields.raw), self._limits)
        if error is not None:
            self._refuse(error, known.fields)
            return b""
        self._receive = self._hold
        self._wait_for_nothing()
        self._answer(
            GatewayRequest(self, self._method, self._url, known.fields, http10=False, keep_alive=known.keep_alive, body=None, refusal=None)
        )
        return rest

    def _refuse(self, error: GatewayError, fields: HeaderFields) -> None:
        """Answer what cannot be understood or is not allowed, and close: nothing behind it may be read as a request."""
        self._broken = True
        self._parser = None
        self._receive = self._drain
        self._wait_for_nothing()
        method = _METHOD.match(self._head)
        self._answer(
            GatewayRequest(
                self,
                method.group() if method else b"",
                self._url,
                fields,
                http10=False,
                keep_alive=False,
                body=None,
                refusal=error,
            )
        )

    def _answer(self, request: GatewayRequest) -> None:
        self._current = request
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
        taken = 0
        try:
            for piece, end in pieces(data):
                self._parser.feed_data(piece)
                taken = end
                if self._message_complete:
                    break
        except httptools.HttpParserError as error:
            self._break_body(BadRequest(reason=f"malformed chunked body: {error}"))
            return b""
        self._wire_bytes += taken
        came, self._chunk_data = self._chunk_data, []
        whole = self._message_complete
        refusal = self._over_body_limit(sum(map(len, came)))
        if refusal is not None:
            self._break_body(refusal)
        elif (not came or self._body_data(came[0] if len(came) == 1 else b"".join(came), more=not whole)) and whole:
            self._body_came()
        return data[taken:]

    def _over_body_limit(self, size: int) -> GatewayError | None:
        """Return the refusal of a chunked body of which `size` bytes more have come, or None."""
        assert self._body is not None
        received = self._body.received + size
        if received > self._limits.max_body:
            return PayloadTooLarge(reason=f"body over {self._limits.max_body} bytes", details={"maxBytes": self._limits.max_body})
        if self._wire_bytes > CHUNK_OVERHEAD + CHUNK_RATIO * received:
            return BadRequest(reason="chunk extensions or trailers out of proportion")
        return None

    def _body_data(self, data: bytes, *, more: bool) -> bool:
        """Pass on some of the body, behind which `more` is to come; returns whether the connection still takes it."""
        body = self._body
        assert body is not None
        if body.flows:
            if not body.unwanted:
                self._wait(self._limits.body_timeout)
        elif more:
            self._pause()
        body.data(data)
        return self._body is body

    def _body_came(self) -> None:
        body, self._body = self._body, None
        self._wait_for_nothing()
        if self._current is None:  # it was answered before its body had come
            self._next()
            return
        self._receive = self._hold
        assert body is not None
        body.end()

    def _break_body(self, error: Exception) -> None:
        body, self._body = self._body, None
        self._broken = True
        self._parser = None
        self._receive = self._drain
        self._wait_for_nothing()
        if self._current is None:
            self.cut()
        else:
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
        """Take a field of the head; what comes after a body is a trailer, and trailers do not become headers (RFC 9110 §6.5.1)."""
        if not self._headers_complete:
            self._pairs.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take what llhttp makes of the head."""
        parser = self._parser
        self._headers_complete = True
        self._method = parser.get_method()
        self._keep_alive = parser.should_keep_alive()
        self._upgrade = parser.should_upgrade()

    def on_body(self, data: bytes) -> None:
        """Take a piece of a chunked body."""
        self._chunk_data.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        self._message_complete = True

    # -- what the request and its body ask for -----------------------------------------------------------------------

    def may_keep_alive(self, request: GatewayRequest) -> bool:
        """Whether the connection can serve another request after this one's answer."""
        if self._broken or self._site.closing:
            return False
        body = self._body
        if body is None:
            return True
        if body.length is None or request.expects_continue:
            return False  # it is not known how much will come, or whether anything
        return self._body_left <= DRAIN_BYTES

    def body_wanted(self) -> None:
        """Somebody takes the body: ask the client for it if it waits to be asked, and read it."""
        request = self._current
        if request is not None and request.expects_continue:
            request.expects_continue = False
            if not request.begun and self._body is not None and not self._body.received:
                self.outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._body is not None:
            self._wait(self._limits.body_timeout)
            self._resume()

    def pause_body(self) -> None:
        """Stop reading the body."""
        if self._body is not None:
            self._wait_for_nothing()
            self._pause()

    def answered(self, request: GatewayRequest) -> None:
        """The whole answer has been written: go on to the next request, or close."""
        self._current = None
        body = self._body
        if body is not None:
            body.stopProducing()
        if not request.keep_alive or self._broken:  # broken: what follows is the rest of a body, whatever the answer's head had promised
            self._close()
        elif body is None:
            self._next()
        else:
            self._wait(LINGER)
            self._resume()

    def cut(self, by: str = "client") -> None:
        """Drop the connection without a word; `by` says who ended the request under way, if there is one."""
        self._let_go(by)
        transport: Any = self.transport
        transport.abortConnection()

    def _let_go(self, by: str) -> None:
        self._receive = self._drain
        self._held = b""
        request, self._current = self._current, None
        if request is not None:
            request.lost(by)
        body, self._body = self._body, None
        if body is not None:
            body.fail(ClientGone("the client's connection is gone"))

    def retire(self) -> None:
        """Close as soon as no request is under way: the listener is draining. One that has just been accepted gets time for its first."""
        if self._current is None and not self._head and not self._lingering:
            if self._method:
                self._close()
            else:
                self._deadline.set(min(FIRST_REQUEST, self._limits.header_timeout))

    # -- between requests --------------------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._stalled:  # answers would pile up: the next request waits until the client has taken this one's
            self._receive = self._hold
            return
        self._begin_head()
        self._deadline.set(self._limits.idle_timeout)
        self._resume()
        held, self._held = self._held, b""
        if held:
            self.dataReceived(held)
        if self._site.draining:
            self.retire()

    def _close(self) -> None:
        """Say that this was the last word; a client that is still sending gets time to read it (RFC 9112 §9.6)."""
        unread = self._broken or self._body is not None or bool(self._held)
        self._receive = self._drain
        self._body = None
        self._held = b""
        self._lingering = True
        if unread:
            self._resume()
            self.outlet.half_close()
        else:
            self.outlet.close()
        self._deadline.set(LINGER if self.outlet.idle else self._limits.send_timeout)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            transport: Any = self.transport
            transport.pauseProducing()
            self._site.hangups.watch(self)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._site.hangups.forget(self)
            transport: Any = self.transport
            transport.resumeProducing()

    # -- time --------------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Set the limit of what the connection waits for; while the client does not take its answer, the limit on that counts alone."""
        if not self._stalled:
            self._deadline.set(seconds)

    def _wait_for_nothing(self) -> None:
        if not self._stalled:
            self._deadline.clear()

    def _on_stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        if stalled:
            self._deadline.set(self._limits.send_timeout)
        elif self._lingering or (self._current is None and self._body is not None):
            self._deadline.set(LINGER)
        elif self._body is not None and not self._paused:
            self._deadline.set(self._limits.body_timeout)
        elif self._current is not None:
            self._deadline.clear()
        elif self._receive == self._hold:
            self._next()
        else:
            self._deadline.set(self._limits.header_timeout if self._head else self._limits.idle_timeout)

    def _expired(self) -> None:
        if self._lingering or self._stalled:
            self.cut("timeout:send")
        elif self._body is not None:
            self._break_body(RequestTimeout(reason="the body stopped coming", end="timeout:body"))
        elif self._head:
            self._refuse(RequestTimeout(reason="the head did not come in time", end="timeout:header"), HeaderFields(self._pairs))
        else:
            self._close()
