"""Writing to a connection: once a turn, straight to the socket, with backpressure."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport.writer import HIGH_WATER, Outlet, Turn
from tests.doubles import ScriptedBody


class _Socket:
    """A socket that takes as much as it is told.

    Attributes:
        takes: what the next calls of `send` take, or raise; everything when there is nothing left.
        sent: what each call was given and took.
    """

    def __init__(self) -> None:
        self.takes: list[int | OSError] = []
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        """Take some of `data`."""
        takes = self.takes.pop(0) if self.takes else len(data)
        if isinstance(takes, OSError):
            raise takes
        self.sent.append(data[:takes])
        return takes


class _Poller:
    """The part of a reactor that watches sockets for writability."""

    def __init__(self) -> None:
        self.writers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.remove(writer)


class _PlainTransport(Connection):
    """Twisted's transport of a plain socket, on a socket that a test scripts."""

    connected = 1

    def __init__(self) -> None:
        FileDescriptor.__init__(self, reactor=_Poller())
        self.socket = _Socket()
        self.calls: list[str] = []

    def getHandle(self) -> Any:
        return self.socket

    def fileno(self) -> int:
        return -1

    def writable(self) -> Any:
        """Do what a reactor does when the socket can be written."""
        return self.doWrite()

    def loseConnection(self) -> None:
        self.calls.append("close")

    def loseWriteConnection(self) -> None:
        self.calls.append("half close")


class _OutletTests(SynchronousTestCase):
    transport: Any

    def start(self, transport: Any) -> None:
        """Make an outlet of `transport`."""
        self.clock = Clock()
        self.transport = transport
        self.stalls: list[bool] = []
        self.outlet = Outlet(transport, Turn(self.clock), self.stalls.append)
        self.source = ScriptedBody()

    def turn(self) -> None:
        """Let the turn of the reactor end."""
        self.clock.advance(0)


