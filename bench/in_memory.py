"""A whole gateway in memory: the real site and pipeline, with transports that only collect what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from nnogw.lifecycle.generation import adopt, build
from nnogw.lifecycle.shared import Shared
from nnogw.loading import Loaded
from nnogw.settings import AuthSettings, RateLimitSettings, RouteSettings, ServerSettings, ServiceSettings, Settings
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.binding import Binding
from nnogw.wire.site import GatewaySite

SESSION = b'{"userId": "user_1", "role": "admin", "platformId": "k3m9p2xw7q", "platformStatus": "active"}'
_ANSWER_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 14:17:01 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)
_IAM_PORT = 1
_UNLIMITED = 10**9  # requests a window


def settings(routes: Sequence[RouteSettings] = ()) -> Settings:
    """Return the settings of a gateway with every policy on, whose rate limit nobody reaches; without `routes`, it has the default ones."""
    made = Settings(
        auth=AuthSettings(api_key=("bench-service-key",)),
        rate_limit=RateLimitSettings(limit=_UNLIMITED),
        server=ServerSettings(access_log="/dev/null"),
    )
    services = {name: ServiceSettings(url=f"http://127.0.0.1:{port}") for name, port in (("iam", _IAM_PORT), ("registry", 2))}
    made = evolve(made, services={**made.services, **services})
    return evolve(made, routes=tuple(routes)) if routes else made


def request_head(path: str = "/api/v1/platforms/abc", token: str = "bench-session-0123456789abcdef") -> bytes:  # noqa: S107
    """Return a GET, as wrk sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8787\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


class ReactorDouble(Clock):
    """The time is the real one; calls with no delay run when `turn` is called, others never."""

    def __init__(self) -> None:
        super().__init__()
        self._now: list[Callable[[], object]] = []

    def seconds(self) -> float:
        """Return the time."""
        return time.monotonic()

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:  # noqa: A002
        """Schedule a call."""
        if delay == 0 and not args and not kw:
            self._now.append(callable)
            return None
        return super().callLater(delay, callable, *args, **kw)

    def turn(self) -> None:
        """Do what is due at the end of a turn."""
        while self._now:
            calls, self._now = self._now, []
            for call in calls:
                call()


class CollectingTransport:
    """A connection that takes everything."""

    class Peer:
        """Where the other end is."""

        host = "127.0.0.1"

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self.written.append(data)

    def getPeer(self) -> type[Peer]:
        """Return where the other end is."""
        return self.Peer

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Stand in for the rest of ITransport, which does nothing here."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: None


class ScriptedService:
    """An endpoint (`IStreamClientEndpoint`) whose connections are answered by `answer`, always in the same way.

    Args:
        body: of every answer.
    """

    def __init__(self, body: bytes) -> None:
        self._bytes = _ANSWER_HEAD % len(body) + body
        self._connections: list[tuple[Protocol, CollectingTransport]] = []

    def connect(self, factory: Any) -> Deferred[Protocol]:
        """Return a new connection, at once."""
        protocol: Any = factory.buildProtocol(None)
        transport = CollectingTransport()
        protocol.makeConnection(transport)
        self._connections.append((protocol, transport))
        return succeed(protocol)

    def answer(self) -> None:
        """Answer the requests that have come."""
        for protocol, transport in self._connections:
            if transport.written:
                transport.written.clear()
                protocol.dataReceived(self._bytes)


class GatewayInMemory:
    """A gateway with one client connection.

    Args:
        of: its settings; those of `settings`, if not given.
        body: of every service's answer.
    """

    def __init__(self, of: Settings | None = None, body: bytes = b"x" * 285) -> None:
        loaded = Loaded(of or settings())
        self._reactor: Any = ReactorDouble()
        self._body = body
        self._services: list[ScriptedService] = []
        shared = Shared(loaded.settings, self._reactor)
        shared.addresses = Addresses(self._reactor, shared.batch, shared.resolver, shared.ledger, self._endpoint)
        generation = build(loaded, shared)
        adopt(generation, shared)
        shared.log.open()
        self._channel: Any = GatewaySite(shared.resource, self._reactor, generation, shared.batch).buildProtocol(None)
        self._transport = CollectingTransport()
        self._channel.makeConnection(self._transport)  # type: ignore[no-untyped-call]  # Twisted has no annotations there

    def _endpoint(self, binding: Binding, *_: object) -> Any:
        """Return where the connections to a service lead, in place of `nnogw.upstream.endpoints.endpoint_for`."""
        self._services.append(ScriptedService(SESSION if binding.port == _IAM_PORT else self._body))
        return self._services[-1]

    def exchange(self, request: bytes) -> bytes:
        """Send a request, and return what is answered."""
        self._channel.dataReceived(request)
        self._reactor.turn()
        for _ in range(len(self._services)):  # in turn: IAM may be asked before the service is
            for service in self._services:
                service.answer()
                self._reactor.turn()
            if self._transport.written:
                break
        answer = b"".join(self._transport.written)
        self._transport.written.clear()
        return answer
