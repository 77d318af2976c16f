"""Bodies that stream from one connection to another, with backpressure: what producers and consumers expect of one another."""

from __future__ import annotations

from typing import Protocol


class Producer(Protocol):
    """A push producer, as `twisted.internet.interfaces.IPushProducer` says it."""

    def pauseProducing(self) -> None:
        """Stop the flow until `resumeProducing`."""

    def resumeProducing(self) -> None:
        """Let the flow go on."""

    def stopProducing(self) -> None:
        """Nobody wants the rest."""


class BodyConsumer(Protocol):
    """Takes the bytes of a body. May pause and resume the body at any time."""

    def body_data(self, data: bytes) -> None:
        """Take some bytes of the body."""

    def body_ended(self) -> None:
        """The body is whole."""

    def body_failed(self, error: Exception) -> None:
        """The body broke off: its other end left, ran out of time or broke the framing. Nothing follows."""


class Body(Producer, Protocol):
    """A body that streams from a connection to one consumer, and does not flow until that consumer is there.

    A paused body's connection is not read, so that what is buffered stays within one segment. When stopped, an upstream's connection is
    closed; the rest of a client's body is thrown away within a bound. A body that has been stopped fails for whoever streams it.
    """

    length: int | None  # bytes, or None if only its end will tell

    def stream(self, consumer: BodyConsumer) -> None:
        """Start the flow to `consumer`; what has come already is handed over before this returns."""


class ResponseBody(Body, Protocol):
    """The body of an upstream's response."""

    @property
    def flows(self) -> bool:
        """Whether somebody takes the body."""

    def whole(self) -> bytes | None:
        """Return the body, if all of it came along with the head and nobody has taken it; None if it has to be streamed."""
