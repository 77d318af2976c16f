"""Noticing that a client has left while its connection is not being read."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import Protocol

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer


class Watched(Protocol):
    """A connection whose other end may hang up."""

    @property
    def transport(self) -> object:
        """What it lies on."""

    def hung_up(self) -> None:
        """The other end has closed."""


@implementer(IReadDescriptor)
class HangupWatch:
    """Watches paused connections for the other end's FIN or RST.

    A reactor only learns of a hang-up by reading, and backpressure means not to read: a client that leaves in the middle of an upload which
    the upstream does not take would go unnoticed until a timeout. Linux tells ``EPOLLRDHUP`` without a read; the reactor watches this
    object's own epoll. Where there is no epoll, or the connection is not a plain socket, the timeouts are what remains.

    Args:
        reactor: watches the epoll while there is anything in it; what is no `IReactorFDSet` (a test's clock) turns the watch off.
    """

    def __init__(self, reactor: object) -> None:
        self._reactor: IReactorFDSet = reactor  # type: ignore[assignment]  # where it is something else, nothing is watched
        self._watched: dict[int, Watched] = {}
        self._descriptors: dict[Watched, int] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor) else None

    def watch(self, connection: Watched) -> None:
        """Call `connection.hung_up` when its other end closes, until `forget`."""
        transport = connection.transport
        if self._epoll is None or not isinstance(transport, Connection):
            return
        descriptor = transport.fileno()
        if descriptor < 0 or descriptor in self._watched:
            return
        self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        if not self._watched:
            self._reactor.addReader(self)
        self._watched[descriptor] = connection
        self._descriptors[connection] = descriptor

    def forget(self, connection: Watched) -> None:
        """Stop watching `connection`; nothing happens if it is not watched."""
        descriptor = self._descriptors.get(connection)
        if descriptor is not None:
            self._unwatch(descriptor)

    def close(self) -> None:
        """Stop watching altogether."""
        for descriptor in list(self._watched):
            self._unwatch(descriptor)
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def _unwatch(self, descriptor: int) -> None:
        del self._descriptors[self._watched.pop(descriptor)]
        with suppress(OSError):  # a descriptor that was closed has left the epoll by itself
            self._epoll.unregister(descriptor)  # type: ignore[union-attr]  # nothing is watched without it
        if not self._watched:
            self._reactor.removeReader(self)

    # -- IReadDescriptor --

    def fileno(self) -> int:
        """Return the epoll's own descriptor."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def doRead(self) -> None:
        """Tell the connections whose other end has closed."""
        if self._epoll is None:
            return
        for descriptor, _ in self._epoll.poll(0):
            connection = self._watched.get(descriptor)
            if connection is not None:
                self._unwatch(descriptor)
                connection.hung_up()

    def logPrefix(self) -> str:
        """Name this descriptor in the reactor's log."""
        return "hangup-watch"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gives up on the epoll: nothing is noticed early any more."""
        self._watched.clear()
        self._descriptors.clear()
