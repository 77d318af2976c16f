"""The interfaces between the parts: what they expect of one another.

What a class asks of its neighbour in the same folder (a body of its connection, a channel of its site) stands beside that class.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IPushProducer,
    IReactorCore,
    IReactorFDSet,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
    ITransport,
)
from zope.interface import Attribute

from nnogw.bodies import Body, ResponseBody
from nnogw.exchange import Exchange, Identity, Response
from nnogw.fields import Field, HeaderFields

#: The rest of the pipeline: everything further in, as one Deferred.
Proceed = Callable[[], "Deferred[Response]"]


class DelayedCall(Protocol):
    """A call that `Clock.callLater` has scheduled."""

    def cancel(self) -> None:
        """Do not make the call."""

    def active(self) -> bool:
        """Whether the call is still to come."""


class Clock(Protocol):
    """The time of a reactor: monotonic, in seconds from an arbitrary start."""

    def seconds(self) -> float:
        """Return the time."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:  # noqa: A002  Twisted's name
        """Call `callable` in `delay` seconds."""


class ReactorThread(Clock, Protocol):
    """The thread of a reactor, to which other threads hand calls."""

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002  Twisted's name
        """Call `callable` in the reactor's thread."""


class Reactor(IReactorCore, IReactorTime, IReactorFDSet, IReactorTCP, IReactorUNIX, IReactorThreads):
    """What the gateway needs of a reactor, which no interface of Twisted's says together; every one on POSIX has it."""


class Transport(ITransport, IPushProducer, IConsumer):
    """What the wire needs of a connection: of TCP, of a unix socket, or of TLS on either."""

    disconnecting: int = Attribute("Whether (0 or 1) the connection is to be closed as soon as everything is written.")

    def setTcpNoDelay(enabled: bool) -> None:  # noqa: N805  methods of zope's interfaces have no self
        """Send small packets at once; only TCP has this."""

    def loseWriteConnection() -> None:
        """Tell the other end that nothing more will come, once everything is written."""

    def abortConnection() -> None:
        """Drop the connection at once."""


class Middleware(Protocol):
    """One step of the pipeline.

    It does exactly one of: return ``proceed()`` (perhaps with callbacks added), return a `Response`, raise a `GatewayError`.
    """

    def __call__(self, exchange: Exchange, proceed: Proceed, /) -> Deferred[Response] | Response | Awaitable[Response]:
        """Run this step for `exchange`."""


class ServiceResponse(Protocol):
    """An upstream's response, whose body may still be coming."""

    @property
    def status(self) -> int:
        """The status."""

    @property
    def reason(self) -> bytes:
        """The reason phrase."""

    @property
    def fields(self) -> HeaderFields:
        """The fields of the head."""

    @property
    def body(self) -> ResponseBody:
        """The body, which may still be coming."""


class ServiceClient(Protocol):
    """Passes requests on to one service."""

    name: str
    address: str  # where the service is, for the log
    preserve_host: bool
    forward_credentials: bool

    def forward(
        self,
        method: bytes,
        target: bytes,
        fields: list[Field],
        body: Body | None,
        host: bytes | None,
        hinted: Callable[[HeaderFields], None] | None = None,
    ) -> Deferred[ServiceResponse]:
        """Send a request byte for byte and return the response as soon as its head is in; cancelling gives it up.

        Args:
            method: the method.
            target: path and query.
            fields: end-to-end header fields, in order.
            body: the body, if there is one; it starts to flow once there is a connection.
            host: the ``Host``, if it is not to be the service's own.
            hinted: called with the fields of each 103 (RFC 8297) that comes before the response.
        """


class Decision(NamedTuple):
    """What a rate limit says of one request."""

    allowed: bool
    limit: int  # requests a window
    remaining: int  # requests left in this window
    reset: float  # seconds until the window ends


class RateLimitStore(Protocol):
    """Counts requests in fixed windows."""

    def hit(self, key: str, limit: int, period: float) -> Decision | Deferred[Decision]:
        """Count one request under `key` (at most `limit` in `period` seconds) and decide on it."""


@frozen
class Verdict:
    """What IAM says of a credential."""

    identity: Identity | None  # None: a definite refusal
    cache: str  # "hit", "miss" or "stale"


