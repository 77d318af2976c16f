"""An operator, who asks the admin listener over a connection in memory."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource
from twisted.web.server import Site

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 9787)


@frozen
class Answer:
    """What came back."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body, which is JSON."""
        assert self.fields["content-type"] == "application/json", self.fields
        return orjson.loads(self.body)


def ask(root: Resource, method: str, path: str, body: bytes = b"", *, address: Any = LOOPBACK, **fields: str) -> Answer:
    """Send a request to the listener at `address`, and return its answer."""
    site = Site(root, reactor=Clock())
    site.log = lambda request: None
    transport = StringTransport(hostAddress=address)
    channel = site.buildProtocol(None)
    channel.makeConnection(transport)
    sent = {"Host": "127.0.0.1:9787", "Connection": "close", "Content-Length": str(len(body))}
    sent.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value), "", ""]
    channel.dataReceived("\r\n".join(lines).encode() + body)
    head, _, answer = transport.value().partition(b"\r\n\r\n")
    status, *received = head.decode().split("\r\n")
    return Answer(int(status.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in received)}, answer)
