"""Doubles that tests of many parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail, succeed

from nnogw.bodies import BodyConsumer
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.headers import TrustedProxies
from nnogw.routes import Route, RouteTable
from nnogw.settings import LimitSettings, Settings
from nnogw.wire.http1.limits import TimeLimits, client_limits

BILLING = Route(b"/api/v1/billing", "billing", b"", "/api/v1/billing")


def exchange(
    method: bytes = b"GET",
    path: bytes = b"/api/v1/billing/x",
    fields: Iterable[tuple[bytes, bytes]] = (),
    *,
    route: Route | None = BILLING,
    rest: bytes = b"/x",
    peer: str = "192.0.2.1",
) -> Exchange:
    """Return the exchange of a request, as the root resource makes it."""
    made = Exchange(method, path, HeaderFields(fields), peer, ip=peer, path=path, route=route, rest=rest)
    made.request_id = "request-1"
    made.trace_id = "trace-1"
    return made


@frozen(eq=False)
class Rules:
    """One generation of the configuration, as far as connections and the root resource know it (a `nnogw.wire.request.Generation`)."""

    limits: LimitSettings = field(factory=LimitSettings)
    pipeline: Callable[[Exchange], Deferred[Response]] = lambda _: Deferred()
    routes: RouteTable = field(factory=lambda: RouteTable(Settings().routes))
    trusted: TrustedProxies = field(factory=TrustedProxies)
    number: int = 1
    client_limits: TimeLimits = field(init=False)

    @client_limits.default
    def _client_limits(self) -> TimeLimits:
        return client_limits(self.limits)


class Further:
    """What is further in: a scripted `proceed`.

    Args:
        outcome: what comes of it; a Deferred that never fires by default.

    Attributes:
        calls: how often it was called.
        waiting: the Deferred that it returned last.
    """

    def __init__(self, outcome: Response | Exception | None = None) -> None:
        self.calls = 0
        self.waiting: Deferred[Response] = Deferred()
        self._outcome = outcome

    def __call__(self) -> Deferred[Response]:
        """Proceed."""
        self.calls += 1
        if isinstance(self._outcome, Response):
            self.waiting = succeed(self._outcome)
        elif self._outcome is not None:
            self.waiting = fail(self._outcome)
        return self.waiting


def values(made: Exchange) -> dict[bytes, bytes]:
    """Return the answer headers that are decided on: name as spelled → value."""
    return {name: value for _, name, value in made.response_fields.values()}


class Collected:
    """Takes a body (a `nnogw.bodies.BodyConsumer`)."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.error: Exception | None = None

    def body_data(self, data: bytes) -> None:
        """Keep `data`."""
        self.data += data

    def body_ended(self) -> None:
        """Take note of the end."""
        self.ended = True

    def body_failed(self, error: Exception) -> None:
        """Take note of the failure."""
        self.error = error


class ScriptedBody:
    """A body that a test sends piece by piece (a `nnogw.bodies.ResponseBody`).

    Attributes:
        calls: which of a producer's methods were called, in order.
    """

    def __init__(self, length: int | None = None, complete: bytes | None = None) -> None:
        self.length = length
        self.calls: list[str] = []
        self.consumer: BodyConsumer | None = None
        self._complete = complete

    @property
    def flows(self) -> bool:
        """Whether somebody takes the body."""
        return self.consumer is not None

    def whole(self) -> bytes | None:
        """Return the body if it was given whole."""
        return self._complete

    def stream(self, consumer: BodyConsumer) -> None:
        """Start the flow."""
        self.consumer = consumer

    def pauseProducing(self) -> None:
        """Take note."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Take note."""
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """Take note."""
        self.calls.append("stop")


class BodyConnection:
    """What a body comes on (a `nnogw.wire.body.Connection`).

    Attributes:
        calls: what the body has asked for, in order.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def resume_body(self) -> None:
        """Take note."""
        self.calls.append("resume")

    def pause_body(self) -> None:
        """Take note."""
        self.calls.append("pause")

    def stop_body(self) -> None:
        """Take note."""
        self.calls.append("stop")
