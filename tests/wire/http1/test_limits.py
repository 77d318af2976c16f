"""The states of a connection, and how long each may last."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.settings import LimitSettings, ServiceSettings
from nnogw.wire.http1.limits import (
    CLOSE_TIMEOUT,
    FIRST_REQUEST,
    ClientState,
    State,
    StateLimit,
    UpstreamState,
    client_limits,
    upstream_limits,
)


def states_of(states: type) -> set[State]:
    """Return all states that a class names."""
    return {state for state in vars(states).values() if isinstance(state, State)}


class Tables(SynchronousTestCase):
    """`client_limits` and `upstream_limits`."""

    def test_every_state_of_a_clients_connection_has_its_row(self) -> None:
        """The only ones without a limit of their own are those in which the upstream's side has one, and the end."""
        table, stall = client_limits(LimitSettings(header_timeout=1, body_timeout=2, idle_timeout=3, send_timeout=4))
        self.assertEqual(stall, 4)
        self.assertEqual(
            table,
            {
                ClientState.NEW: 1,
                ClientState.LATE: min(FIRST_REQUEST, 1),
                ClientState.IDLE: 3,
                ClientState.HEAD: 1,
                ClientState.RESPONDING: None,
                ClientState.BODY: 2,
                ClientState.HELD: 4,
                ClientState.DRAINING: CLOSE_TIMEOUT,
                ClientState.CLOSING: CLOSE_TIMEOUT,
                ClientState.CLOSED: None,
            },
        )
        self.assertEqual(table.keys(), states_of(ClientState))

    def test_every_state_of_an_upstreams_connection_has_its_row(self) -> None:
        """Without a limit of their own are those in which the client's side, or the pool's ``connect_timeout``, has one."""
        table, stall = upstream_limits(ServiceSettings(response_timeout=1, idle_timeout=2, keepalive_timeout=3))
        self.assertEqual(stall, 2)
        self.assertEqual(
            table,
            {
                UpstreamState.CONNECTING: None,
                UpstreamState.IDLE: 3,
                UpstreamState.SENDING: None,
                UpstreamState.AWAITING: 1,
                UpstreamState.EXCHANGING: None,
                UpstreamState.RECEIVING: 2,
                UpstreamState.PAUSED: None,
                UpstreamState.UNCLAIMED: 2,
                UpstreamState.CLOSING: CLOSE_TIMEOUT,
                UpstreamState.CLOSED: None,
            },
        )
        self.assertEqual(table.keys(), states_of(UpstreamState))


class Writing:
    """The writing half of a connection, whose other end takes what a test says."""

    def __init__(self, bytes_taken: int | None = None) -> None:
        self.bytes = bytes_taken

    def taken(self) -> int | None:
        """Return how many bytes the other end has taken, if that is known."""
        return self.bytes