class PlainSockets(_OutletTests):
    """What is written goes straight to the socket."""

    def setUp(self) -> None:
        self.start(_PlainTransport())
        self.socket = self.transport.socket

    def test_a_turn_is_one_send(self) -> None:
        """However much is written in it, and not before its end."""
        for data in (b"head", b"body", b"end"):
            self.outlet.write(data)
        self.assertEqual(self.socket.sent, [])
        self.assertFalse(self.outlet.idle)
        self.turn()
        self.assertEqual(self.socket.sent, [b"headbodyend"])
        self.assertTrue(self.outlet.idle)
        self.outlet.write(b"next")
        self.turn()
        self.assertEqual(self.socket.sent, [b"headbodyend", b"next"])
        self.assertEqual(self.stalls, [])

    def test_what_was_written_in_the_turn_that_lost_the_connection_is_dropped(self) -> None:
        """The poller refuses a socket that is closed, and nobody waits for it to take anything."""
        self.outlet.write(b"a response")
        self.transport.disconnected = 1
        self.socket.takes = [OSError(errno.EBADF, "closed")]
        self.turn()
        self.assertEqual((self.transport.reactor.writers, self.stalls), ([], []))
        self.assertTrue(self.outlet.idle)

    def test_much_is_sent_at_once(self) -> None:
        """It would only take up memory; nothing is sent twice at the turn's end."""
        self.outlet.write(b"a" * (HIGH_WATER - 1))
        self.assertEqual(self.socket.sent, [])
        self.outlet.write(b"b")
        self.assertEqual([len(data) for data in self.socket.sent], [HIGH_WATER])
        self.turn()
        self.assertEqual(len(self.socket.sent), 1)

    def test_what_the_socket_does_not_take_goes_out_in_order(self) -> None:
        """When the socket can be written again; what is written meanwhile waits behind it."""
        self.socket.takes = [3, 2, BlockingIOError(errno.EAGAIN, "full")]
        self.outlet.write(b"abcdef")
        self.turn()
        self.assertEqual((self.stalls, len(self.transport.reactor.writers)), ([True], 1))
        self.assertFalse(self.outlet.idle)
        self.outlet.write(b"ghi")
        self.turn()
        self.outlet.flush()
        self.assertIsNone(self.transport.writable())
        self.assertIsNone(self.transport.writable())
        self.outlet.write(b"jkl")
        self.assertEqual(self.stalls, [True])
        self.transport.writable()
        self.assertEqual(self.socket.sent, [b"abc", b"de", b"fghijkl", b""])
        self.assertEqual((self.stalls, self.transport.reactor.writers), ([True, False], []))
        self.assertTrue(self.outlet.idle)
        self.outlet.write(b"mno")
        self.turn()
        self.assertEqual(self.socket.sent[-1], b"mno")

    def test_a_broken_socket_is_reported_when_it_is_written_again(self) -> None:
        """The reactor then ends the connection, as after any error."""
        broken = ConnectionResetError(errno.ECONNRESET, "gone")
        self.socket.takes = [broken, broken]
        self.outlet.write(b"abc")
        self.turn()
        self.assertEqual(self.stalls, [True])
        self.assertIs(self.transport.writable(), CONNECTION_LOST)

    def test_a_source_is_paused_while_the_socket_is_full(self) -> None:
        """Until everything has been taken."""
        self.outlet.set_source(self.source)
        self.socket.takes = [1]
        self.outlet.write(b"abc")
        self.turn()
        self.assertEqual(self.source.calls, ["pause"])
        self.outlet.write(b"def")
        self.socket.takes = [2]
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause"])
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_a_new_source_is_paused_while_the_socket_is_full(self) -> None:
        """The bytes before it are not its own."""
        self.socket.takes = [1]
        self.outlet.write(b"abc")
        self.turn()
        self.outlet.set_source(self.source)
        self.assertEqual(self.source.calls, ["pause"])
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_a_source_that_goes_on_is_paused_again(self) -> None:
        """Somebody else may have resumed it: what waits here has a bound."""
        self.outlet.set_source(self.source)
        self.socket.takes = [1]
        self.outlet.write(b"abc")
        self.turn()
        self.source.resumeProducing()
        self.outlet.write(b"a" * HIGH_WATER)
        self.assertEqual(self.source.calls, ["pause", "resume", "pause"])

    def test_a_source_that_is_done_is_left_alone(self) -> None:
        """It may be somebody else's by then."""
        self.outlet.set_source(self.source)
        self.socket.takes = [1]
        self.outlet.write(b"abc")
        self.turn()
        self.outlet.set_source(None)
        self.outlet.write(b"a" * HIGH_WATER)
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause"])

    def test_closing_sends_what_was_written(self) -> None:
        """In the same turn."""
        self.outlet.write(b"bye")
        self.outlet.close()
        self.assertEqual((self.socket.sent, self.transport.calls), ([b"bye"], ["close"]))

    def test_closing_half_sends_what_was_written(self) -> None:
        """Then the other end hears that nothing more comes."""
        self.outlet.write(b"bye")
        self.outlet.half_close()
        self.assertEqual((self.socket.sent, self.transport.calls), ([b"bye"], ["half close"]))

    def test_what_waits_goes_out_before_the_connection_is_closed(self) -> None:
        """Twisted closes when the socket can be written and nothing is left."""
        for close in (Outlet.close, Outlet.half_close):
            self.setUp()
            self.socket.takes = [1]
            self.outlet.write(b"bye")
            close(self.outlet)
            self.transport.writable()
            self.assertEqual(self.socket.sent[:2], [b"b", b"ye"])


