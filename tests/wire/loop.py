"""A reactor of a test's own: real sockets, the test's time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.pollreactor import PollReactor
from twisted.trial.unittest import SynchronousTestCase

ROUNDS = 20_000  # turns after which what has not come is not expected to come any more


class Loop(PollReactor):
    """A reactor that goes round when the test says so, and whose clock stands still in between."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()

    def seconds(self) -> float:
        """Return the test's time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.turn()

    def turn(self, rounds: int = 10) -> None:
        """Go round a few times: whatever is there already is done."""
        for _ in range(rounds):
            self.iterate(0)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go round until `condition` holds.

        Raises:
            AssertionError: it does not come; `what` was waited for.
        """
        for _ in range(ROUNDS):
            if condition():
                return
            self.iterate(0.001)
        raise AssertionError(f"{what}: it did not come")

    def close(self) -> None:
        """Close whatever is open."""
        for selectable in self.removeAll():
            with suppress(OSError, AttributeError):
                selectable.connectionLost(None)
        self.waker.connectionLost(None)


class Client:
    """A client on a plain blocking socket, from which the test reads as much as it wants.

    Attributes:
        received: what has been read.
        ended: the gateway has closed its end in order.
        reset: it has cut the connection.
    """

    def __init__(self, test: SynchronousTestCase, loop: Loop, factory: Any) -> None:
        port: Any = loop.listenTCP(0, factory, interface="127.0.0.1")
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # its connections have it from there: they are full soon
        self.loop = loop
        self.received = b""
        self.ended = False
        self.reset = False
        self.socket = socket.socket()
        test.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.connect(("127.0.0.1", port.getHost().port))
        self.socket.setblocking(False)
        loop.until(lambda: factory.channels, "the connection")
        (self.channel,) = factory.channels
        self.transport: Any = self.channel.transport
        port.stopListening()
        loop.turn()

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        left = memoryview(data)
        while left:
            with suppress(BlockingIOError):
                left = left[self.socket.send(left) :]
            self.loop.turn(2)
        self.loop.turn()

    def read(self, most: int = 1 << 30) -> bytes:
        """Read what is there, up to `most` bytes."""
        start = len(self.received)
        while len(self.received) - start < most and not self.ended and not self.reset:
            try:
                data = self.socket.recv(min(65536, most))
            except BlockingIOError:  # noqa: PERF203  how a socket says that there is nothing
                break
            except ConnectionResetError:
                self.reset = True
            else:
                self.received += data
                self.ended = not data
        return self.received[start:]

    def read_until(self, condition: Callable[[], object], what: str) -> bytes:
        """Read until `condition` holds."""
        self.loop.until(lambda: (self.read(), condition())[1], what)
        return self.received

    def read_to_the_end(self) -> bytes:
        """Read until the gateway has closed."""
        return self.read_until(lambda: self.ended or self.reset, "the end")

    def hang_up(self) -> None:
        """Close in order."""
        self.socket.close()
        self.loop.turn()

    def abort(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.hang_up()