class Enforcing(SynchronousTestCase):
    """`StateLimit`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[tuple[State, float]] = []
        limits = client_limits(LimitSettings(header_timeout=10, idle_timeout=75))
        self.limit = StateLimit(self.clock, limits, ClientState.NEW, self.note)
        self.writing = Writing()

    def note(self) -> None:
        """Take note of what has expired, and when."""
        self.expired.append((self.limit.state, self.clock.seconds()))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([seconds, 0])

    def change(self, **limits: float) -> None:
        """Let other limits count."""
        self.limit.change(client_limits(LimitSettings(**limits)))

    def test_a_state_lasts_as_long_as_the_table_says(self) -> None:
        """From the moment in which it was entered."""
        self.limit.enter(ClientState.IDLE)
        self.advance(74)
        self.limit.enter(ClientState.HEAD)
        self.advance(9)
        self.assertEqual(self.expired, [])
        self.advance(1)
        self.assertEqual(self.expired, [(ClientState.HEAD, 84)])

    def test_entering_again_renews_the_limit_and_moving_does_not(self) -> None:
        """Progress renews it; an event that is none does not."""
        self.limit.enter(ClientState.HEAD)
        self.advance(6)
        self.limit.move(ClientState.HEAD)
        self.advance(4)
        self.assertEqual(len(self.expired), 1)
        self.limit.enter(ClientState.HEAD)
        self.advance(6)
        self.limit.enter(ClientState.HEAD)
        self.advance(6)
        self.assertEqual(len(self.expired), 1)

    def test_a_state_without_a_limit_of_its_own_lasts(self) -> None:
        """The limit of the state before it counts no more."""
        self.limit.enter(ClientState.IDLE)
        self.limit.enter(ClientState.RESPONDING)
        self.advance(10_000)
        self.assertEqual(self.expired, [])

    def test_a_stall_has_one_limit_in_every_state(self) -> None:
        """Whatever states are entered meanwhile; behind it, the limit of the state counts from its beginning."""
        self.limit.stall(self.writing)
        self.limit.enter(ClientState.IDLE)
        self.advance(179)
        self.assertEqual(self.expired, [])
        self.limit.unstall()
        self.advance(74)
        self.assertEqual(self.expired, [])
        self.advance(1)
        self.assertEqual(self.expired, [(ClientState.IDLE, 254.0)])

    def test_other_limits_count_for_the_present_state_too(self) -> None:
        """As if they had counted since it was entered, whether they are longer or shorter."""
        for idle_timeout in (100, 50):
            self.setUp()
            self.limit.enter(ClientState.IDLE)
            self.advance(20)
            self.change(idle_timeout=idle_timeout)
            self.advance(idle_timeout - 21)
            self.assertEqual(self.expired, [])
            self.advance(1)
            self.assertEqual(self.expired, [(ClientState.IDLE, idle_timeout)])

    def test_a_shorter_limit_that_is_over_already_expires_as_soon_as_the_sockets_were_read(self) -> None:
        """Not within the call: what it waits for may have come."""
        self.limit.enter(ClientState.IDLE)
        self.advance(60)
        self.change(idle_timeout=30)
        self.assertEqual(self.expired, [])
        self.advance(0)
        self.assertEqual(self.expired, [(ClientState.IDLE, 60)])
        self.change(idle_timeout=10)
        self.advance(10_000)
        self.assertEqual(len(self.expired), 1)

    def test_other_limits_leave_a_state_without_one_alone(self) -> None:
        """They count from the next state on."""
        self.limit.enter(ClientState.RESPONDING)
        self.change(idle_timeout=30)
        self.advance(10_000)
        self.assertEqual(self.expired, [])
        self.limit.enter(ClientState.IDLE)
        self.advance(29)
        self.assertEqual(self.expired, [])
        self.advance(1)
        self.assertEqual(self.expired, [(ClientState.IDLE, 10_030)])

    def test_during_a_stall_another_limit_of_the_stall_counts_at_once(self) -> None:
        """That of the state counts when the stall is over."""
        self.limit.enter(ClientState.IDLE)
        self.limit.stall(self.writing)
        self.advance(100)
        self.change(send_timeout=120, idle_timeout=1)
        self.advance(19)
        self.assertEqual(self.expired, [])
        self.advance(1)
        self.assertEqual(self.expired, [(ClientState.IDLE, 120)])
        self.limit.unstall()
        self.advance(1)
        self.assertEqual(self.expired[1:], [(ClientState.IDLE, 121)])

    def test_before_the_first_state_is_entered_other_limits_begin_none(self) -> None:
        """The connection is being made."""
        self.change(header_timeout=1)
        self.advance(10_000)
        self.assertEqual(self.expired, [])

    def test_other_limits_begin_nothing_after_the_end(self) -> None:
        """No timer is left behind."""
        self.limit.enter(ClientState.IDLE)
        self.limit.close()
        self.change(idle_timeout=1)
        self.advance(10_000)
        self.assertEqual((self.expired, self.clock.getDelayedCalls()), ([], []))

    def test_any_byte_taken_renews_the_limit_of_a_stall(self) -> None:
        """It is looked when the limit has run out, for the first time to know what was taken by then."""
        for slowly in (0, 10):
            self.setUp()
            writing = Writing(0)
            self.limit.stall(writing)
            for _ in range(1 + slowly):
                self.advance(179)
                writing.bytes += 1
                self.advance(1)
            self.assertEqual(self.expired, [])
            self.advance(180)
            self.assertEqual(len(self.expired), 1)
