"""Listening sockets: what is accepted, what happens when there are no descriptors, and how listening ends."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress

from twisted.internet import tcp, unix
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory, IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from nnogw.interfaces import Clock, DelayedCall, Reactor
from nnogw.wire.transport.syn_filter import let_nobody_in

log = Logger()

#: Connections that the kernel may hold ready for us (nginx 511, HAProxy 2000; Twisted's own 50 drops bursts).
BACKLOG = 2048
#: Connections that one listener accepts in a turn of the reactor (Twisted begins with 100, too): others wait for their turn in between.
ACCEPTS = 100
#: Seconds in which a handshake that has begun can end when nobody new is let in any more: a round trip around half the world.
HANDSHAKE = 0.1
#: Seconds without accepting when there are no descriptors (HAProxy 100 ms, nginx ``accept_mutex_delay`` 500 ms).
SHORTAGE_PAUSE = 0.1
#: Seconds between two lines of the log about a shortage.
SHORTAGE_SILENCE = 10.0

#: What keeps the next connection from being accepted, too.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


_DONE = Failure(CONNECTION_DONE)

#: Who has connected, as the socket says it: IPv4, IPv6, and the name of a unix socket, which is mostly empty.
_Peer = tuple[str, int] | tuple[str, int, int, int] | str | bytes


class Shortage:
    """Says in the log that connections cannot be accepted, and does not say it too often.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._silent_until = clock.seconds()
        self._left_out = 0

    def note(self, error: OSError) -> None:
        """Take note of a failed accept."""
        now = self._clock.seconds()
        if now < self._silent_until:
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._silent_until = now + SHORTAGE_SILENCE
        log.error(
            "cannot accept connections: {why}; they wait until there is room ({left_out} more failures since the last such line)",
            why=error.strerror,
            left_out=left_out,
        )


