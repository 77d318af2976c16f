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


class IncomingBody:
    """The body of a request, from the client's connection to one consumer (a `nnogw.bodies.Body`).

    Attributes:
        length: bytes as announced by Content-Length; None for a chunked body.
        received: bytes that have come so far.
        unwanted: nobody will take the rest.
    """

    __slots__ = ("_chunks", "_connection", "_consumer", "_ended", "_error", "_paused", "length", "received", "unwanted")

    def __init__(self, connection: Connection, length: int | None) -> None:
        self.length = length
        self.received = 0
        self.unwanted = False
        self._connection = connection
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
            self._connection.resume_body()

    def pauseProducing(self) -> None:
        """Stop reading from the client."""
        self._paused = True
        if self._consumer is not None and not self._ended:
            self._connection.pause_body()

    def resumeProducing(self) -> None:
        """Go on reading from the client."""
        self._paused = False
        if self._consumer is not None and not self._ended:
            self._connection.resume_body()

    def stopProducing(self) -> None:
        """Throw the rest away as it comes; how much of it is read at all, the connection decides."""
        self.unwanted = True
        self._consumer = None
        self._chunks.clear()
        self._connection.stop_body()

    # -- what the connection calls --

    def abandon(self, error: Exception) -> None:
        """Throw the rest away; a consumer that waits for it is told by `error` that it will not come."""
        consumer = self._consumer
        self.stopProducing()
        if consumer is not None:
            consumer.body_failed(error)

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
