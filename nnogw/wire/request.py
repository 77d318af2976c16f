"""A client's request as the root Resource sees it: its head, its streaming body, and the way to respond."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import Deferred

from nnogw.bodies import Producer
from nnogw.errors import GatewayError
from nnogw.exchange import Exchange, Response
from nnogw.fields import Field, HeaderFields
from nnogw.headers import TrustedProxies
from nnogw.routes import RouteTable
from nnogw.settings import LimitSettings
from nnogw.wire.body import IncomingBody
from nnogw.wire.http1.limits import TimeLimits


class Generation(Protocol):
    """One generation of the configuration, as far as requests and connections know it. It does not change."""

    @property
    def number(self) -> int:
        """Which one it is, from 1 on."""

    @property
    def limits(self) -> LimitSettings:
        """What clients may send."""

    @property
    def client_limits(self) -> TimeLimits:
        """How long the states of a client's connection may last."""

    @property
    def routes(self) -> RouteTable:
        """Where paths lead."""

    @property
    def trusted(self) -> TrustedProxies:
        """The proxies in front of us that may say who the client is."""

    @property
    def pipeline(self) -> Callable[[Exchange], Deferred[Response]]:
        """The whole chain of middlewares."""


class Channel(Protocol):
    """What a request needs of the connection that it came on."""

    peer: str
    secure: bool

    @property
    def responses(self) -> Responses:
        """Writes the connection's responses."""

    def responded(self, request: GatewayRequest) -> None:
        """The whole response has been written."""

    def cut(self) -> None:
        """Drop the connection without a word."""


class Responses(Protocol):
    """Writes the responses of a connection, in the protocol that is spoken there."""

    def begin(self, request: GatewayRequest, status: int, reason: bytes | None, fields: Iterable[Field], whole: bytes | None) -> bool:
        """Write the head of the response to `request`; see `GatewayRequest.begin`. Sets its `begun`, `keep_alive` and `bytes_out`."""

    def hint(self, fields: HeaderFields) -> None:
        """Write a ``103 Early Hints``."""

    def write(self, data: bytes) -> None:
        """Write some of the body, at least one byte."""

    def end(self) -> None:
        """End the body."""

    def set_source(self, source: Producer | None) -> None:
        """Let `source`, where the body comes from, be paused while the client does not take it; None: nobody any more."""


class ClientGone(Exception):
    """The client's connection is lost."""


class AlreadyResponded(Exception):
    """The rest of a request's body is not read any more."""


class GatewayRequest:
    """One request on a client's connection.

    It is not a `twisted.web.server.Request`: that reads whole bodies before anybody is asked, and its ``Headers`` alone cost 15 µs.

    Attributes:
        generation: the configuration that responses it.
        method, target: as received.
        fields: the header section.
        http10: the client speaks HTTP/1.0.
        keep_alive: the client would send another request on this connection.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
        body: None if there is none.
        refusal: what is wrong with the request, if anything is; the pipeline answers it.
        on_end: called once when the request has ended: with "" if its response is complete, else with who cut it short.
        begun: the head of the response has been written.
        bytes_out: body bytes written.
    """

    __slots__ = (
        "_done",
        "begun",
        "body",
        "bytes_out",
        "channel",
        "expects_continue",
        "fields",
        "generation",
        "http10",
        "keep_alive",
        "method",
        "on_end",
        "refusal",
        "target",
    )

    def __init__(
        self,
        channel: Channel,
        generation: Generation,
        method: bytes,
        target: bytes,
        fields: HeaderFields,
        *,
        http10: bool,
        keep_alive: bool,
        body: IncomingBody | None,
        refusal: GatewayError | None,
    ) -> None:
        self.channel = channel
        self.generation = generation
        self.method = method
        self.target = target
        self.fields = fields
        self.http10 = http10
        self.keep_alive = keep_alive
        self.expects_continue = body is not None and not http10 and b"expect" in fields.first
        self.body = body
        self.refusal = refusal
        self.on_end: Callable[[str], None] | None = None
        self.begun = False
        self.bytes_out = 0
        self._done = False

    def begin(self, status: int, reason: bytes | None, fields: Iterable[Field], whole: bytes | None = None) -> bool:
        """Write the head of the response, and its body if that is there already.

        Args:
            status: the status.
            reason: the reason phrase; None for the status's standard one.
            fields: end-to-end header fields. A Content-Length among them is the body's.
            whole: the body; None if it follows, or if there is none.

        Returns:
            Whether a body may follow: not to HEAD, nor with 204 and 304.
        """
        return self.channel.responses.begin(self, status, reason, fields, whole)

    def hint(self, fields: HeaderFields) -> None:
        """Pass on what an upstream says in a 103 (RFC 8297), unless the response has begun; HTTP/1.0 knows none (RFC 9110 §15.2)."""
        if not (self.begun or self.http10 or self._done):
            self.channel.responses.hint(fields)

    def set_source(self, source: Producer | None) -> None:
        """Let `source`, where the response's body comes from, be paused while the client does not take it; None: nobody any more."""
        self.channel.responses.set_source(source)

    def write(self, data: bytes) -> None:
        """Write some of the body."""
        if data:
            self.bytes_out += len(data)
            self.channel.responses.write(data)

    def finish(self) -> None:
        """End the response."""
        if self._done:
            return
        self._done = True
        self.channel.responses.end()
        try:
            self._end("")
        finally:
            self.channel.responded(self)

    def abort(self, by: str) -> None:
        """Cut the connection: the response cannot be completed, and must not look as if it were. `by`: who broke it, for the log."""
        try:
            self.lost(by)
        finally:
            self.channel.cut()

    def lost(self, by: str) -> None:
        """Take note that the connection is gone."""
        if self._done:
            return
        self._done = True
        self._end(by)

    def _end(self, by: str) -> None:
        on_end, self.on_end = self.on_end, None  # what it belongs to holds the request: no cycle is left to be collected
        if on_end is not None:
            on_end(by)
