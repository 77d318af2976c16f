"""A client's connection in memory: what a test sends goes to a real `GatewayChannel`, what comes back is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from nnogw.fields import field
from nnogw.settings import LimitSettings
from nnogw.wire.request import GatewayRequest
from nnogw.wire.site import GatewaySite
from tests.doubles import Rules

GET = b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n"
POST_CHUNKED = b"POST /x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
SEGMENT = 64 * 1024  # bytes that one read takes off a socket

#: A new connection of a client at an address of the documentation's (RFC 5737).
CLIENT = IPv4Address("TCP", "192.0.2.7", 40000)
UNIX_CLIENT = UNIXAddress(None)

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def post(length: int, *fields: bytes) -> bytes:
    """Return the head of a POST that announces `length` bytes."""
    return b"POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n%b\r\n" % (length, b"".join(line + b"\r\n" for line in fields))


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(request: GatewayRequest, body: bytes = b"ok") -> None:
    """Answer `request` whole: as its refusal says, else with 200."""
    status = 200 if request.refusal is None else request.refusal.status
    if request.begin(status, None, [field(b"Content-Length", b"%d" % len(body))]):
        request.write(body)
    request.finish()


def wait(request: GatewayRequest) -> None:
    """Answer nothing yet."""


class Root(Resource):
    """A root resource that takes note of its requests, and of how they end.

    Args:
        respond: what is done with each request as soon as it is handed over.

    Attributes:
        requests: in the order in which they were handed over.
        ends: what their ``on_end`` was called with.
    """

    isLeaf = True

    def __init__(self, respond: Callable[[GatewayRequest], None] = answer) -> None:
        super().__init__()
        self.requests: list[GatewayRequest] = []
        self.ends: list[str] = []
        self._respond = respond

    def render(self, request: GatewayRequest) -> None:  # a GatewayRequest is not twisted.web's Request
        """Take a request."""
        request.on_end = self.ends.append
        self.requests.append(request)
        self._respond(request)


class _Transport(StringTransport):
    """A socket's behaviour, as much as a channel sees of it."""

    def __init__(self, connection: ClientConnection, peer: Any) -> None:
        super().__init__(peerAddress=peer)
        self._connection = connection
        self.no_delay = False
        self.aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def abortConnection(self) -> None:
        self.aborted = True
        self._connection.lose(ConnectionLost())

    def loseConnection(self) -> None:
        super().loseConnection()
        if not self._connection.lingers:
            self._connection.lose(ConnectionDone())

    def pauseProducing(self) -> None:
        self.producerState = "paused"

    def resumeProducing(self) -> None:
        self.producerState = "producing"
        self._connection.clock.callLater(0, self._connection.deliver)


class ClientConnection:
    """One client and its connection to a gateway's channel.

    Args:
        root: answers the requests.
        limits: what the client may send.
        site: an existing site to connect to, with its root.
        peer: the client's address.
        lingers: the connection stays after the gateway has closed it, as one does whose client goes on sending.

    Attributes:
        clock: the reactor's.
        lost: the gateway's channel knows that the connection is gone.
    """

    def __init__(
        self,
        root: Root | None = None,
        limits: LimitSettings | None = None,
        *,
        site: GatewaySite | None = None,
        peer: Any = CLIENT,
        lingers: bool = False,
    ) -> None:
        self.site = site or GatewaySite(root or Root(), Clock(), Rules(limits or LimitSettings()))
        self.root: Root = self.site.resource
        self.clock: Any = self.site.clock
        self.lingers = lingers
        self.lost = False
        self._leaving = False
        self._unread = b""
        self.transport = _Transport(self, peer)
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    @property
    def paused(self) -> bool:
        """Whether the gateway does not read."""
        return self.transport.producerState == "paused"

    @property
    def closed(self) -> bool:
        """Whether the gateway has closed the connection, in order or not."""
        return self.transport.disconnecting or self.transport.aborted

    @property
    def unread(self) -> int:
        """Bytes that the gateway has left on the socket."""
        return len(self._unread)

    @property
    def received(self) -> bytes:
        """What has come back, this turn's included."""
        self.turn()
        return self.transport.value()

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers that have come back."""
        return [int(status) for status in _STATUS.findall(self.received)]

    def send(self, data: bytes, size: int = SEGMENT) -> ClientConnection:
        """Send `data` in segments of `size` bytes; what the gateway does not read waits."""
        while data:
            self._unread += data[:size]
            data = data[size:]
            self.deliver()
        return self

    def deliver(self) -> None:
        """Let the gateway read what it wants of what was sent."""
        while self._unread and not self.paused and not self._leaving:
            segment, self._unread = self._unread[:SEGMENT], self._unread[SEGMENT:]
            self.channel.dataReceived(segment)

    def turn(self) -> None:
        """Let the reactor come round, until there is nothing more to do at this time."""
        for _ in range(8):
            self.clock.advance(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.turn()

    def take(self) -> bytes:
        """Return what has come back since the last call."""
        received = self.received
        self.transport.clear()
        return received

    def stall(self) -> None:
        """Take no more of what comes back: the transport is full."""
        self.turn()
        self.transport.producer.pauseProducing()

    def catch_up(self) -> None:
        """Take everything that has come back meanwhile."""
        self.transport.producer.resumeProducing()
        self.turn()

    def leave(self) -> None:
        """Close the client's end."""
        self.lose(ConnectionDone())
        self.turn()

    def lose(self, reason: Exception) -> None:
        """Let the channel hear of the connection's end, once, in a turn of its own as with every transport."""
        if not self._leaving:
            self._leaving = True
            self.clock.callLater(0, self._lost, reason)

    def _lost(self, reason: Exception) -> None:
        self.lost = True
        self.channel.connectionLost(Failure(reason))