class ListeningPort(tcp.Port):
    """A listening socket of the gateway.

    Twisted's own drops the clients that come while there are no descriptors, with lines in the log for each, and resets those that still
    wait in the kernel's backlog when listening ends. Here the former wait until there are descriptors, and the latter are accepted: when
    nobody new is let in any more, those who have begun to connect come through, and then listening ends.

    Attributes:
        shortage: told of failed accepts.
    """

    shortage: Shortage
    factory: Factory
    reactor: Reactor
    _pause: DelayedCall | None = None  # no connection is accepted before it
    _ending: DelayedCall | None = None  # listening ends with it
    _dropped = False

    def doRead(self) -> None:
        """Accept the connections that wait, as many as fit into a turn of the reactor."""
        for _ in range(ACCEPTS):
            if not self._accept():
                return

    def loseConnection(self, connDone: Failure = _DONE) -> Deferred[None]:
        """Stop listening, without losing anybody who has a connection; returns when that is done."""
        deferred: Deferred[None]
        if self.disconnecting:
            deferred = self.deferred
        elif self.connected and self._shouldShutdown and let_nobody_in(self.socket):  # else others listen on it, too
            self.disconnecting = True
            deferred = self.deferred = Deferred()
            self._ending = self.reactor.callLater(HANDSHAKE, self.end)
        else:
            deferred = tcp.Port.loseConnection(self, connDone)
        return deferred

    stopListening = loseConnection  # noqa: N815  Twisted's name

    def end(self) -> None:
        """Be done with listening, if it is about to end: whoever has connected by now is accepted."""
        ending, self._ending = self._ending, None
        if ending is None:
            return
        if ending.active():
            ending.cancel()
        try:
            self.connectionLost(_DONE)
        finally:  # whoever waits for it does not wait for ever
            self.deferred.callback(None)

    def drop(self) -> None:
        """Stop listening at once, and accept nobody."""
        self._dropped = True
        self.connectionLost(_DONE)

    def connectionLost(self, reason: Failure) -> None:
        """Accept the connections that wait, and stop listening."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if not self._dropped:
            self._accept_waiting()
        tcp.Port.connectionLost(self, reason)

    def _accept_waiting(self) -> None:
        """Accept what is in the backlog; the bound is for the case that new connections come as fast."""
        for _ in range(BACKLOG):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept a connection; returns whether there may be another."""
        try:
            accepted, peer = self.socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:  # of the connection itself, which was gone again (accept(2) lists what there is), or a shortage
            if error.errno in _SHORTAGES:
                self._wait_for_descriptors(error)
                return False
            return True
        try:
            self._connect(accepted, peer)
        except Exception:
            log.failure("a connection could not be taken")
        return True

    def _connect(self, accepted: socket.socket, peer: _Peer) -> None:
        peer = _with_scope(peer)
        protocol = self.factory.buildProtocol(self._buildAddr(peer))  # type: ignore[no-untyped-call]  # Twisted has no annotations here
        if protocol is None:
            accepted.close()
            return
        number = self.sessionno
        self.sessionno = number + 1
        server = self.transport(accepted, protocol, peer, self, number, self.reactor)  # type: ignore[arg-type]  # a unix port's takes a name
        protocol.makeConnection(server)

    def _wait_for_descriptors(self, error: OSError) -> None:
        self.shortage.note(error)
        self.stopReading()  # type: ignore[no-untyped-call]  # Twisted has no annotations here
        if self._pause is None and not self.disconnecting:
            self._pause = self.reactor.callLater(SHORTAGE_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if not self.disconnecting:
            self.startReading()  # type: ignore[no-untyped-call]  # Twisted has no annotations here


class TcpPort(ListeningPort):
    """A listening TCP socket."""


class UnixPort(ListeningPort, unix.Port):
    """A listening unix socket. One that was left behind by a process which was killed makes way.

    The name and the mode of a socket that was passed on to this process (systemd) belong to who has bound it.

    Attributes:
        path: the name of the socket; empty if it has none.
    """

    path = b""
    _owns_name = False

    def startListening(self) -> None:
        """Bind, and listen.

        Raises:
            CannotListenError: somebody listens there, or the path is not free or not ours.
        """
        path = self.path
        adopted = self._preexistingSocket is not None
        self._owns_name = not adopted and not _is_abstract(path)
        if self._owns_name:
            _clear(path)
        elif adopted:
            self._shouldShutdown = False  # which would end listening for who has bound it, too
            if not _is_abstract(path):
                self.mode = stat.S_IMODE(os.stat(path).st_mode)
        unix.Port.startListening(self)

    def connectionLost(self, reason: Failure) -> None:
        """Take the socket's name away, accept the connections that wait, and stop listening."""
        if self._owns_name:
            with suppress(FileNotFoundError):  # somebody was faster
                os.unlink(self.path)
        if self.lockFile is not None:
            with suppress(OSError, ValueError):  # the same; or it is another's by now
                self.lockFile.unlock()
        ListeningPort.connectionLost(self, reason)


class PortReactor:
    """Stands in for the reactor where endpoints listen, so that their sockets are ours.

    Args:
        reactor: does everything else.
    """

    seconds: Callable[[], float]  # these two are the reactor's own, as everything that is not here
    callLater: Callable[..., DelayedCall]  # noqa: N815  Twisted's name

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._shortage = Shortage(reactor)

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = BACKLOG, interface: str = "") -> IListeningPort:
        """Listen as `twisted.internet.interfaces.IReactorTCP.listenTCP` says."""
        return self._started(TcpPort(port, factory, backlog, interface, self._reactor))

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: IOpenSSLContextFactory | IOpenSSLServerConnectionCreator,
        backlog: int = BACKLOG,
        interface: str = "",
    ) -> IListeningPort:
        """Listen as `twisted.internet.interfaces.IReactorSSL.listenSSL` says."""
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = BACKLOG, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        """Listen as `twisted.internet.interfaces.IReactorUNIX.listenUNIX` says."""
        port = UnixPort(address, factory, backlog, mode, self._reactor, wantPID)  # type: ignore[arg-type]  # it takes a str as well
        port.path = UNIXAddress(address).name or b""
        return self._started(port)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> IListeningPort:
        """Listen as `twisted.internet.interfaces.IReactorSocket.adoptStreamPort` says."""
        if addressFamily == socket.AF_UNIX:
            adopted = UnixPort._fromListeningDescriptor(self._reactor, fileDescriptor, factory)  # type: ignore[no-untyped-call]  # as above
            adopted.path = os.fsencode(adopted._preexistingSocket.getsockname())
            return self._started(adopted)
        port = TcpPort._fromListeningDescriptor(self._reactor, fileDescriptor, addressFamily, factory)  # type: ignore[no-untyped-call]  # as above
        return self._started(port)

    def _started(self, port: ListeningPort) -> IListeningPort:
        port.shortage = self._shortage
        port.startListening()
        return port


def _with_scope(peer: _Peer) -> _Peer:
    """Return an IPv6 peer with its scope in the host (``fe80::1%eth0``), any other as it is."""
    if isinstance(peer, tuple) and len(peer) == 4:
        host, _ = socket.getnameinfo(peer, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        return (host, *peer[1:])
    return peer


def _is_abstract(path: bytes) -> bool:
    """Whether the name of a unix socket is not one of a file (unix(7))."""
    return path[:1] == b"\0"


def _clear(path: bytes) -> None:
    """Remove the socket at `path`, and its lock, if nobody listens there.

    The process id in the lock says little: in a container the next process has the same one.

    Raises:
        CannotListenError: somebody listens there.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return  # somebody's file: binding will say that the name is taken
    except FileNotFoundError:
        pass
    except OSError:
        return  # binding will say why
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            for left in (path, path + b".lock"):
                with suppress(OSError):  # binding will say why
                    os.unlink(left)
            return
        except BlockingIOError:
            pass  # somebody listens, and is behind
        except OSError:
            return  # binding will say why
    raise CannotListenError(None, path, OSError(errno.EADDRINUSE, "another process listens there"))