class IdentitySource(Protocol):
    """Says whom a credential belongs to, from the cache or from IAM."""

    def remembered_session(self, token: bytes) -> Verdict | None:
        """Return the good verdict on a session's token that is in memory, or None: whose the token is has to be found out."""

    def session(self, token: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a session's bearer token; fails with `AuthUnavailable` on an IAM outage, with `RateLimited` for an address that guesses."""

    def api_key(self, key: bytes, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a programmatic key; as `session`."""

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey")."""

    def forget_owner(self, kind: str, credential: bytes, user_id: str | None = None) -> int:
        """Drop every verdict of the user whose credential this is, if `user_id` or what is in memory tells who that is."""


class Authenticator(Protocol):
    """Whom the cache asks about a credential: `nnogw.identity.iam.Iam`, which says what the methods promise."""

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a session's bearer token."""

    def api_key(self, key: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a programmatic key."""


class FailureStore(Protocol):
    """Counts in fixed windows, as `nnogw.limiting.memory.MemoryStore` does."""

    def hit(self, key: str, limit: int, period: float) -> Decision:
        """Count once under `key`."""

    def peek(self, key: str, limit: int) -> Decision:
        """Return what the next `hit` would decide, without counting."""


class PlatformStatusSource(Protocol):
    """Says what status a platform has."""

    def status(self, platform_id: str, exchange: Exchange) -> str | Deferred[str | None] | None:
        """Return the platform's status, or None while it is not known."""


class CallCounts(Protocol):
    """How many calls to IAM there are."""

    under_way: int
    waiting: int
    turned_away: int  # since the start


class VerdictTable(Protocol):
    """The verdicts in memory, as operators see and drop them. The counts of events are those since the start."""

    hits: int
    misses: int
    stale: int
    refusals: int
    calls: int
    failures: int

    @property
    def queue(self) -> CallCounts:
        """The calls to IAM."""

    @property
    def evictions(self) -> int:
        """Entries that were evicted because a table was full."""

    @property
    def entries(self) -> int:
        """Valid verdicts."""

    @property
    def negative_entries(self) -> int:
        """Refused credentials."""

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey")."""

    def forget_user(self, user_id: str) -> int:
        """Drop every verdict of a user, and return how many there were."""

    def forget_platform(self, platform_id: str) -> int:
        """Drop every verdict of a platform's callers, and return how many there were."""

    def forget_all(self) -> int:
        """Drop every verdict, and return how many there were."""


class PlatformTable(Protocol):
    """The statuses of platforms in memory, as operators drop them."""

    def forget(self, platform_id: str) -> None:
        """Drop what is known of a platform."""

    def forget_all(self) -> int:
        """Drop all statuses, and return how many there were."""


class LimitTable(Protocol):
    """The rate limit windows in memory."""

    evictions: int  # since the start

    @property
    def keys(self) -> int:
        """Windows in memory."""


class ConnectionCounts(Protocol):
    """How many connections to a service there are."""

    open: int

    @property
    def idle(self) -> int:
        """Those of them that wait to be used."""


class ServiceConnections(Protocol):
    """A service and its connections."""

    @property
    def label(self) -> str:
        """Where it is, as an operator wrote it."""

    @property
    def pool(self) -> ConnectionCounts:
        """Its connections."""


class ClientConnections(Protocol):
    """The connections of clients."""

    @property
    def connections(self) -> int:
        """Open connections."""

    @property
    def states(self) -> dict[str, int]:
        """How many of them are in each state, by the state's name."""

    @property
    def in_flight(self) -> int:
        """Requests in progress."""


class DegradedLedger(Protocol):
    """Where every degraded state is written down when it begins and ends."""

    def begin(self, state: str, subject: str, reason: str) -> None:
        """A degraded state (say ``"iam-outage"`` of ``"iam"``) has begun or goes on."""

    def end(self, state: str, subject: str) -> None:
        """It is over; nothing happens if it had not begun."""


class LogSink(Protocol):
    """Takes finished lines of the request log."""

    def write(self, line: bytes) -> None:
        """Write one line, its newline included. Never raises, never blocks."""


class LogWriter(Protocol):
    """What of a log is counted."""

    dropped: int  # lines, since the start


class ReloadRefused(Exception):
    """A reload was refused: nothing has changed.

    Args:
        problems: why, a line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
