"""Reading straight from the socket."""

from __future__ import annotations

import socket

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport.reader import USUAL, SocketReader

BULK = 4 * USUAL


class SocketReaderTests(SynchronousTestCase):
    """Over a real socket, read by hand."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        for end in (ours, self.theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * BULK)
            end.setblocking(False)
            self.addCleanup(end.close)
        self.connection = Connection(ours, Protocol(), MemoryReactor())
        self.received: list[bytes] = []
        SocketReader(self.connection, self.received.append, bulk=BULK)

    def read(self, size: int) -> list[int]:
        """Let `size` bytes come, read until there are none, and return the sizes of the reads."""
        self.assertEqual(self.theirs.send(b"x" * size), size)
        before = len(self.received)
        while sum(map(len, self.received[before:])) < size:
            self.assertIsNone(self.connection.doRead())
        return [len(data) for data in self.received[before:]]

    def test_what_has_come_is_handed_on(self) -> None:
        """As it came."""
        self.theirs.send(b"some")
        self.assertIsNone(self.connection.doRead())
        self.assertEqual(self.received, [b"some"])

    def test_reads_grow_where_much_comes(self) -> None:
        """From the second one on."""
        self.assertEqual(self.read(USUAL + BULK + 1), [USUAL, BULK, 1])

    def test_an_answer_that_was_too_large_for_one_read_is_read_at_once_the_next_time(self) -> None:
        """Its short rest does not make reads small again."""
        self.assertEqual([self.read(USUAL + 200) for _ in range(20)], [[USUAL, 200], *[[USUAL + 200]] * 19])

    def test_reads_shrink_again_where_little_comes(self) -> None:
        """After a while."""
        self.read(USUAL)
        for _ in range(16):
            self.read(1)
        self.assertEqual(self.read(USUAL + 1), [USUAL, 1])

    def test_nothing_there_is_no_error(self) -> None:
        """The poller may wake for nothing."""
        self.assertIsNone(self.connection.doRead())
        self.assertEqual(self.received, [])

    def test_the_end_is_told_as_twisted_tells_it(self) -> None:
        """Closed in good order."""
        self.theirs.close()
        self.assertIs(self.connection.doRead(), CONNECTION_DONE)

    def test_a_broken_connection_is_told_as_twisted_tells_it(self) -> None:
        """Whatever the error is."""
        self.connection.getHandle().close()
        self.assertIs(self.connection.doRead(), CONNECTION_LOST)

    def test_other_transports_read_by_themselves(self) -> None:
        """TLS has its own way."""
        transport = StringTransport()
        SocketReader(transport, self.received.append, bulk=BULK)
        self.assertFalse(hasattr(transport, "doRead"))
