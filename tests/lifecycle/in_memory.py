"""A whole gateway in memory: its clients and services are a test's, and its configuration may be exchanged at any moment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock

from nnogw.ids import IdSource
from nnogw.lifecycle.generation import Generation, adopt, build
from nnogw.lifecycle.shared import Shared
from nnogw.loading import Loaded
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.binding import Binding
from nnogw.wire.site import GatewaySite
from tests.wire.client_connection import ClientConnection
from tests.wire.upstream_connection import Line

#: A port on which IAM listens; every other port is a service's.
IAM_PORTS = (81, 82)

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"\r\nX-Nno-Request-Id: ([^\r]*)\r\n")


class ServiceConnection(Line):
    """A connection that the gateway has made to a service.

    Attributes:
        port: the service's.
        unsent: what is left of the response under way.
    """

    def __init__(self, connection: Any, clock: Any, port: int) -> None:
        super().__init__(connection, clock)
        self.port = port
        self.unsent: list[bytes] = []
        self._seen = 0

    def next_request(self) -> bytes | None:
        """Take the next request that is whole; None if there is none."""
        received = self.received[self._seen :]
        head, end, rest = received.partition(b"\r\n\r\n")
        announced = _LENGTH.search(head + b"\r\n")
        length = int(announced[1]) if announced else 0
        if not end or len(rest) < length:
            return None
        request = received[: len(head) + 4 + length]
        self._seen += len(request)
        return request


class SameIds(IdSource):
    """Makes the same ids again and again, so that responses can be compared."""

    def request_id(self) -> str:
        """Return a request id."""
        return "made-here"

    def trace_id(self) -> str:
        """Return a trace id."""
        return "made-here"


class Endpoint:
    """Where the connections to one port lead (an `IStreamClientEndpoint`)."""

    def __init__(self, gateway: GatewayInMemory, port: int) -> None:
        self._gateway = gateway
        self._port = port

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect, at once."""
        connection = factory.buildProtocol(None)
        line = ServiceConnection(connection, self._gateway.clock, self._port)
        self._gateway.lines.append(line)
        connection.makeConnection(line)
        return succeed(connection)


class GatewayInMemory:
    """A gateway, the clients that are connected to it, and the services behind it.

    Services send their responses in two pieces, `serve` for `serve`. IAM's user depends on the port on which it was asked.

    Attributes:
        clock: the reactor.
        site: serves clients.
        generation: the configuration that serves.
        clients: the connections of clients.
        lines: the connections to services, those to IAM included.
        arrived: request id → the request as it has arrived at a service, and the port of that.
    """

    def __init__(self, loaded: Loaded, clients: int = 1) -> None:
        self.clock: Any = MemoryReactorClock()
        self.lines: list[ServiceConnection] = []
        self.arrived: dict[bytes, tuple[int, bytes]] = {}
        self.shared = Shared(loaded.settings, self.clock)
        self.shared.addresses = Addresses(self.clock, self.shared.batch, self.shared.resolver, self.shared.ledger, self._endpoint)
        self.shared.ids = SameIds()
        self.generation = build(loaded, self.shared)
        adopt(self.generation, self.shared)
        self.site = GatewaySite(self.shared.resource, self.clock, self.generation, self.shared.batch)
        self.clients = [ClientConnection(site=self.site, peer=IPv4Address("TCP", "192.0.2.7", port)) for port in range(clients)]

    def change(self, loaded: Loaded) -> None:
        """Let another configuration take over."""
        before = self.generation
        self.generation: Generation = build(loaded, self.shared, before)
        self.site.renew(self.generation)
        adopt(self.generation, self.shared, before)
        self.turn()

    def turn(self) -> None:
        """Let the reactor come round until there is nothing more to do."""
        for _ in range(8):
            self.clock.advance(0)

    def serve(self) -> bool:
        """Let every service send the next piece of a response; returns whether there was any."""
        self.turn()
        served = False
        for line in list(self.lines):
            if not line.unsent:
                request = line.next_request()
                if request is not None:
                    line.unsent = self._response(line.port, request)
            if line.unsent and not line.lost and not line.aborted:
                served = True
                line.answer(line.unsent.pop(0))
        self.turn()
        return served

    def close(self) -> None:
        """Close what is open."""
        self.site.hangups.close()

    def _endpoint(self, binding: Binding, *others: object) -> Any:
        return Endpoint(self, binding.port)

    def _response(self, port: int, request: bytes) -> list[bytes]:
        if port in IAM_PORTS:
            document = orjson.dumps({"userId": f"user-of-{port}", "role": "admin", "platformId": "p1", "platformStatus": "active"})
            return [_OK % len(document), document]
        found = _REQUEST_ID.search(request)
        assert found is not None, request
        self.arrived[found[1]] = (port, request)
        body = b"served at %d" % port
        return [_OK % len(body) + body[:3], body[3:]]


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Frame-Options: SAMEORIGIN\r\n\r\n"


def responses(received: bytes) -> list[bytes]:
    """Return the responses that a client has received, each with its body; the rest of the last may be missing."""
    found: list[bytes] = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        announced = _LENGTH.search(head + b"\r\n")
        length = int(announced[1]) if announced else 0
        found.append(head + end + rest[:length])
        received = rest[length:]
    return found


def comparable(response: bytes, leave_out: Sequence[bytes] = (b"date", b"server-timing")) -> bytes:
    """Return a response without what differs each time."""
    head, end, body = response.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if line.partition(b":")[0].lower() not in leave_out]
    return b"\r\n".join(lines) + end + body
