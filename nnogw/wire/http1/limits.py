"""Time limits: the states of a connection, and how long each may last. One table for each side.

A connection is in exactly one state, and each state has a row here. A row without a limit of its own says whose limit counts instead. What
renews a limit is progress: a byte that comes, or a byte that the other end takes. A limit that nothing renews is absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple, Protocol

from nnogw.interfaces import Clock
from nnogw.settings import LimitSettings, ServiceSettings
from nnogw.wire.transport.deadline import Deadline

#: Seconds that the other end may take to close after our last byte, before the connection is aborted (nginx ``lingering_timeout``: 5 s).
CLOSE_TIMEOUT = 5.0
#: Seconds that a connection may still take to begin its first request when the listener drains: it may just have been accepted.
FIRST_REQUEST = 1.0


class State:
    """What a connection is doing. States are compared by identity.

    They are no `enum.Enum`, whose members cost 0.07 µs to name, and more as keys of a table: every request goes through four states.

    Args:
        name: for people.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class ClientState:
    """What a client's connection is doing."""

    NEW = State("new")  # no byte has come
    LATE = State("new, while draining")  # the same, and there will be no other request
    IDLE = State("idle")  # between two requests
    HEAD = State("reading head")  # a part of a request's head has come
    RESPONDING = State("responding")  # the response is being made or sent; what there is of a body is not read
    BODY = State("reading body")  # the same, and the request's body is being read
    HELD = State("held")  # the next request has come and has to wait for its turn
    DRAINING = State("draining body")  # the response is out; the rest of the request's body is thrown away
    CLOSING = State("closing")  # our last byte is written
    CLOSED = State("closed")


class UpstreamState:
    """What a connection to an upstream is doing."""

    CONNECTING = State("connecting")  # the TLS handshake included
    IDLE = State("idle")  # in the pool
    SENDING = State("sending")  # the request's body is not through, and no response has begun
    AWAITING = State("awaiting response")  # the request is written
    EXCHANGING = State("sending and receiving")  # the response has begun before the request's body was through
    RECEIVING = State("receiving")  # the response's body is coming
    PAUSED = State("paused")  # the client does not take the response's body as fast as it could come
    UNCLAIMED = State("unclaimed")  # the response's head is in, and nobody takes its body
    CLOSING = State("closing")
    CLOSED = State("closed")


class Taking(Protocol):
    """The writing half of a connection."""

    def taken(self) -> int | None:
        """Return how many bytes the other end has taken: during a stall the number grows with each of them; None if that is not known."""


class TimeLimits(NamedTuple):
    """How long the states of a connection may last.

    Attributes:
        states: seconds for each state; None where another limit counts.
        stall: seconds in which the other end has to take something of what is written.
    """

    states: Mapping[State, float | None]
    stall: float


