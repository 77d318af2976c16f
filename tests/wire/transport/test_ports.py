"""Listening sockets: a shortage of descriptors, and connections that fail."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from nnogw.wire.transport.ports import SHORTAGE_PAUSE, SHORTAGE_SILENCE, PortReactor, Shortage, UnixPort
from tests.integration.sockets import until

FULL = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class TheShortage(SynchronousTestCase):
    """What the log says of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.shortage = Shortage(self.clock)

    def said(self, times: int) -> list[str]:
        """Return what is said of `times` failures."""
        with capturedLogs() as events:
            for _ in range(times):
                self.shortage.note(FULL)
        return [event["log_format"].format(**event) for event in events]

    def test_the_first_failure_is_told_at_once_and_the_next_are_counted(self) -> None:
        """For ten seconds; then one line says how many there were."""
        (line,) = self.said(1000)
        self.assertIn("Too many open files", line)
        self.clock.advance(SHORTAGE_SILENCE - 0.1)
        self.assertEqual(self.said(1), [])
        self.clock.advance(0.1)
        (line,) = self.said(5)
        self.assertIn("(1000 more failures", line)
        self.clock.advance(SHORTAGE_SILENCE)
        self.assertIn("(4 more failures", self.said(1)[0])


class Fussy(Factory):
    """Refuses the first connections in the ways in which a factory can, and takes the rest."""

    noisy = False

    def __init__(self) -> None:
        self.asked = 0
        self.taken: list[Protocol] = []

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """Take the third."""
        self.asked += 1
        if self.asked == 1:
            raise ValueError("the first")
        if self.asked == 2:
            return None
        self.taken.append(Protocol())
        return self.taken[-1]


