"""What the tests of identities hand in: a service that answers by a script, a ledger that can be read, an exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from attrs import define, field
from treq.testing import RequestTraversalAgent, StringStubbingResource
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from nnogw.exchange import Exchange, Identity
from nnogw.fields import HeaderFields


def an_exchange(*fields: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/api/v1/billing") -> Exchange:
    """Return a request with ids."""
    exchange = Exchange(method, path, HeaderFields(fields), "192.0.2.1", path=path)
    exchange.request_id = "request-1"
    exchange.trace_id = "trace-1"
    return exchange


@define
class Asked:
    """One request that a scripted service got."""

    method: bytes
    url: str
    headers: Headers
    body: bytes


@define
class ScriptedService:
    """A service that answers every request as the test says.

    Attributes:
        status, body, headers: the next answers.
        asked: what came.
    """

    body: bytes = b"null"
    status: int = 200
    headers: dict[bytes, bytes] = field(factory=dict)
    asked: list[Asked] = field(factory=list)

    def answers(self, document: Any, status: int = 200, **headers: str) -> None:
        """Answer with `document` from now on."""
        self.body = orjson.dumps(document)
        self.status = status
        self.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

    def agent(self) -> RequestTraversalAgent:
        """Return an agent whose requests all come here."""
        return RequestTraversalAgent(StringStubbingResource(self._answer))

    def _answer(self, method: bytes, url: str, params: Any, headers: dict[bytes, list[bytes]], body: bytes) -> tuple[int, Any, bytes]:
        self.asked.append(Asked(method, url, Headers(headers), body))
        return self.status, self.headers, self.body


class OpenEnded(Resource):
    """Begins answers and leaves it to the test to end them."""

    isLeaf = True

    def __init__(self, begin: Callable[[Request], None] = lambda _: None) -> None:
        super().__init__()
        self.begin = begin
        self.requests: list[Request] = []
        self.ended: list[bool] = []

    def render(self, request: Request) -> int:
        self.requests.append(request)
        request.notifyFinish().addBoth(lambda _: self.ended.append(True))
        self.begin(request)
        return NOT_DONE_YET


@implementer(IAgent)
class ManualAgent:
    """Leaves each request to the test: a list of Deferreds to fire, and how many were cancelled."""

    def __init__(self) -> None:
        self.requests: list[Deferred[Any]] = []
        self.uris: list[bytes] = []
        self.cancelled = 0

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        """Take a request."""
        self.uris.append(uri)
        self.requests.append(Deferred(self._cancelled))
        return self.requests[-1]

    def _cancelled(self, _: Deferred[Any]) -> None:
        self.cancelled += 1


class FreezableClock(Clock):
    """A clock whose sockets are read after its timers, as in a reactor's iteration.

    Attributes:
        sockets: what waits to be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[Callable[[], object]] = []

    def thaw(self, seconds: float) -> None:
        """Run the iterations after a freeze: the timers that are due, then the sockets, then the timers that were set meanwhile."""
        self.rightNow += seconds
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        sockets, self.sockets = self.sockets, []
        for read in sockets:
            read()
        self.advance(0)


class ReadableLedger:
    """Writes down which degraded states there are now, and how many times each began."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], str] = {}

    def begin(self, state: str, subject: str, reason: str) -> None:
        self.current[state, subject] = reason

    def end(self, state: str, subject: str) -> None:
        self.current.pop((state, subject), None)


class ManualAuthenticator:
    """Leaves each judgement to the test."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.answers: list[Deferred[Identity | None]] = []

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        return self._ask("session", token)

    def api_key(self, key: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        return self._ask("apikey", key)

    def _ask(self, kind: str, credential: bytes) -> Deferred[Identity | None]:
        self.asked.append((kind, credential))
        self.answers.append(Deferred())
        return self.answers[-1]
