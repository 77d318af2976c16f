"""CORS: which browser origins may read the gateway's responses (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted.internet.defer import Deferred, succeed

from nnogw.errors import RefusedTarget, UriTooLong
from nnogw.exchange import Exchange, Response
from nnogw.fields import Field, field
from nnogw.interfaces import Proceed
from nnogw.settings import CorsSettings

_VARY = field(b"Vary", b"Origin")
_ALLOW_METHODS = field(b"Access-Control-Allow-Methods", b"GET, HEAD, PUT, POST, DELETE, PATCH")
_ALLOW_CREDENTIALS = field(b"Access-Control-Allow-Credentials", b"true")
_ALLOWED = ("Content-Type", "Authorization", "X-Request-Id")
_EXPOSED = ("X-Request-Id", "X-Nno-Trace-Id", "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing")
_HOST_LABELS = re.compile(rb"[a-z0-9-]+(?:\.[a-z0-9-]+)*")


class Cors:
    """Lets the pages of some origins read the responses, and answers their preflights.

    A preflight is 204 also where the request to come will be refused for its path or target, will be unauthorized, or has no route: a
    browser sends a request only after a preflight with a good status, and only then can the page read the error envelope. A preflight
    that is itself malformed or over a limit is refused like any other request.

    Args:
        settings: the origins (exact ones, ``https://*.example.com`` for all subdomains, or ``*``), and the headers that pages may send
            and read beside the built-in ones.
    """

    def __init__(self, settings: CorsSettings) -> None:
        origins = [origin.lower().encode("ascii") for origin in settings.origins]
        self._any = b"*" in origins
        self._exact = {origin for origin in origins if b"*" not in origin}
        self._subdomains = tuple(
            (scheme, suffix) for scheme, star, suffix in (origin.partition(b"*") for origin in origins) if star and scheme
        )
        self._credentials = settings.credentials and not self._any
        self._allow_headers = field(b"Access-Control-Allow-Headers", _joined(_ALLOWED, settings.allow_headers))
        self._expose_headers = field(b"Access-Control-Expose-Headers", _joined(_EXPOSED, settings.expose_headers))
        self._max_age = field(b"Access-Control-Max-Age", b"%d" % settings.max_age)

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Decide on the headers; answer a preflight, go on with anything else."""
        exchange.response_additions.append(_VARY)
        origin = exchange.fields.first.get(b"origin")
        if origin is None:
            return proceed()
        allowed = b"origin" not in exchange.fields.repeated and self._allows(origin)
        if exchange.method == b"OPTIONS" and b"access-control-request-method" in exchange.fields.first and _is_acceptable(exchange):
            return succeed(Response(204, self._preflight_fields(origin) if allowed else []))
        if allowed:
            for item in (*self._origin_fields(origin), self._expose_headers):
                exchange.response_fields[item[0]] = item
        return proceed()

    def _allows(self, origin: bytes) -> bool:
        if origin == b"null":  # sandboxed pages and local files: whoever sends it cannot be known
            return False
        origin = origin.lower()
        if self._any or origin in self._exact:
            return True
        return any(
            origin.startswith(before) and origin.endswith(behind) and _HOST_LABELS.fullmatch(origin[len(before) : -len(behind)]) is not None
            for before, behind in self._subdomains
        )

    def _origin_fields(self, origin: bytes) -> list[Field]:
        allow = field(b"Access-Control-Allow-Origin", b"*" if self._any else origin)
        return [allow, _ALLOW_CREDENTIALS] if self._credentials else [allow]

    def _preflight_fields(self, origin: bytes) -> list[Field]:
        return [*self._origin_fields(origin), _ALLOW_METHODS, self._allow_headers, self._max_age]


def _is_acceptable(exchange: Exchange) -> bool:
    """Whether nothing is wrong with a preflight but perhaps its path or target, which is that of the request to come."""
    return exchange.refusal is None or isinstance(exchange.refusal, (RefusedTarget, UriTooLong))


def _joined(built_in: Iterable[str], more: Iterable[str]) -> bytes:
    """Return the names of both as one field value, each name once: case does not count (RFC 9110 §5.1)."""
    names: dict[str, str] = {}
    for name in (*built_in, *more):
        names.setdefault(name.lower(), name)
    return ", ".join(names.values()).encode("ascii")
