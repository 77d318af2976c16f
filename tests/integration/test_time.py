"""A process that was stopped for a while, and connections that ended meanwhile."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, Platform
from tests.integration.sockets import Visit, connect, ok, silence, until

LIMITS = """
connect_timeout = 1
response_timeout = 1
idle_timeout = 1
"""


class Frozen(TestCase):
    """SIGSTOP and SIGCONT, as a suspended virtual machine: every limit has run out when the process goes on."""

    async def frozen(self, platform: Platform, seconds: float) -> None:
        """Stop the gateway for so long."""
        platform.gateway.signal("STOP")
        self.addCleanup(platform.gateway.signal, "CONT")
        await deferLater(reactor, seconds)

    async def test_responses_that_came_meanwhile_are_delivered(self) -> None:
        """They lie in the sockets, which the reactor reads after it has run its timers."""
        platform = Platform(self, billing=silence, billing_settings=LIMITS)
        await platform.start()
        asked = [ensureDeferred(platform.ask(f"/api/v1/billing/{number}", AS_SERVICE)) for number in range(40)]
        visits = platform.billing.visits
        await until(lambda: sum(visit.received.count(b"\r\n\r\n") for visit in visits) == 40, "all requests at the service")
        platform.gateway.signal("STOP")
        self.addCleanup(platform.gateway.signal, "CONT")
        for visit in visits:
            visit.send(ok())
        await deferLater(reactor, 2)
        platform.gateway.signal("CONT")
        answers = await gatherResults(asked)
        self.assertEqual([answer.partition(b"\r\n")[0] for answer in answers], [b"HTTP/1.1 200 OK"] * 40)

    async def test_requests_that_came_meanwhile_are_served(self) -> None:
        """On connections whose head was begun before."""
        platform = Platform(self, config="[limits]\nheader_timeout = 1\n")
        await platform.start()
        client = await connect(self, platform.gateway.port)
        client.send(b"GET /health HTTP/1.1\r\n")
        await self.frozen(platform, 0)
        client.send(b"Host: gateway\r\nConnection: close\r\n\r\n")
        await deferLater(reactor, 2)
        platform.gateway.signal("CONT")
        self.assertTrue((await client.until_closed()).startswith(b"HTTP/1.1 200 OK"))


class KeptConnections(TestCase):
    """A kept connection of a service that has ended, while the gateway has not read its end yet."""

    async def test_a_post_is_not_written_to_it(self) -> None:
        """The service gets it on a new connection."""

        def once(visit: Visit) -> None:
            visit.send(ok())

        platform = Platform(self, billing=once)
        await platform.start()
        self.assertIn(b"200 OK", await platform.ask("/api/v1/billing/first", AS_SERVICE))
        client = await connect(self, platform.gateway.port)
        client.send(b"GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n")
        await client.until_received(b"ok")
        platform.gateway.signal("STOP")
        self.addCleanup(platform.gateway.signal, "CONT")
        head = f"POST /api/v1/billing/second HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{AS_SERVICE}\r\nContent-Length: 4\r\n\r\nbody"
        client.send(head.encode())
        (kept,) = platform.billing.visits
        kept.transport.loseConnection()
        await until(lambda: kept.closed, "the end of the kept connection")
        platform.gateway.signal("CONT")
        self.assertIn(b"200 OK", (await client.until_closed()).rpartition(b"HTTP/1.1")[2])
        self.assertEqual(len(platform.billing.visits), 2)


class SlowReaders(TestCase):
    """``limits.send_timeout`` is for a client that takes nothing."""

    async def test_a_client_that_reads_steadily_gets_everything(self) -> None:
        """Although the whole takes several times the limit."""
        size = 30_000_000  # more than the sockets' buffers hold, by far
        platform = Platform(self, billing=lambda visit: visit.send(ok(b"a" * size)), config="[limits]\nsend_timeout = 1\n")
        await platform.start()
        client = await connect(self, platform.gateway.port)
        client.send(f"GET /api/v1/billing/large HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{AS_SERVICE}\r\n\r\n".encode())
        await client.until_received(b"\r\n\r\n")
        transport = client.transport
        for _ in range(16):  # 4 s, at some 64 KiB each time
            transport.pauseProducing()
            await deferLater(reactor, 0.25)
            self.assertFalse(client.closed)
            before = len(client.received)
            transport.resumeProducing()
            await until(lambda before=before: len(client.received) > before, "more of the body")
        whole = await client.until_closed()
        self.assertEqual(len(whole.partition(b"\r\n\r\n")[2]), size)