class Progress(_OutletTests):
    """`Outlet.taken`, on real sockets."""

    def test_every_byte_that_the_reader_takes_counts(self) -> None:
        """Long before the socket says that it can be written again."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.setblocking(False)
        transport = _PlainTransport()
        transport.socket = ours
        transport.fileno = ours.fileno
        self.start(transport)
        self.outlet.write(b"a" * 20_000_000)
        self.assertEqual(self.stalls, [True])
        before = self.outlet.taken()
        size = 0
        while self.outlet.taken() == before:
            self.assertLess(size, 10_000_000, "what the reader has taken does not count")
            size += len(theirs.recv(65_536))
        self.assertFalse(self.outlet.idle)


class OtherTransports(_OutletTests):
    """TLS, or a test's: it is written to by its own ``write``, and says when it has enough."""

    def setUp(self) -> None:
        self.start(StringTransport())

    def test_a_turn_is_one_write(self) -> None:
        """A TLS record each."""
        written: list[bytes] = []
        self.transport.write = written.append
        self.outlet.write(b"head")
        self.outlet.write(b"body")
        self.turn()
        self.assertEqual(written, [b"headbody"])

    def test_a_full_transport_pauses_the_source_and_gets_nothing_more(self) -> None:
        """Until it asks for it."""
        self.outlet.set_source(self.source)
        self.transport.producer.pauseProducing()
        self.assertEqual((self.stalls, self.source.calls), ([True], ["pause"]))
        self.outlet.write(b"waits")
        self.turn()
        self.assertEqual(self.transport.value(), b"")
        self.assertFalse(self.outlet.idle)
        self.transport.producer.resumeProducing()
        self.assertEqual(self.transport.value(), b"waits")
        self.assertEqual((self.stalls, self.source.calls), ([True, False], ["pause", "resume"]))

    def test_a_transport_that_is_full_again_at_once_does_not_resume_the_source(self) -> None:
        """What had waited filled it."""
        self.outlet.set_source(self.source)
        self.transport.producer.pauseProducing()
        self.outlet.write(b"waits")
        self.transport.write = lambda data: self.transport.producer.pauseProducing()
        self.transport.producer.resumeProducing()
        self.assertNotIn(False, self.stalls)
        self.assertNotIn("resume", self.source.calls)

    def test_a_stall_without_a_source_is_told_too(self) -> None:
        """An answer of one piece may not be taken either."""
        self.transport.producer.pauseProducing()
        self.transport.producer.resumeProducing()
        self.assertEqual(self.stalls, [True, False])

    def test_closing_hands_over_what_waits(self) -> None:
        """The transport sends it before it closes, for which TLS needs the producer gone."""
        for close in (Outlet.close, Outlet.half_close):
            self.setUp()
            self.transport.producer.pauseProducing()
            self.outlet.write(b"bye")
            close(self.outlet)
            self.assertEqual(self.transport.value(), b"bye")
            self.assertIsNone(self.transport.producer)
            self.assertTrue(self.transport.disconnecting)

    def test_closing_an_idle_connection(self) -> None:
        """There is nothing to hand over."""
        self.outlet.close()
        self.assertEqual((self.transport.value(), self.transport.disconnecting), (b"", True))

    def test_a_lost_connection_stops_in_silence(self) -> None:
        """The protocol hears of it from the transport."""
        self.outlet.set_source(self.source)
        self.transport.producer.stopProducing()
        self.assertEqual((self.stalls, self.source.calls), ([], []))


class Turns(SynchronousTestCase):
    """`Turn`."""

    def test_what_is_to_be_done_is_done_once_at_the_end(self) -> None:
        """In order, with one timer; what is added by it comes after."""
        clock = Clock()
        turn = Turn(clock)
        done: list[str] = []
        turn.at_end(lambda: (done.append("a"), turn.at_end(lambda: done.append("c"))))
        turn.at_end(lambda: done.append("b"))
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(0)
        self.assertEqual(done, ["a", "b", "c"])

    def test_a_failure_of_one_connection_is_not_the_others(self) -> None:
        """It goes to the log."""
        clock = Clock()
        turn = Turn(clock)
        done: list[str] = []
        turn.at_end(lambda: 1 / 0)
        turn.at_end(lambda: done.append("b"))
        clock.advance(0)
        self.assertEqual(done, ["b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
