"""What happens to a request, in order: THE LIST of middlewares, and `chain`, which joins them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from twisted.internet.defer import Deferred, fail, succeed

from nnogw.exchange import Exchange, Response
from nnogw.headers import TrustedProxies
from nnogw.ids import IdSource
from nnogw.interfaces import Clock, IdentitySource, LogSink, Middleware, PlatformStatusSource, Proceed, RateLimitStore, ServiceClient
from nnogw.middleware.auth import Auth
from nnogw.middleware.cors import Cors
from nnogw.middleware.error_handler import ErrorHandler
from nnogw.middleware.health import Health
from nnogw.middleware.platform_lifecycle import PlatformLifecycle
from nnogw.middleware.proxy import Proxy
from nnogw.middleware.rate_limiter import RateLimiter
from nnogw.middleware.refusal import refusal
from nnogw.middleware.request_id import RequestId
from nnogw.middleware.request_logger import RequestLogger
from nnogw.middleware.security_headers import SecurityHeaders
from nnogw.middleware.timing import Timing
from nnogw.middleware.tracing import Tracing
from nnogw.observability.request_log import format_line
from nnogw.settings import Settings

#: A whole chain: an exchange goes in, its response comes out.
Pipeline = Callable[[Exchange], "Deferred[Response]"]


def middlewares(
    settings: Settings,
    *,
    clock: Clock,
    ids: IdSource,
    log: LogSink,
    limits: RateLimitStore,
    identities: IdentitySource,
    statuses: PlatformStatusSource | None,
    services: Mapping[str, ServiceClient | None],
    trusted: TrustedProxies,
    draining: Callable[[], bool],
) -> list[Middleware]:
    """Return the steps that every request goes through, the outermost first."""
    return [
        SecurityHeaders(settings.security_headers),
        ErrorHandler(),
        RequestId(ids),
        RequestLogger(log, format_line, skip=settings.server.access_log_skip),
        Timing(clock.seconds),
        RateLimiter(settings.rate_limit, store=limits),
        Cors(settings.cors),
        Tracing(ids),
        refusal,  # what the parser, the path rules or the rate limiter refused goes no further
        Auth(settings.auth, identities=identities, clock=clock),
        PlatformLifecycle(settings.lifecycle, statuses=statuses),
        Health(draining),
        Proxy(services, trusted, clock.seconds),
    ]


def chain(steps: Iterable[Middleware]) -> Pipeline:
    """Join `steps` to one: each runs around all those behind it.

    The gateway's own steps run as they are. Anybody else's gets a ``proceed`` that works once: a second call would send the request to its
    service again. What it returns is checked: without a response, the client would wait for ever.
    """
    run: Pipeline = _past_the_end
    for step in reversed(list(steps)):
        run = _link(step if _is_ours(step) else _Guarded(step), run)
    return run


def _is_ours(step: Middleware) -> bool:
    module: str = getattr(step, "__module__", "")
    return module.startswith("nnogw.middleware.")


class _Guarded:
    """Runs a step whose author may have called ``proceed()`` twice, or forgotten to return a response."""

    def __init__(self, step: Middleware) -> None:
        self._step = step

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response] | Response | Awaitable[Response]:
        proceeded = False

        def once() -> Deferred[Response]:
            nonlocal proceeded
            if proceeded:
                return fail(RuntimeError(f"{self._step!r} called proceed() twice"))
            proceeded = True
            return proceed()

        result = self._step(exchange, once)
        if isinstance(result, Deferred):
            return result.addCallback(self._checked)
        if isinstance(result, Awaitable):
            return Deferred.fromCoroutine(result).addCallback(self._checked)  # type: ignore[arg-type]  # as in `_link`
        return self._checked(result)

    def _checked(self, response: object) -> Response:
        if not isinstance(response, Response):
            raise TypeError(f"{self._step!r} returned {type(response).__name__}, expected a Response")
        return response


def _link(step: Middleware, inner: Pipeline) -> Pipeline:
    """Return `step` around `inner`, as a function that always returns a Deferred and never raises.

    It is `maybeDeferred` for the three things that a middleware may do, at a third of the cost; a step may also be ``async def``.
    """

    def run(exchange: Exchange) -> Deferred[Response]:
        try:
            result = step(exchange, partial(inner, exchange))
        except Exception:
            return fail()
        if isinstance(result, Deferred):
            return result
        if isinstance(result, Awaitable):
            return Deferred.fromCoroutine(result)  # type: ignore[arg-type]  # what `async def` returns is a coroutine
        return succeed(result)

    return run


def _past_the_end(_: Exchange) -> Deferred[Response]:
    return fail(RuntimeError("the last middleware of the pipeline called proceed()"))