class Accepting(TestCase):
    """Over real sockets, in this process."""

    def listen(self, factory: Factory) -> Any:
        """Return a port on a free loopback address."""
        port = PortReactor(reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        return port

    def connect(self, port: Any) -> socket.socket:
        """Return a client's socket."""
        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.addCleanup(client.close)
        return client

    def fail_accepting(self, port: Any, error: OSError, times: int) -> list[int]:
        """Let the next `times` accepts fail; returns how often it was tried, one entry each."""
        tries: list[int] = []
        real = port.socket

        class Failing:
            def accept(self) -> Any:
                tries.append(1)
                if len(tries) <= times:
                    raise error
                return real.accept()

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        port.socket = Failing()
        return tries

    async def test_who_comes_in_a_shortage_waits_until_it_is_over(self) -> None:
        """It is tried again from time to time, not in a loop, and not with a line each."""
        factory = Fussy()
        factory.asked = 2
        port = self.listen(factory)
        tries = self.fail_accepting(port, FULL, 3)
        with capturedLogs() as events:
            self.connect(port)
            await until(lambda: bool(factory.taken), "the connection")
        told = [event["log_namespace"] for event in events if "accept" in (event.get("log_format") or "")]
        self.assertEqual(told, ["nnogw.wire.transport.ports"])
        self.assertLessEqual(len(tries), 5)  # three failures, the connection, and perhaps the end of the backlog

    async def test_nothing_is_tried_while_it_waits(self) -> None:
        """Not in every turn of the reactor."""
        port = self.listen(Fussy())
        tries = self.fail_accepting(port, FULL, 1_000_000)
        self.connect(port)
        await until(lambda: bool(tries), "a try")
        self.assertNotIn(port, reactor.getReaders())
        (pause,) = [call for call in reactor.getDelayedCalls() if call.func == port._go_on]
        self.assertLessEqual(pause.getTime() - reactor.seconds(), SHORTAGE_PAUSE)

    async def test_listening_may_end_in_a_shortage(self) -> None:
        """Nothing is left behind that would go on with it."""
        port = self.listen(Fussy())
        tries = self.fail_accepting(port, FULL, 1_000_000)
        self.connect(port)
        await until(lambda: bool(tries), "a try")
        await maybeDeferred(port.stopListening)
        self.assertEqual([call for call in reactor.getDelayedCalls() if call.func == port._go_on], [])

    async def test_a_shortage_that_ends_with_the_listening_does_not_open_it_again(self) -> None:
        """The pause is over between the two."""
        port = self.listen(Fussy())
        tries = self.fail_accepting(port, FULL, 1_000_000)
        self.connect(port)
        await until(lambda: bool(tries), "a try")
        over = maybeDeferred(port.stopListening)
        port._pause.reset(0)
        port._go_on()
        self.assertNotIn(port, reactor.getReaders())
        await over

    async def test_a_connection_that_fails_or_is_refused_harms_no_other(self) -> None:
        """One that was gone before it was accepted, one on which its factory fails, one that it does not want."""
        factory = Fussy()
        port = self.listen(factory)
        self.fail_accepting(port, OSError(errno.ECONNABORTED, "it is gone"), 1)
        clients = [self.connect(port) for _ in range(3)]
        await until(lambda: bool(factory.taken), "the third connection")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        for client in clients[:2]:
            client.settimeout(30)
            self.assertEqual(client.recv(1), b"")
        factory.taken[0].transport.abortConnection()  # type: ignore[attr-defined]  # it is connected
        await deferLater(reactor, 0)


class TheEnd(TestCase):
    """Of listening."""

    async def test_who_comes_in_the_last_moment_is_connected_or_finds_nobody(self) -> None:
        """Clients that connect as fast as they can all the time are never reset."""
        factory = Greeting()
        port = PortReactor(reactor).listenTCP(0, factory, interface="127.0.0.1")
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        clients = [Insistent(endpoint) for _ in range(8)]
        await until(lambda: all(client.greeted > 20 for client in clients), "the traffic")
        await maybeDeferred(port.stopListening)
        await until(lambda: all(client.over for client in clients), "the end of the traffic")
        self.assertEqual([client.lost for client in clients], [0] * 8)

    async def test_it_ends_once(self) -> None:
        """However often it is asked to; and asked again later, nothing happens."""
        port = PortReactor(reactor).listenTCP(0, Factory(), interface="127.0.0.1")
        first, second = port.stopListening(), port.stopListening()
        self.assertIs(first, second)
        await first
        self.assertIsNone(await maybeDeferred(port.stopListening))

    async def test_it_can_be_ended_before_its_time(self) -> None:
        """Whoever waits for it hears of it at once, and who has connected by then is served; before and after, there is nothing to end."""
        port: Any = PortReactor(reactor).listenTCP(0, Greeting(), interface="127.0.0.1")
        address = ("127.0.0.1", port.getHost().port)
        with socket.create_connection(address) as client:
            port.end()
            self.assertTrue(port.connected)
            ending = maybeDeferred(port.stopListening)
            port.end()
            port.end()
            self.successResultOf(ending)
            self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
            client.setblocking(False)
            await until(lambda: readable(client), "the word")
            self.assertEqual(client.recv(100), b"hello")

    async def test_it_can_be_dropped_with_those_who_wait(self) -> None:
        """Nobody was to connect to it: the start has failed, or the configuration is not good."""
        port: Any = PortReactor(reactor).listenTCP(0, Greeting(), interface="127.0.0.1")
        address = ("127.0.0.1", port.getHost().port)
        with socket.create_connection(address, timeout=10) as client:
            port.drop()
            self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
        self.assertIsNone(await maybeDeferred(port.stopListening))


def readable(client: socket.socket) -> bool:
    """Whether something has come."""
    return bool(select.select([client], [], [], 0)[0])


class Greeting(Factory):
    """Says a word to whoever connects."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Protocol:
        """Return a connection that says it."""
        return Greeter()


class Greeter(Protocol):
    """Says a word, and closes."""

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(b"hello")
        self.transport.loseConnection()


class Insistent(Protocol):
    """Connects again and again, until nobody listens.

    Attributes:
        greeted: how often it was greeted.
        lost: how often it was connected, and not greeted.
        over: nobody listens.
    """

    def __init__(self, endpoint: TCP4ClientEndpoint) -> None:
        self.greeted = self.lost = 0
        self.over = False
        self._endpoint = endpoint
        self._connect()

    def connectionMade(self) -> None:
        """Begin to wait for the word."""
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """Take it."""
        self._received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Connect again."""
        if self._received == b"hello":
            self.greeted += 1
        else:
            self.lost += 1
        self._connect()

    def _connect(self) -> None:
        connectProtocol(self._endpoint, self).addErrback(self._refused)

    def _refused(self, failure: Failure) -> None:
        failure.trap(ConnectError)
        self.over = True


class TheReactor(TestCase):
    """Where endpoints listen."""

    async def test_tls_and_sockets_that_others_have_bound_are_ours_too(self) -> None:
        """Those of TLS endpoints, and those that systemd passes on: these go on listening when we have stopped."""
        ports = PortReactor(reactor)
        secure = ports.listenSSL(0, Factory(), CertificateOptions(), interface="127.0.0.1")
        self.assertIsInstance(secure.factory, TLSMemoryBIOFactory)
        await maybeDeferred(secure.stopListening)
        path = f"/tmp/nnogw-adopted-{os.getpid()}.sock"
        abstract = f"\0nnogw-adopted-{os.getpid()}"
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, path), (socket.AF_UNIX, abstract)):
            with socket.socket(family) as given:
                given.bind(address)
                given.listen()
                given.setblocking(False)
                if address == path:
                    self.addCleanup(os.unlink, path)
                    os.chmod(path, 0o600)
                factory = Fussy()
                factory.asked = 2
                adopted = ports.adoptStreamPort(given.fileno(), family, factory)
                self.assertEqual(isinstance(adopted, UnixPort), family == socket.AF_UNIX)
                with socket.socket(family) as client:
                    client.connect(given.getsockname())
                    await until(lambda taken=factory.taken: bool(taken), "the connection")
                    factory.taken[0].transport.abortConnection()  # type: ignore[attr-defined]  # it is connected
                    await deferLater(reactor, 0)
                await maybeDeferred(adopted.stopListening)
                with socket.socket(family) as client:
                    client.connect(given.getsockname())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_everything_else_is_the_reactors(self) -> None:
        """Such as the time."""
        self.assertEqual(PortReactor(reactor).callLater, reactor.callLater)
