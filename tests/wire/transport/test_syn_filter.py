"""A listening socket that lets nobody new in."""

from __future__ import annotations

import errno
import os
import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport.syn_filter import let_nobody_in

#: What a connect that is under way says (connect(2)).
UNDER_WAY = errno.EINPROGRESS


class TheFilter(SynchronousTestCase):
    """In the kernel, on the loopback interface."""

    def listening(self, family: int = socket.AF_INET, address: object = ("127.0.0.1", 0)) -> socket.socket:
        """Return a listening socket."""
        listening = socket.socket(family)
        self.addCleanup(listening.close)
        listening.bind(address)
        listening.listen()
        return listening

    def connecting(self, listening: socket.socket) -> socket.socket:
        """Return a client's socket that connects."""
        client = socket.socket(listening.family)
        self.addCleanup(client.close)
        client.setblocking(False)
        self.assertEqual(client.connect_ex(listening.getsockname()), UNDER_WAY)
        return client

    def test_who_is_connected_stays_and_nobody_else_gets_in(self) -> None:
        """And data of those who wait comes through; on the loopback interface a handshake is over when connect returns."""
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listening = self.listening(family, (host, 0))
            before = self.connecting(listening)
            self.assertTrue(let_nobody_in(listening))
            after = self.connecting(listening)
            before.send(b"x")
            accepted, _ = listening.accept()
            self.addCleanup(accepted.close)
            self.assertEqual(accepted.recv(1), b"x")
            listening.setblocking(False)
            with self.assertRaises(BlockingIOError):
                listening.accept()
            with self.assertRaises(BlockingIOError):  # it is neither connected nor refused
                after.recv(1)

    def test_where_it_cannot_work_it_says_so(self) -> None:
        """On a unix socket, in a sandbox, on another system."""
        path = f"/tmp/nnogw-filter-{os.getpid()}.sock"
        self.addCleanup(os.unlink, path)
        self.assertFalse(let_nobody_in(self.listening(socket.AF_UNIX, path)))

        class Sandboxed(socket.socket):
            def setsockopt(self, *arguments: object) -> None:
                raise OSError(errno.ENOPROTOOPT, "no filters here")

        with Sandboxed() as listening:
            self.assertFalse(let_nobody_in(listening))
        self.patch(sys, "platform", "darwin")
        self.assertFalse(let_nobody_in(self.listening()))
