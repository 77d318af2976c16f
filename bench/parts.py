"""Parts of the gateway by themselves, put together for measuring: what they would talk to answers at once."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import evolve
from in_memory import settings
from twisted.internet.defer import Deferred, succeed

from nnogw.exchange import Exchange, Identity, Response
from nnogw.fields import Field, HeaderFields, field
from nnogw.headers import TrustedProxies
from nnogw.identity.verdict_store import VerdictStore
from nnogw.identity.verdicts import VerdictCache
from nnogw.ids import IdSource
from nnogw.interfaces import Proceed
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.ledger import Ledger
from nnogw.pipeline import chain, middlewares
from nnogw.routes import RouteTable
from nnogw.settings import AuthSettings, RouteSettings, VerdictCacheSettings

TOKEN = b"bench-session-0123456789abcdef"
IDENTITY = Identity("session", "user_1", "admin", "k3m9p2xw7q", "active", fields=(field(b"X-Nno-User-Id", b"user_1"),))
#: What a browser sends.
REQUEST_FIELDS = (
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"Accept", b"application/json"),
    (b"Accept-Language", b"en-GB,en;q=0.8"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"Authorization", b"Bearer " + TOKEN),
    (b"Origin", b"https://console.example"),
    (b"Referer", b"https://console.example/"),
    (b"Connection", b"keep-alive"),
    (b"Sec-Fetch-Dest", b"empty"),
    (b"Sec-Fetch-Mode", b"cors"),
    (b"Sec-Fetch-Site", b"same-site"),
)
#: What a service answers.
ANSWER_FIELDS = (
    (b"Server", b"nginx"),
    (b"Date", b"Mon, 23 Nov 2026 14:17:01 GMT"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"285"),
    (b"Connection", b"keep-alive"),
    (b"ETag", b'"5f3e"'),
    (b"Cache-Control", b"no-store"),
)
DEFAULT_TABLE = RouteTable(settings().routes)


class Authenticator:
    """An IAM that knows everybody at once (a `nnogw.identity.verdicts.Authenticator`)."""

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Judge a session's token."""
        return succeed(IDENTITY)

    api_key = session


class RealTime:
    """The time, and calls that are never made (as much of a `nnogw.interfaces.Clock` as is needed here)."""

    seconds = staticmethod(monotonic)


class Discarding:
    """A log that keeps nothing (a `nnogw.interfaces.LogSink`)."""

    def write(self, line: bytes) -> None:
        """Take a line."""


class ScriptedProxy:
    """The innermost step, which answers at once (a `nnogw.interfaces.Middleware`).

    Args:
        fields: of the answer.
    """

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Response:
        """Answer."""
        return Response(200, list(self._fields), b"")


def route_table(number: int) -> RouteTable:
    """Return a table of `number` routes: the default ones, and others of as many segments."""
    default = settings().routes
    others = (RouteSettings(f"/api/v1/service-{place}", "registry") for place in range(number - len(default)))
    return RouteTable((*default, *others))


def verdict_store(max_entries: int = VerdictCacheSettings().max_entries) -> VerdictStore:
    """Return an empty store of verdicts."""
    clock: Any = RealTime()
    return VerdictStore(AuthSettings(cache=VerdictCacheSettings(max_entries=max_entries)), clock=clock, ledger=Ledger())


def verdict_cache(store: VerdictStore) -> VerdictCache:
    """Return a verdict cache with the default settings, which keeps to `store`."""
    clock: Any = RealTime()
    return VerdictCache(AuthSettings(), Authenticator(), store, clock=clock)


def new_exchange(fields: HeaderFields) -> Exchange:
    """Return the exchange of a request that has just come in, as the root resource makes it."""
    made = Exchange(b"GET", b"/api/v1/platforms/abc", fields, "127.0.0.1", started=monotonic(), started_at=1_795_443_421.25)
    made.ip = made.peer
    made.path, made.route, made.rest = DEFAULT_TABLE.resolve(made.target)
    return made


def ended_exchange() -> Exchange:
    """Return the exchange of a request that has been answered."""
    made = new_exchange(HeaderFields(REQUEST_FIELDS))
    made.request_id = made.trace_id = "0198c7a1-6a5e-7c1f-9d57-0a4f6f1f2b3c"
    made.identity, made.auth, made.cache = IDENTITY, "session", "hit"
    made.auth_time, made.upstream_time, made.upstream = 0.000011, 0.0021, "http://127.0.0.1:8788"
    made.status, made.end, made.bytes_out, made.ended = 200, "upstream", 285, made.started + 0.0023
    return made


def pipeline() -> Callable[[Exchange], Deferred[Response]]:
    """Return all middlewares but the proxy, in whose place is a script; the log is thrown away."""
    of = settings()
    of = evolve(of, cors=evolve(of.cors, origins=("https://console.example",)))
    clock: Any = RealTime()
    steps = middlewares(
        of,
        clock=clock,
        ids=IdSource(),
        log=Discarding(),
        limits=MemoryStore(of.rate_limit.max_keys, monotonic),
        identities=verdict_cache(verdict_store()),
        statuses=None,
        services={},
        trusted=TrustedProxies(),
        draining=lambda: False,
    )
    return chain([*steps[:-1], ScriptedProxy([field(name, value) for name, value in ANSWER_FIELDS])])
