"""Writing to a connection: once a turn of the reactor, straight to the socket, with backpressure."""

from __future__ import annotations

import fcntl
import sys
import termios
from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from zope.interface import implementer

from nnogw.bodies import Producer
from nnogw.interfaces import Transport
from nnogw.wire.transport.write_batch import WriteBatch

#: Bytes that may wait in a writer before the source of a body is paused, and the most that one turn collects: one read's worth.
HIGH_WATER = 64 * 1024


class SocketWriter:
    """The writing half of one connection.

    What is written during a turn goes out as one ``send`` at its end. Twisted's own ``transport.write`` does the same a turn later, after
    asking the poller to watch the socket for writability and then to stop: two more system calls and one more event each time. Only
    when the socket does not take everything is the poller asked; `source` is paused until the socket has taken the rest.

    A transport that is not a plain socket (TLS, a test's) is written to by its own ``write``, and says itself, as to a push producer, when
    it has enough.

    Args:
        transport: the connection.
        batch: collects the writers that have something to send.
        stalled: called with True when bytes have to wait for the other end to take some, with False when it has taken all.
    """

    __slots__ = (
        "_backlog",
        "_batch",
        "_pending",
        "_send",
        "_sent",
        "_size",
        "_socket",
        "_source",
        "_source_paused",
        "_stalled",
        "_transport",
        "_transport_writable",
    )

    def __init__(self, transport: Transport, batch: WriteBatch, stalled: Callable[[bool], None]) -> None:
        self._transport = transport
        self._batch = batch
        self._stalled = stalled
        self._pending: list[bytes] = []
        self._size = 0
        self._sent = 0  # bytes that were sent during the backlogs
        self._backlog = False  # the other end does not take everything: what is written waits
        self._source: Producer | None = None
        self._source_paused = False
        self._socket: Connection | None = None  # the transport, if it is a plain socket
        if isinstance(transport, Connection):
            self._socket = transport
            self._send: Callable[[bytes], int] = transport.getHandle().send
            self._transport_writable: Callable[[], object] = transport.doWrite
            transport.doWrite = self._socket_writable  # type: ignore[method-assign]  # in place of Twisted's own
        else:
            transport.registerProducer(_Valve(self), True)

    @property
    def idle(self) -> bool:
        """Whether every byte has been handed to the operating system."""
        return not self._pending and not self._backlog

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for the end of this turn."""
        return bool(self._pending) and not self._backlog

    @property
    def stalled(self) -> bool:
        """Whether bytes wait for the other end to take some."""
        return self._backlog

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn, or at once when much has come together."""
        pending = self._pending
        if not pending and not self._backlog:
            self._batch.at_end(self.flush)
        pending.append(data)
        self._size += len(data)
        if self._size >= HIGH_WATER:
            if self._backlog:
                self._pause_source()
            else:
                self.flush()

    def flush(self) -> None:
        """Hand over what has been written so far."""
        if self._backlog or not self._pending:
            return
        data = self._take()
        plain = self._socket
        if plain is None:
            self._transport.write(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            if plain.disconnected:  # lost within this turn, after the writing: nobody watches its socket any more
                return
            sent = 0  # not now; or never, on a broken connection: the next attempt finds the same error, and reports it
        if sent < len(data):
            self._put_back(data[sent:])
            self._backlog = True
            self._pause_source()
            plain.startWriting()
            self._stalled(True)

    def set_source(self, source: Producer | None) -> None:
        """Let `source`, where the bytes come from, be paused while the other end does not take them; None: nobody any more."""
        self._source = source
        self._source_paused = False
        if self._backlog:
            self._pause_source()

    def taken(self) -> int | None:
        """Return how many bytes the other end has taken so far: during a stall it grows with each of them, and with nothing else.

        It is None where there is no socket to ask (a test's transport).

        The socket says that it can be written again when a third of its buffer is free, which may be megabytes: a reader of 50 kB/s makes
        it say so once in a minute. So what still waits in the buffer counts as not taken.
        """
        plain = self._socket
        waiting = 0
        if plain is None:  # TLS lies on a plain connection, whose own buffer is filled during a stall
            plain = getattr(self._transport, "transport", None)
            if not isinstance(plain, Connection):
                return None
            waiting = len(plain.dataBuffer) - plain.offset + plain._tempDataLen
        return self._sent - waiting - _in_socket(plain)

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.flush()
        if self._socket is None:
            if self._pending:
                self._transport.write(self._take())
            self._transport.unregisterProducer()  # TLS waits with its goodbye for the producer's end
        self._transport.loseConnection()

    def half_close(self) -> None:
        """Tell the other end that nothing more will come, once everything is sent, and go on reading.

        What is not a plain socket (TLS) is closed in its own way.
        """
        if self._socket is None:
            self.close()
            return
        self.flush()
        self._transport.loseWriteConnection()

    def _socket_writable(self) -> object:
        """Send what waits, as `twisted.internet.interfaces.IWriteDescriptor.doWrite` says.

        Behind the last byte, Twisted's own ``doWrite`` stops watching the socket, and closes the connection if that was asked for.
        """
        if self._backlog:
            data = self._take()
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return CONNECTION_LOST
            self._sent += sent
            if sent < len(data):
                self._put_back(data[sent:])
                return None
        result = self._transport_writable()
        if self._backlog:
            self._taken()
        return result

    def _take(self) -> bytes:
        pending = self._pending
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        self._size = 0
        return data

    def _put_back(self, rest: bytes) -> None:
        self._pending.append(rest)
        self._size = len(rest)

    def _pause_source(self) -> None:
        if self._source is not None:
            self._source_paused = True
            self._source.pauseProducing()

    def _taken(self) -> None:
        """The other end has taken everything."""
        self._backlog = False
        self._stalled(False)
        if self._source_paused and self._source is not None:
            self._source_paused = False
            self._source.resumeProducing()


@implementer(IPushProducer)
class _Valve:
    """What a transport that does its own backpressure pauses and resumes: bytes wait in the writer meanwhile."""

    __slots__ = ("_writer",)

    def __init__(self, writer: SocketWriter) -> None:
        self._writer = writer

    def pauseProducing(self) -> None:
        writer = self._writer
        writer._backlog = True
        writer._pause_source()
        writer._stalled(True)

    def resumeProducing(self) -> None:
        writer = self._writer
        writer._backlog = False
        writer.flush()
        if not writer._backlog:
            writer._taken()

    def stopProducing(self) -> None:
        """The connection is lost; its protocol hears of it by ``connectionLost``."""


def _in_socket(connection: Connection) -> int:
    """Return the bytes in a socket's send buffer that the other end has not acknowledged (Linux and BSD: TIOCOUTQ on sockets)."""
    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except (OSError, ValueError):  # the connection is gone
        return 0
