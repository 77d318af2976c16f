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

from nnogw.wire.transport.write_batch import WriteBatch
from nnogw.wire.transport.writer import HIGH_WATER, SocketWriter
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


class _SocketWriterTests(SynchronousTestCase):
    transport: Any

    def start(self, transport: Any) -> None:
        """Make a writer of `transport`."""
        self.clock = Clock()
        self.transport = transport
        self.stalls: list[bool] = []
        self.writer = SocketWriter(transport, WriteBatch(self.clock), self.stalls.append)
        self.source = ScriptedBody()

    def turn(self) -> None:
        """Let the turn of the reactor end."""
        self.clock.advance(0)


class PlainSockets(_SocketWriterTests):
    """What is written goes straight to the socket."""

    def setUp(self) -> None:
        self.start(_PlainTransport())
        self.socket = self.transport.socket

    def test_a_turn_is_one_send(self) -> None:
        """However much is written in it, and not before its end."""
        for data in (b"head", b"body", b"end"):
            self.writer.write(data)
        self.assertEqual(self.socket.sent, [])
        self.assertFalse(self.writer.idle)
        self.turn()
        self.assertEqual(self.socket.sent, [b"headbodyend"])
        self.assertTrue(self.writer.idle)
        self.writer.write(b"next")
        self.turn()
        self.assertEqual(self.socket.sent, [b"headbodyend", b"next"])
        self.assertEqual(self.stalls, [])

    def test_what_was_written_in_the_turn_that_lost_the_connection_is_dropped(self) -> None:
        """The poller refuses a socket that is closed, and nobody waits for it to take anything."""
        self.writer.write(b"a response")
        self.transport.disconnected = 1
        self.socket.takes = [OSError(errno.EBADF, "closed")]
        self.turn()
        self.assertEqual((self.transport.reactor.writers, self.stalls), ([], []))
        self.assertTrue(self.writer.idle)

    def test_much_is_sent_at_once(self) -> None:
        """It would only take up memory; nothing is sent twice at the turn's end."""
        self.writer.write(b"a" * (HIGH_WATER - 1))
        self.assertEqual(self.socket.sent, [])
        self.writer.write(b"b")
        self.assertEqual([len(data) for data in self.socket.sent], [HIGH_WATER])
        self.turn()
        self.assertEqual(len(self.socket.sent), 1)

    def test_what_the_socket_does_not_take_goes_out_in_order(self) -> None:
        """When the socket can be written again; what is written meanwhile waits behind it."""
        self.socket.takes = [3, 2, BlockingIOError(errno.EAGAIN, "full")]
        self.writer.write(b"abcdef")
        self.turn()
        self.assertEqual((self.stalls, len(self.transport.reactor.writers)), ([True], 1))
        self.assertFalse(self.writer.idle)
        self.writer.write(b"ghi")
        self.turn()
        self.writer.flush()
        self.assertIsNone(self.transport.writable())
        self.assertIsNone(self.transport.writable())
        self.writer.write(b"jkl")
        self.assertEqual(self.stalls, [True])
        self.transport.writable()
        self.assertEqual(self.socket.sent, [b"abc", b"de", b"fghijkl", b""])
        self.assertEqual((self.stalls, self.transport.reactor.writers), ([True, False], []))
        self.assertTrue(self.writer.idle)
        self.writer.write(b"mno")
        self.turn()
        self.assertEqual(self.socket.sent[-1], b"mno")

    def test_a_broken_socket_is_reported_when_it_is_written_again(self) -> None:
        """The reactor then ends the connection, as after any error."""
        broken = ConnectionResetError(errno.ECONNRESET, "gone")
        self.socket.takes = [broken, broken]
        self.writer.write(b"abc")
        self.turn()
        self.assertEqual(self.stalls, [True])
        self.assertIs(self.transport.writable(), CONNECTION_LOST)

    def test_a_source_is_paused_while_the_socket_is_full(self) -> None:
        """Until everything has been taken."""
        self.writer.set_source(self.source)
        self.socket.takes = [1]
        self.writer.write(b"abc")
        self.turn()
        self.assertEqual(self.source.calls, ["pause"])
        self.writer.write(b"def")
        self.socket.takes = [2]
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause"])
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_a_new_source_is_paused_while_the_socket_is_full(self) -> None:
        """The bytes before it are not its own."""
        self.socket.takes = [1]
        self.writer.write(b"abc")
        self.turn()
        self.writer.set_source(self.source)
        self.assertEqual(self.source.calls, ["pause"])
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_a_source_that_goes_on_is_paused_again(self) -> None:
        """Somebody else may have resumed it: what waits here has a bound."""
        self.writer.set_source(self.source)
        self.socket.takes = [1]
        self.writer.write(b"abc")
        self.turn()
        self.source.resumeProducing()
        self.writer.write(b"a" * HIGH_WATER)
        self.assertEqual(self.source.calls, ["pause", "resume", "pause"])

    def test_a_source_that_is_done_is_left_alone(self) -> None:
        """It may be somebody else's by then."""
        self.writer.set_source(self.source)
        self.socket.takes = [1]
        self.writer.write(b"abc")
        self.turn()
        self.writer.set_source(None)
        self.writer.write(b"a" * HIGH_WATER)
        self.transport.writable()
        self.assertEqual(self.source.calls, ["pause"])

    def test_closing_sends_what_was_written(self) -> None:
        """In the same turn."""
        self.writer.write(b"bye")
        self.writer.close()
        self.assertEqual((self.socket.sent, self.transport.calls), ([b"bye"], ["close"]))

    def test_closing_half_sends_what_was_written(self) -> None:
        """Then the other end hears that nothing more comes."""
        self.writer.write(b"bye")
        self.writer.half_close()
        self.assertEqual((self.socket.sent, self.transport.calls), ([b"bye"], ["half close"]))

    def test_what_waits_goes_out_before_the_connection_is_closed(self) -> None:
        """Twisted closes when the socket can be written and nothing is left."""
        for close in (SocketWriter.close, SocketWriter.half_close):
            self.setUp()
            self.socket.takes = [1]
            self.writer.write(b"bye")
            close(self.writer)
            self.transport.writable()
            self.assertEqual(self.socket.sent[:2], [b"b", b"ye"])


