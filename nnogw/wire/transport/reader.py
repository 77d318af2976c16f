"""Reading from a connection: straight from the socket, as much at a time as has lately come."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection

from nnogw.interfaces import Transport

#: Bytes that one read takes at most, as long as no read was that full: as Twisted has it.
USUAL = 64 * 1024
#: Reads that stay large after one that was at least `USUAL`: a response of 64 KiB and its head would else come in two, each time.
_PATIENCE = 16


class SocketReader:
    """The reading half of one connection.

    Twisted reads 64 KiB at most, and hands them on through two more calls. Reads of 256 KiB halve the CPU time of a large download, and
    spare a response of 64 KiB 15 % of its own. Only where much comes, though: Python allocates what a read may take before it knows what
    it gets, and beyond 128 KiB the allocator may ask the system for it each time (5 µs a read become 20).

    A transport that is not a plain socket (TLS, a test's) goes on reading by itself.

    Args:
        transport: the connection.
        receive: its protocol's ``dataReceived``.
        bulk: bytes that a read takes at most where much comes.
    """

    __slots__ = ("_bulk", "_large_reads", "_receive", "_recv")

    def __init__(self, transport: Transport, receive: Callable[[bytes], None], *, bulk: int) -> None:
        self._receive = receive
        self._bulk = bulk
        self._large_reads = 0  # how many are still to be large
        if isinstance(transport, Connection):
            self._recv: Callable[[int], bytes] = transport.getHandle().recv
            transport.doRead = self.read  # type: ignore[method-assign]  # in place of Twisted's own

    def read(self) -> ConnectionLost | ConnectionDone | None:
        """Read once, as `twisted.internet.interfaces.IReadDescriptor.doRead` says."""
        try:
            data = self._recv(self._bulk if self._large_reads else USUAL)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        if len(data) >= USUAL:
            self._large_reads = _PATIENCE
        elif self._large_reads:
            self._large_reads -= 1
        self._receive(data)
        return None
