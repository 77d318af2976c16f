"""The body of a message that comes in: a request's from its client, a response's from its upstream."""

from __future__ import annotations

from typing import Protocol

from nnogw.bodies import BodyConsumer


class Connection(Protocol):
    """What a body needs of the connection that it comes on."""

    def resume_body(self) -> None:
        """Read the body: somebody takes it now, or takes it again."""

    def pause_body(self) -> None:
        """Stop reading the body until `resume_body`."""

    def stop_body(self) -> None:
        """Take note that nobody takes the rest of the body."""


class BodyStopped(Exception):
    """The body has been stopped, and what had come of it was thrown away."""


class IncomingBody:
    """The body of a message, from the connection that it comes on to one consumer (a `nnogw.bodies.ResponseBody`).

    Args:
        connection: is told when to read the body. The body lets go of it when it has ended, failed or been stopped.
        length: bytes as announced by Content-Length; None for a chunked body or one that ends with the connection.

    Attributes:
        flows: bytes that come now have somewhere to go: to the consumer, or away because nobody wants them.
        received: bytes that have come so far.
    """

    __slots__ = ("_chunks", "_connection", "_consumer", "_ended", "_error", "_paused", "flows", "length", "received")

    def __init__(self, connection: Connection, length: int | None) -> None:
        self.length = length
        self.flows = False
        self.received = 0
        self._connection: Connection | None = connection
        self._consumer: BodyConsumer | None = None
        self._chunks: list[bytes] = []  # what came before the consumer: at most one segment, reading is paused then
        self._paused = False  # by the consumer
        self._ended = False
        self._error: Exception | None = None

    def whole(self) -> bytes | None:
        """Return the body, if all of it came along with the head and nobody has taken it; None if it has to be streamed."""
        if not self._ended or self.flows:
            return None
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def stream(self, consumer: BodyConsumer) -> None:
        """Start the flow to `consumer`."""
        self.flows = True
        self._consumer = consumer
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            consumer.body_data(chunk)
            if self._consumer is None:
                return  # it has had enough already
        if self._error is not None:
            self._consumer = None
            consumer.body_failed(self._error)
        elif self._ended:
            consumer.body_ended()
        elif self._paused:
            self.pauseProducing()  # now it is the consumer that the connection waits for
        else:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """Stop reading from the connection; without a consumer it is not read anyway."""
        self._paused = True
        if self._consumer is not None and self._connection is not None:
            self._connection.pause_body()

    def resumeProducing(self) -> None:
        """Go on reading from the connection, if there is a consumer."""
        self._paused = False
        if self._consumer is not None and self._connection is not None:
            self._connection.resume_body()

    def stopProducing(self) -> None:
        """Throw away what has come and what still comes; how much of it is read at all, the connection decides."""
        connection, self._connection = self._connection, None
        self._consumer = None
        self._chunks.clear()
        self.flows = True
        if self._error is None:
            self._error = BodyStopped("the body was stopped before it was taken")
        if connection is not None:
            connection.stop_body()

    # -- what the connection calls --

    def abandon(self, error: Exception) -> None:
        """Throw the rest away; a consumer that waits for it is told by `error` that it will not come."""
        consumer = self._consumer
        self.stopProducing()
        if consumer is not None:
            consumer.body_failed(error)

    def data(self, data: bytes) -> None:
        """Take `data` from the wire; before there is a consumer, the connection waits."""
        self.received += len(data)
        if self._consumer is not None:
            self._consumer.body_data(data)
        elif not self.flows:
            self._chunks.append(data)

    def end(self) -> None:
        """Note that all has come."""
        self._ended = True
        self._connection = None
        if self._consumer is not None:
            self._consumer.body_ended()

    def fail(self, error: Exception) -> None:
        """Note that no more will come, and why."""
        self._error = error
        self._connection = None
        consumer, self._consumer = self._consumer, None  # `stream` may be what it was called from
        if consumer is not None:
            consumer.body_failed(error)
