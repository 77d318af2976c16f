"""What all client connections share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.web.resource import Resource

from nnogw.interfaces import Clock
from nnogw.wire.http1.server import GatewayChannel
from nnogw.wire.request import Generation
from nnogw.wire.transport.hangup import HangupWatch
from nnogw.wire.transport.write_batch import WriteBatch


class GatewaySite(ServerFactory):
    """What all client connections share: the root resource that responses, the configuration that counts, the clock.

    Args:
        resource: the root of the resource tree; its ``render`` starts each request.
        clock: the reactor.
        generation: the configuration that responses requests at first.
        batch: collects writes until the end of the reactor's turn, if it is shared with others.

    Attributes:
        generation: the configuration that responses the requests whose heads are complete from now on.
        channels: the open connections.
        closing: every response says that its connection closes, and no connection is kept for another request.
        draining: idle connections are closed, too.
    """

    noisy = False

    def __init__(self, resource: Resource, clock: Clock, generation: Generation, batch: WriteBatch | None = None) -> None:
        self.resource: Any = resource  # its render takes a GatewayRequest, not a twisted.web IRequest
        self.clock = clock
        self.generation = generation
        self.batch = batch or WriteBatch(clock)
        self.hangups = HangupWatch(clock)
        self.channels: set[GatewayChannel] = set()
        self.closing = False
        self.draining = False
        self._drained: Callable[[], None] = lambda: None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.channels)

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return sum(channel.busy for channel in self.channels)

    @property
    def states(self) -> dict[str, int]:
        """How many connections are in each state, by the state's name."""
        return dict(Counter(channel.state.name for channel in self.channels))

    def renew(self, generation: Generation) -> None:
        """Let `generation` answer from now on. What is under way ends with the one before."""
        self.generation = generation
        for channel in self.channels:
            channel.renew()

    def retire(self, port: object) -> None:
        """Close the connections that the listening `port` has accepted as soon as no request is under way on them."""
        for channel in [channel for channel in self.channels if channel.came_through(port)]:
            channel.retire()

    def buildProtocol(self, addr: IAddress | None) -> GatewayChannel:
        """Return the protocol of a new connection."""
        return GatewayChannel(self)

    def forget(self, channel: GatewayChannel) -> None:
        """Take note that a connection is gone."""
        self.channels.discard(channel)
        self.hangups.forget(channel)
        if self.draining and not self.channels:
            self._drained()

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no further request on any connection than those under way; call `drained` when the last connection is gone."""
        self.closing = self.draining = True
        self._drained = drained
        for channel in list(self.channels):
            channel.retire()
        if not self.channels:
            drained()

    def cut(self) -> int:
        """Drop the connections that are left; returns how many there were."""
        left = list(self.channels)
        for channel in left:
            channel.cut("timeout:drain")
        return len(left)
