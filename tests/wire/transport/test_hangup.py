"""Noticing that a client has left while its connection is not being read."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport import hangup
from nnogw.wire.transport.hangup import HangupWatch


class _SocketTransport(Connection):
    """A transport, as far as the watch uses it."""

    def __init__(self, end: socket.socket) -> None:
        self.fileno = end.fileno


class _Connection:
    """A connection that takes note of hang-ups."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.hung_up_times = 0

    def hung_up(self) -> None:
        """Take note."""
        self.hung_up_times += 1


class Watching(SynchronousTestCase):
    """`HangupWatch`, on sockets that nobody reads."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.watch = HangupWatch(self.reactor)
        self.addCleanup(self.watch.close)

    def connection(self) -> tuple[_Connection, socket.socket, socket.socket]:
        """Return a connection, its end of the socket and the other one."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return _Connection(_SocketTransport(near)), near, far

    def turn(self) -> None:
        """Do as a reactor does that finds the watch readable."""
        for reader in self.reactor.getReaders():
            if select.select([reader], [], [], 0)[0]:
                reader.doRead()

    def test_a_hang_up_is_told_once(self) -> None:
        """Although bytes before it are still unread; of others nothing is told."""
        first, _, far = self.connection()
        second, _, _ = self.connection()
        self.watch.watch(first)
        self.watch.watch(second)
        far.send(b"unread")
        self.turn()
        self.assertEqual(first.hung_up_times, 0)
        far.close()
        self.turn()
        self.turn()
        self.assertEqual((first.hung_up_times, second.hung_up_times), (1, 0))

    def test_several_hang_ups_are_told_together(self) -> None:
        """Then nothing is watched."""
        connections = [self.connection() for _ in range(5)]
        for connection, _, far in connections:
            self.watch.watch(connection)
            far.close()
        self.turn()
        self.assertEqual([connection.hung_up_times for connection, _, _ in connections], [1] * 5)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_a_connection_that_is_let_go_by_another_is_not_told(self) -> None:
        """Both had hung up in the same turn."""
        first, _, far = self.connection()
        second, _, other_far = self.connection()
        first.hung_up = lambda: self.watch.forget(second)
        second.hung_up = lambda: self.watch.forget(first)
        told: list[_Connection] = []
        for connection in (first, second):
            forget = connection.hung_up
            connection.hung_up = lambda connection=connection, forget=forget: (told.append(connection), forget())
            self.watch.watch(connection)
        far.close()
        other_far.close()
        self.turn()
        self.assertEqual(len(told), 1)

    def test_a_connection_that_is_read_again_is_forgotten(self) -> None:
        """It finds out by itself."""
        connection, _, far = self.connection()
        self.watch.watch(connection)
        self.watch.forget(connection)
        self.watch.forget(connection)
        far.close()
        self.turn()
        self.assertEqual(connection.hung_up_times, 0)

    def test_the_reactor_watches_only_while_there_is_something_to_watch(self) -> None:
        """An idle gateway has one descriptor less."""
        self.assertEqual(self.reactor.getReaders(), [])
        first, _, _ = self.connection()
        second, _, _ = self.connection()
        self.watch.watch(first)
        self.watch.watch(second)
        self.watch.watch(second)
        self.assertEqual(self.reactor.getReaders(), [self.watch])
        self.watch.forget(first)
        self.assertEqual(self.reactor.getReaders(), [self.watch])
        self.watch.forget(second)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_a_socket_that_was_closed_is_forgotten(self) -> None:
        """It has left the epoll by itself, and its number may be another's."""
        connection, near, _ = self.connection()
        self.watch.watch(connection)
        near.close()
        self.watch.forget(connection)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_a_connection_that_is_lost_already_is_not_watched(self) -> None:
        """It has no descriptor any more."""
        connection, near, _ = self.connection()
        near.close()
        self.watch.watch(connection)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_closed_it_watches_nothing(self) -> None:
        """Neither what it did nor anything new."""
        connection, _, far = self.connection()
        self.watch.watch(connection)
        self.watch.close()
        self.watch.close()
        self.assertEqual((self.reactor.getReaders(), self.watch.fileno()), ([], -1))
        self.watch.watch(connection)
        far.close()
        self.watch.doRead()
        self.assertEqual((self.reactor.getReaders(), connection.hung_up_times), ([], 0))

    def test_a_reactor_that_gives_up_on_it_costs_only_the_early_notice(self) -> None:
        """Connections can still be forgotten."""
        connection, _, far = self.connection()
        self.watch.watch(connection)
        self.watch.connectionLost(Failure(OSError()))
        far.close()
        self.watch.doRead()
        self.watch.forget(connection)
        self.assertEqual(connection.hung_up_times, 0)
        self.assertEqual(self.watch.logPrefix(), "hangup-watch")


class NotWatching(SynchronousTestCase):
    """Where it cannot be told early, timeouts are what remains."""

    def test_what_is_no_plain_socket_is_not_watched(self) -> None:
        """TLS reads what it likes."""
        reactor = MemoryReactor()
        watch = HangupWatch(reactor)
        self.addCleanup(watch.close)
        watch.watch(_Connection(StringTransport()))
        self.assertEqual(reactor.getReaders(), [])

    def test_without_a_reactor_of_descriptors_or_without_epoll_nothing_is_watched(self) -> None:
        """A test's clock, or another system."""
        watches = [HangupWatch(Clock())]
        self.patch(hangup, "select", object())
        reactor = MemoryReactor()
        watches.append(HangupWatch(reactor))
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        connection = _Connection(_SocketTransport(near))
        for watch in watches:
            watch.watch(connection)
            watch.forget(connection)
            self.assertEqual(watch.fileno(), -1)
            watch.close()
        self.assertEqual(reactor.getReaders(), [])
