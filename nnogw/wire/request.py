"""A client's request as the root Resource sees it: its head, its streaming body, and the way to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from nnogw.bodies import BodyConsumer, Producer
from nnogw.errors import GatewayError
from nnogw.fields import Field, HeaderFields
from nnogw.wire.body import Connection


class Channel(Protocol):
    """What a request needs of the connection that it came on."""

    peer: str
    secure: bool

    @property
    def responses(self) -> Responses:
        """Writes the connection's responses."""

    def answered(self, request: GatewayRequest) -> None:
        """The whole answer has been written."""

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


class AlreadyAnswered(Exception):
    """The rest of a request's body is not read any more."""


class ClientBody:
    """The body of a request, from the client's connection to one consumer (a `nnogw.bodies.Body`).

    Attributes:
        length: bytes as announced by Content-Length; None for a chunked body.
        received: bytes that have come so far.
        unwanted: nobody will take the rest.
    """

    __slots__ = ("_channel", "_chunks", "_consumer", "_ended", "_error", "_paused", "length", "received", "unwanted")

    def __init__(self, channel: Connection, length: int | None) -> None:
        self.length = length
        self.received = 0
        self.unwanted = False
        self._channel = channel
        self._consumer: BodyConsumer | None = None
        self._chunks: list[bytes] = []  # what came before the consumer: at most one segment, reading is paused then
        self._paused = False  # by the consumer
        self._ended = False
        self._error: Exception | None = None

    @property
    def flows(self) -> bool:
        """Whether bytes that come now have somewhere to go."""
        return self._consumer is not None or self.unwanted

    def stream(self, consumer: BodyConsumer) -> None:
        """Start the flow to `consumer`."""
        self._consumer = consumer
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            consumer.body_data(chunk)
            if self._consumer is None:
                return  # it has had enough already
        if self._error is not None:
            consumer.body_failed(self._error)
        elif self._ended:
            consumer.body_ended()
        elif not self._paused:
            self._channel.resume_body()

    def pauseProducing(self) -> None:
        """Stop reading from the client."""
        self._paused = True
        if self._consumer is not None and not self._ended:
            self._channel.pause_body()

    def resumeProducing(self) -> None:
        """Go on reading from the client."""
        self._paused = False
        if self._consumer is not None and not self._ended:
            self._channel.resume_body()

    def stopProducing(self) -> None:
        """Throw the rest away as it comes; how much of it is read at all, the channel decides."""
        self.unwanted = True
        self._consumer = None
        self._chunks.clear()
        self._channel.stop_body()

    # -- what the channel calls --

    def abandon(self) -> None:
        """Throw the rest away, because the request has been answered. A consumer that waits for it is told that it will not come."""
        consumer = self._consumer
        self.stopProducing()
        if consumer is not None:
            consumer.body_failed(AlreadyAnswered("the request was answered before all of its body had come"))

    def data(self, data: bytes) -> None:
        """Take `data` from the wire."""
        self.received += len(data)
        if self._consumer is not None:
            self._consumer.body_data(data)
        elif not self.unwanted:
            self._chunks.append(data)

    def end(self) -> None:
        """Note that all has come."""
        self._ended = True
        if self._consumer is not None:
            self._consumer.body_ended()

    def fail(self, error: Exception) -> None:
        """Note that no more will come, and why."""
        self._error = error
        consumer, self._consumer = self._consumer, None  # `stream` may be what it was called from
        if consumer is not None:
            consumer.body_failed(error)


class GatewayRequest:
    """One request on a client's connection.

    It is not a `twisted.web.server.Request`: that reads whole bodies before anybody is asked, and its ``Headers`` alone cost 15 µs.

    Attributes:
        method, target: as received.
        fields: the header section.
        http10: the client speaks HTTP/1.0.
        keep_alive: the client would send another request on this connection.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
        body: None if there is none.
        refusal: what is wrong with the request, if anything is; the pipeline answers it.
        on_end: called once when the request has ended: with "" if its answer is complete, else with who cut it short.
        begun: the head of the answer has been written.
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
        method: bytes,
        target: bytes,
        fields: HeaderFields,
        *,
        http10: bool,
        keep_alive: bool,
        body: ClientBody | None,
        refusal: GatewayError | None,
    ) -> None:
        self.channel = channel
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
        """End the answer."""
        if self._done:
            return
        self._done = True
        self.channel.responses.end()
        try:
            self._end("")
        finally:
            self.channel.answered(self)

    def abort(self, by: str) -> None:
        """Cut the connection: the answer cannot be completed, and must not look as if it were. `by`: who broke it, for the log."""
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
