"""Rate limits: how many requests one caller may make, told in the IETF's RateLimit fields on every response.

The fields are those of https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math

from twisted.internet.defer import Deferred

from nnogw.errors import RateLimited
from nnogw.exchange import Exchange, Response
from nnogw.fields import Field, field
from nnogw.interfaces import Decision, Proceed, RateLimitStore
from nnogw.networks import network_of
from nnogw.settings import RateLimitRule, RateLimitSettings

#: A difference of two times may be a hair too large: 60.00000000001 s are told as 60 and not as 61, which is longer than the window.
_ROUNDING = 1e-6  # seconds


class RateLimiter:
    """Counts requests, and has those over the limit refused.

    A refusal is noted on the exchange, as the parser's are, and raised further in: by then the response has its CORS fields, with which a
    browser application can read it, and its trace id.

    The rule of the longest prefix decides, one for some methods before one for all; where none matches, the limit for everything else.
    Every rule counts for itself. What was refused already, health checks and CORS preflights are not counted.

    Args:
        settings: the limits; with a `limit` of 0, nothing is limited at all.
        store: counts.
    """

    def __init__(self, settings: RateLimitSettings, *, store: RateLimitStore) -> None:
        self._store = store
        self._on = settings.limit > 0
        self._place = _route_name if settings.key == "route" else _path
        self._default = _Policy("default", settings.limit, settings.period)
        rules = sorted(settings.rules, key=lambda rule: (len(rule.prefix.rstrip("/")), bool(rule.methods)), reverse=True)
        self._rules = [(_beginning(rule), _methods(rule), _policy(rule)) for rule in rules]

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Count the request, put the state of the limit on the response, and go on."""
        if not self._on or exchange.refusal is not None or _is_exempt(exchange):
            return proceed()
        policy = self._policy(exchange)
        if policy.limit == 0:
            return proceed()
        ip = exchange.ip
        key = f"{policy.scope}{network_of(ip) if ':' in ip else ip}:{self._place(exchange)}"
        decision = self._store.hit(key, policy.limit, policy.period)
        if isinstance(decision, Decision):
            return _decided(decision, policy, exchange, proceed)
        return decision.addCallback(_decided, policy, exchange, proceed)

    def _policy(self, exchange: Exchange) -> _Policy:
        if self._rules:
            path = exchange.path + b"/"
            for beginning, methods, policy in self._rules:
                if path.startswith(beginning) and (not methods or exchange.method in methods):
                    return policy
        return self._default


class _Policy:
    """One limit, and what of its fields can be said beforehand."""

    __slots__ = ("field", "limit", "name", "period", "scope", "state")

    def __init__(self, name: str, limit: int, period: float, scope: str = "") -> None:
        quoted = _sf_string(name)
        self.name = name
        self.limit = limit
        self.period = period
        self.scope = scope  # what this policy's keys begin with
        self.field: Field = field(b"RateLimit-Policy", b"%b;q=%d;w=%d" % (quoted, limit, math.ceil(period)))
        self.state = quoted.replace(b"%", b"%%") + b";r=%d;t=%d"


def _decided(decision: Decision, policy: _Policy, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
    """Say what the decision is, and go on."""
    seconds = math.ceil(decision.reset - _ROUNDING)
    fields = exchange.response_fields
    fields[b"ratelimit-policy"] = policy.field
    fields[b"ratelimit"] = (b"ratelimit", b"RateLimit", policy.state % (decision.remaining, seconds))
    if not decision.allowed:
        reason = f'over the limit "{policy.name}" of {policy.limit} requests in {policy.period:g} s'
        exchange.refusal = RateLimited(max(seconds, 1), reason=reason)
    return proceed()


def _is_exempt(exchange: Exchange) -> bool:
    """Whether a request is a health check, or a preflight, which browsers send on their own account."""
    method = exchange.method
    if exchange.path == b"/health":
        return method in (b"GET", b"HEAD")
    if method == b"OPTIONS":
        first = exchange.fields.first
        return b"origin" in first and b"access-control-request-method" in first
    return False


def _path(exchange: Exchange) -> str:
    return exchange.path.decode("latin-1")


def _route_name(exchange: Exchange) -> str:
    return "-" if exchange.route is None else exchange.route.name


def _beginning(rule: RateLimitRule) -> bytes:
    """Return what a path with ``/`` behind it starts with if `rule` is for it: prefixes match on a segment boundary."""
    return rule.prefix.rstrip("/").encode("ascii") + b"/"


def _methods(rule: RateLimitRule) -> frozenset[bytes]:
    return frozenset(method.encode("ascii") for method in rule.methods)


def _policy(rule: RateLimitRule) -> _Policy:
    scope = f"{','.join(sorted(rule.methods))} {rule.prefix} "  # names may come twice; of rules with the same of these, the first decides
    return _Policy(rule.name or rule.prefix, rule.limit, rule.period, scope)


def _sf_string(text: str) -> bytes:
    r"""Return `text` as a string of structured fields (RFC 9651 §3.3.3).

    Raises:
        ValueError: it is not printable ASCII, which such a string cannot hold.
    """
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"the name of a rate limit has to be printable ASCII: {text!r}")
    return b'"%b"' % text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")
