"""What a transfer costs in memory: the same for any size, and for any reader."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, Platform
from tests.integration.sockets import Visit, Wire, get, until

GIB = 1 << 30
GROWTH = 20 << 20  # bytes that a transfer may add to the process
_BLOCK = bytes(1 << 16)


class Counter(Wire):
    """Counts what it receives, keeps the last of it, and forgets the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def dataReceived(self, data: bytes) -> None:
        """Count."""
        self.count += len(data)
        self.received = (self.received + data)[-200:]


class Flood:
    """Sends `size` bytes on a connection, as fast as the other end takes them (an `IPullProducer`)."""

    def __init__(self, transport: Any, size: int) -> None:
        self.left = size
        self._transport = transport
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Send the next block."""
        block = _BLOCK[: self.left]
        self.left -= len(block)
        self._transport.write(block)
        if not self.left:
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        """Send nothing more."""


class FlatMemory(TestCase):
    """1 GiB each way, and a reader that stops."""

    timeout = 300  # seconds; trial's limit for a machine that is busy

    async def setUp(self) -> None:
        self.platform = Platform(self, config="[limits]\nmax_body = 2000000000")
        await self.platform.start()
        await self.platform.ask("/api/v1/billing/warm-up", AS_SERVICE)

    def resident(self) -> int:
        """Return the gateway's resident memory at its highest so far, in bytes."""
        with open(f"/proc/{self.platform.gateway.pid}/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    async def counting_client(self) -> Counter:
        """Return a connection to the gateway that only counts."""
        from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.platform.gateway.port), Counter())
        self.addCleanup(client.hang_up)
        return client

    async def test_a_download_of_1_gib(self) -> None:
        """All of it comes."""
        before = self.resident()
        self.platform.billing.answer = _floods
        client = await self.counting_client()
        client.send(get("/api/v1/billing/x", AS_SERVICE))
        await _progress(client)
        self.assertGreater(client.count, GIB)
        self.assertLess(self.resident() - before, GROWTH)

    async def test_an_upload_of_1_gib(self) -> None:
        """All of it arrives, sized and streamed."""
        before = self.resident()
        counted = []

        def counts(visit: Visit) -> None:
            counter = Counter()
            counter.makeConnection(visit.transport)
            visit.dataReceived = counter.dataReceived  # type: ignore[method-assign]  # only to count
            counted.append(counter)

        self.platform.billing.answer = counts
        client = await self.platform.client()
        client.send(f"POST /api/v1/billing/x HTTP/1.1\r\nHost: gateway\r\n{AS_SERVICE}\r\nContent-Length: {GIB}\r\n\r\n".encode())
        Flood(client.transport, GIB)
        await until(lambda: bool(counted), "the upload")
        await _progress(counted[0], GIB - (1 << 20))
        self.assertLess(self.resident() - before, GROWTH)

    async def test_a_reader_that_stops_costs_nothing_more(self) -> None:
        """Not even after a while; and when it goes on, so does its answer."""
        before = self.resident()
        self.platform.billing.answer = _floods
        client = await self.counting_client()
        client.send(get("/api/v1/billing/x", AS_SERVICE))
        await until(lambda: client.count > 1 << 20, "the first bytes")
        client.transport.pauseProducing()
        await deferLater(reactor, 5)
        self.assertLess(self.resident() - before, GROWTH)
        client.transport.resumeProducing()
        seen = client.count
        await until(lambda: client.count > seen + (1 << 24), "more of the answer")
        self.assertLess(self.resident() - before, GROWTH)


def _floods(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
    Flood(visit.transport, GIB)


async def _progress(counter: Counter, size: int = GIB) -> None:
    """Return when `size` bytes have come; as long as they come, however slowly, there is hope."""
    while counter.count < size:
        seen = counter.count
        await until(lambda seen=seen: counter.count > seen or counter.closed, "more bytes")  # type: ignore[misc]  # mypy and defaults
        if counter.closed and counter.count < size:
            raise AssertionError(f"the connection ended after {counter.count} bytes: {counter.received!r}")
