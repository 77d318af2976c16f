"""Both ends of the gateway over real sockets, byte for byte: clients that say anything, and services that follow a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

PATIENCE = 30  # seconds for what takes a moment on a quiet machine; no test measures it


async def until(condition: Callable[[], bool], what: str, context: Callable[[], object] = lambda: "") -> None:
    """Return when `condition` holds.

    Raises:
        AssertionError: it does not come; `what` was waited for, and `context` says how far it has come.
    """
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > deadline:
            raise AssertionError(f"{what}: it did not come. {context()}")
        await deferLater(reactor, 0.01)


class Wire(Protocol):
    """One end of a connection.

    Attributes:
        received: every byte that has come.
        closed: the connection is gone.
        clean: it was closed in order, not reset.
    """

    def __init__(self) -> None:
        self.received = b""
        self.closed = False
        self.clean = False

    def dataReceived(self, data: bytes) -> None:
        """Keep what comes."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of the end."""
        self.closed = True
        self.clean = reason.check(type(connectionDone.value)) is not None

    def send(self, data: bytes) -> None:
        """Send `data`, unless the connection is gone."""
        if not self.closed:
            self.transport.write(data)

    def hang_up(self) -> None:
        """Reset the connection."""
        if not self.closed:
            self.transport.abortConnection()

    async def until_received(self, piece: bytes) -> None:
        """Return when `piece` has come."""
        await until(lambda: piece in self.received, repr(piece), lambda: self.received[-400:])

    async def until_closed(self) -> bytes:
        """Return everything that was received when the connection is gone."""
        await until(lambda: self.closed, "the end of the connection", lambda: self.received[-400:])
        return self.received


async def connect(test: TestCase, port: int) -> Wire:
    """Return a client's connection to the loopback port `port`; it is dropped when the test is over."""
    wire = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Wire())
    test.addCleanup(_dropped, wire)
    return wire


def _dropped(wire: Wire) -> Any:
    wire.hang_up()
    return deferLater(reactor, 0)


class Visit(Wire):
    """A connection that the gateway has made to a service; `answer` is called once for each head of a request that is complete."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._heads = 0

    def connectionMade(self) -> None:
        """Take note of a connection."""
        self._service.visits.append(self)

    def dataReceived(self, data: bytes) -> None:
        """Keep what comes, and answer."""
        super().dataReceived(data)
        while self.received.count(b"\r\n\r\n") > self._heads and not self.closed:
            self._heads += 1
            self._service.answer(self)


class Service:
    """A service on a loopback port, which answers as its script says.

    Args:
        test: the test that it serves.
        answer: called with the connection on which a request's head has come.

    Attributes:
        visits: every connection that was made.
        port: where it listens.
    """

    def __init__(self, test: TestCase, answer: Callable[[Visit], None]) -> None:
        self.answer = answer
        self.visits: list[Visit] = []
        self._port: Any = reactor.listenTCP(0, Factory.forProtocol(lambda: Visit(self)), interface="127.0.0.1")
        self.port = int(self._port.getHost().port)
        test.addCleanup(self.stop)

    @property
    def url(self) -> str:
        """Where it can be reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        """Everything that came, over all connections."""
        return b"".join(visit.received for visit in self.visits)

    async def stop(self) -> None:
        """Stop listening, and drop what is open."""
        await maybeDeferred(self._port.stopListening)
        for visit in self.visits:
            visit.hang_up()
        await until(lambda: all(visit.closed for visit in self.visits), "the end of a service's connections")


def says(answer: bytes) -> Callable[[Visit], None]:
    """Return a script that answers every request with `answer`."""
    return lambda visit: visit.send(answer)


def silence(visit: Visit) -> None:
    """Answer nothing."""


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    """Return an answer with status 200."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(path: str, *fields: str, method: str = "GET") -> bytes:
    """Return a request of a client that wants to be told the end by the closing of the connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", "Connection: close", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