class Progress(_SocketWriterTests):
    """`SocketWriter.taken`, on real sockets."""

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
        self.writer.write(b"a" * 20_000_000)
        self.assertEqual(self.stalls, [True])
        before = self.writer.taken()
        size = 0
        while self.writer.taken() == before:
            self.assertLess(size, 10_000_000, "what the reader has taken does not count")
            size += len(theirs.recv(65_536))
        self.assertFalse(self.writer.idle)


class OtherTransports(_SocketWriterTests):
    """TLS, or a test's: it is written to by its own ``write``, and says when it has enough."""

    def setUp(self) -> None:
        self.start(StringTransport())

    def test_a_turn_is_one_write(self) -> None:
        """A TLS record each."""
        written: list[bytes] = []
        self.transport.write = written.append
        self.writer.write(b"head")
        self.writer.write(b"body")
        self.turn()
        self.assertEqual(written, [b"headbody"])

    def test_a_full_transport_pauses_the_source_and_gets_nothing_more(self) -> None:
        """Until it asks for it."""
        self.writer.set_source(self.source)
        self.transport.producer.pauseProducing()
        self.assertEqual((self.stalls, self.source.calls), ([True], ["pause"]))
        self.writer.write(b"waits")
        self.turn()
        self.assertEqual(self.transport.value(), b"")
        self.assertFalse(self.writer.idle)
        self.transport.producer.resumeProducing()
        self.assertEqual(self.transport.value(), b"waits")
        self.assertEqual((self.stalls, self.source.calls), ([True, False], ["pause", "resume"]))

    def test_a_transport_that_is_full_again_at_once_does_not_resume_the_source(self) -> None:
        """What had waited filled it."""
        self.writer.set_source(self.source)
        self.transport.producer.pauseProducing()
        self.writer.write(b"waits")
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
        for close in (SocketWriter.close, SocketWriter.half_close):
            self.setUp()
            self.transport.producer.pauseProducing()
            self.writer.write(b"bye")
            close(self.writer)
            self.assertEqual(self.transport.value(), b"bye")
            self.assertIsNone(self.transport.producer)
            self.assertTrue(self.transport.disconnecting)

    def test_closing_an_idle_connection(self) -> None:
        """There is nothing to hand over."""
        self.writer.close()
        self.assertEqual((self.transport.value(), self.transport.disconnecting), (b"", True))

    def test_a_lost_connection_stops_in_silence(self) -> None:
        """The protocol hears of it from the transport."""
        self.writer.set_source(self.source)
        self.transport.producer.stopProducing()
        self.assertEqual((self.stalls, self.source.calls), ([], []))