class StateLimit(Deadline):
    """Keeps a connection's state, and enforces the time limit of that state.

    While the other end does not take what is written (a stall), the stall's limit counts instead, in every state. When it runs out although
    something was taken meanwhile, it begins again. Only then is it looked what has been taken, because stalls are short and frequent: so a
    connection is cut when nothing has been taken for one to two times the limit.

    Args:
        clock: tells monotonic seconds and calls later.
        limits: the limits at first.
        state: the first state; its limit counts from the first `enter` on.
        expired: called when a limit has run out; `state` and `stalled` say which.

    Attributes:
        limits: those that count.
    """

    __slots__ = ("_expired_in_state", "_states", "_taken_before", "_taking", "limits", "stalled", "state")

    def __init__(self, clock: Clock, limits: TimeLimits, state: State, expired: Callable[[], object]) -> None:
        super().__init__(clock, self._run_out)
        self._expired_in_state = expired
        self.use(limits)
        self._taking: Taking | None = None
        self._taken_before: int | None = None
        self.stalled = False
        self.state = state

    def enter(self, state: State) -> None:
        """Let the connection be in `state` from now on. Entering the same state again renews its limit."""
        self.state = state
        if not self.stalled:
            seconds = self._states[state]
            if seconds is None:
                self._at = inf
            else:  # as `set` does it, without another call: every request comes here four times
                self._at = at = self._clock.seconds() + seconds
                if at < self._timer_at:
                    self._bring_forward()

    def move(self, state: State) -> None:
        """Let the connection be in `state`, and leave the limit alone if it was already."""
        if state is not self.state:
            self.enter(state)

    def use(self, limits: TimeLimits) -> None:
        """Let other limits count for the states that are entered from now on: a connection outlives its first configuration."""
        self.limits = limits
        self._states = limits.states

    def change(self, limits: TimeLimits) -> None:
        """Let other limits count at once, for the present state too: as if they had counted since it was entered."""
        before, now = (table.stall if self.stalled else table.states[self.state] for table in (self.limits, limits))
        self.use(limits)
        if before is not None and now is not None and self._at < inf:
            self._at = max(self._at + now - before, self._clock.seconds())
            if self._at < self._timer_at:
                self._bring_forward()

    def stall(self, writing: Taking) -> None:
        """The other end does not take everything that was given to `writing`."""
        self.stalled = True
        self._taking = writing
        self._taken_before = None
        self.set(self.limits.stall)

    def unstall(self) -> None:
        """The other end has taken everything: the limit of the state counts, from now on."""
        self.stalled = False
        self.enter(self.state)

    def _run_out(self) -> None:
        if self.stalled and self._taking is not None:
            before, now = self._taken_before, self._taking.taken()
            if now is not None and (before is None or now > before):
                self._taken_before = now
                self.set(self.limits.stall)
                return
        self._expired_in_state()


def client_limits(limits: LimitSettings) -> TimeLimits:
    """Return how long each state of a client's connection may last.

    While the client does not take the response (`stalled`), ``send_timeout`` counts in every state, and any byte taken renews it.
    """
    states: dict[State, float | None] = {
        ClientState.NEW: limits.header_timeout,
        ClientState.LATE: min(FIRST_REQUEST, limits.header_timeout),
        ClientState.IDLE: limits.idle_timeout,
        ClientState.HEAD: limits.header_timeout,  # absolute: a head that drips in gets no more time
        ClientState.RESPONDING: None,  # the limits of IAM, the registry and the upstream's connection count
        ClientState.BODY: limits.body_timeout,  # renewed by each byte of the body
        ClientState.HELD: limits.send_timeout,
        ClientState.DRAINING: CLOSE_TIMEOUT,  # absolute
        ClientState.CLOSING: CLOSE_TIMEOUT,  # absolute
        ClientState.CLOSED: None,
    }
    return TimeLimits(states, limits.send_timeout)


def upstream_limits(settings: ServiceSettings) -> TimeLimits:
    """Return how long each state of a connection to an upstream may last.

    While the upstream does not take the request (`stalled`), ``idle_timeout`` counts in every state, and any byte taken renews it.
    """
    states: dict[State, float | None] = {
        UpstreamState.CONNECTING: None,  # connect_timeout of the pool, which covers resolving the name too
        UpstreamState.IDLE: settings.keepalive_timeout,
        UpstreamState.SENDING: None,  # the client's body_timeout counts: the upstream takes what comes
        UpstreamState.AWAITING: settings.response_timeout,  # absolute
        UpstreamState.EXCHANGING: None,  # as SENDING
        UpstreamState.RECEIVING: settings.idle_timeout,  # renewed by each byte of the body
        UpstreamState.PAUSED: None,  # the client's send_timeout counts
        UpstreamState.UNCLAIMED: settings.idle_timeout,
        UpstreamState.CLOSING: CLOSE_TIMEOUT,  # absolute
        UpstreamState.CLOSED: None,
    }
    return TimeLimits(states, settings.idle_timeout)
