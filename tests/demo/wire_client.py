"""One connection to a demo service in memory, read byte for byte."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from nnogw.demo.echo import DemoService, Responders
from nnogw.demo.platform import DemoSite


class AbortableTransport(StringTransport):
    """A transport in memory that remembers that it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


class ServiceConnection:
    """A client's connection to a demo service, with what it has received in `received`."""

    def __init__(self, answers: Responders, clock: Clock) -> None:
        self.transport = AbortableTransport()
        self.channel = DemoSite(DemoService("billing", answers), clock).buildProtocol(None)
        self.channel.makeConnection(self.transport)

    @property
    def received(self) -> bytes:
        """Everything that the service has sent."""
        return self.transport.value()

    def get(self, target: bytes) -> None:
        """Send a request."""
        self.channel.dataReceived(b"GET %b HTTP/1.1\r\nHost: billing\r\n\r\n" % target)

    def leave(self) -> None:
        """Close the connection from the client's side."""
        self.channel.connectionLost(Failure(ConnectionDone()))
