"""An upstream's answer: its head, and its body as it streams in."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from nnogw.bodies import BodyConsumer
from nnogw.fields import HeaderFields
from nnogw.wire.body import Connection


class UpstreamBody:
    """The body of an answer, from an upstream connection to one consumer (a `nnogw.bodies.Body`).

    Args:
        connection: is paused, resumed and given up.
        length: bytes as announced by Content-Length; None for a chunked body or one that ends with the connection.
    """

    __slots__ = ("_chunks", "_connection", "_consumer", "_error", "_paused", "complete", "length")

    def __init__(self, connection: Connection, length: int | None) -> None:
        self.length = length
        self.complete = False  # all of it has come
        self._connection: Connection | None = connection
        self._consumer: BodyConsumer | None = None
        self._chunks: list[bytes] = []  # what came before the consumer: at most one segment
        self._paused = False  # by the consumer
        self._error: Exception | None = None

    @property
    def flows(self) -> bool:
        """Whether bytes that come now have somewhere to go."""
        return self._consumer is not None

    def whole(self) -> bytes | None:
        """Return the body, if all of it came along with the head; None if it has to be streamed."""
        if not self.complete:
            return None
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

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
        elif self.complete:
            consumer.body_ended()
        elif self._paused:
            self.pauseProducing()  # now it is the consumer that the connection waits for
        else:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """Stop reading from the upstream."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause_body()

    def resumeProducing(self) -> None:
        """Go on reading from the upstream."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume_body()

    def stopProducing(self) -> None:
        """Close the upstream's connection: nobody wants the rest."""
        self._consumer = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop_body()

    # -- what the connection calls --

    def data(self, data: bytes) -> None:
        """Take `data` from the wire; without a consumer the connection waits."""
        if self._consumer is not None:
            self._consumer.body_data(data)
        else:
            self._chunks.append(data)

    def end(self) -> None:
        """Note that all has come."""
        self.complete = True
        self._connection = None
        if self._consumer is not None:
            self._consumer.body_ended()

    def fail(self, error: Exception) -> None:
        """Note that no more will come, and why."""
        self._error = error
        self._connection = None
        if self._consumer is not None:
            self._consumer.body_failed(error)


@implementer(IResponse)
class UpstreamResponse:
    """An answer. The proxy takes `status`, `reason`, `fields` and `body`; treq's tools take it as an `IResponse`."""

    __slots__ = ("_headers", "body", "fields", "previousResponse", "reason", "request", "status", "version")

    def __init__(self, status: int, reason: bytes, fields: HeaderFields, body: UpstreamBody) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body
        self.version = (b"HTTP", 1, 1)
        self.request = None
        self.previousResponse: object = None
        self._headers: Headers | None = None

    @property
    def code(self) -> int:
        """The status, as `IResponse` names it."""
        return self.status

    @property
    def phrase(self) -> bytes:
        """The reason phrase, as `IResponse` names it."""
        return self.reason

    @property
    def headers(self) -> Headers:
        """The fields as Twisted's headers, made when somebody asks."""
        if self._headers is None:
            self._headers = Headers()
            for _, name, value in self.fields.raw:
                self._headers.addRawHeader(name, value)
        return self._headers

    @property
    def length(self) -> Any:
        """The body's length in bytes, or ``UNKNOWN_LENGTH``."""
        return UNKNOWN_LENGTH if self.body.length is None else self.body.length

    def deliverBody(self, protocol: Any) -> None:
        """Stream the body to the `IProtocol` `protocol`, which ends with ``connectionLost(ResponseDone)``."""
        protocol.makeConnection(self.body)  # as much of a transport as Twisted's own client gives: a producer
        self.body.stream(_ToProtocol(protocol))

    def setPreviousResponse(self, response: object) -> None:
        """Note the answer that redirected here."""
        self.previousResponse = response


class _ToProtocol:
    """Passes a body on to a Twisted protocol."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def body_data(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def body_ended(self) -> None:
        self._protocol.connectionLost(Failure(ResponseDone()))

    def body_failed(self, error: Exception) -> None:
        self._protocol.connectionLost(Failure(error))
