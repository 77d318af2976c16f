"""Authentication: who sends this request, by service key, session or API key."""

from __future__ import annotations

import hmac
import os

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.credentials import credential
from nnogw.errors import Unauthorized
from nnogw.exchange import Exchange, Identity, Response
from nnogw.interfaces import Clock, IdentitySource, Proceed, Verdict
from nnogw.settings import AuthSettings

_SERVICE = Identity("service")
_NAMES = {"session": "session", "apikey": "API key"}


class Auth:
    """Lets in whoever has an identity, to everything under ``/api``.

    Args:
        settings: the service keys, and the patterns that need no identity.
        identities: judges sessions and API keys.
        clock: measures how long that takes.
        key: under which service keys are compared; a random one of the process's own if empty.
    """

    def __init__(self, settings: AuthSettings, *, identities: IdentitySource, clock: Clock, key: bytes = b"") -> None:
        self._identities = identities
        self._clock = clock
        self._key = key or os.urandom(32)
        self._service_digests = [hmac.digest(self._key, service_key.encode(), "sha256") for service_key in settings.api_key if service_key]
        self._public_paths: set[tuple[bytes, bytes]] = set()
        self._public_prefixes: dict[bytes, tuple[bytes, ...]] = {}
        for pattern in settings.public:
            method, _, path = pattern.encode().partition(b" ")
            if path.endswith(b"*"):
                self._public_prefixes[method] = (*self._public_prefixes.get(method, ()), path[:-1])
            else:
                self._public_paths.add((method, path))

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Find the identity and go on.

        Raises:
            Unauthorized: no, wrong or ambiguous credentials.
            AuthUnavailable: an IAM outage, in the Deferred.
        """
        path = exchange.path
        if not path.startswith(b"/api/") and path != b"/api":
            return proceed()
        if not self._service_digests:
            exchange.auth = "bypass"
            return proceed()
        if self._is_public(exchange.method, path):
            exchange.auth = "public"
            return self._forget_after_sign_out(exchange, proceed()) if _is_sign_out(exchange) else proceed()

        started = self._clock.seconds()
        kind, token = exchange.fields.once(credential)
        verdict: Verdict | Deferred[Verdict] | None
        if kind == "session":
            # Most tokens are sessions that were judged a moment ago, after they had been compared with the service keys: not to do that
            # again spares 5 % of the whole request (an HMAC is 3 to 11 µs).
            verdict = self._identities.remembered_session(token)
            if verdict is None:
                if self._is_service_key(token):
                    exchange.identity = _SERVICE
                    exchange.auth = "service"
                    exchange.auth_time = self._clock.seconds() - started
                    return proceed()
                verdict = self._identities.session(token, exchange)
        else:
            verdict = self._identities.api_key(token, exchange)
        if isinstance(verdict, Verdict):
            return self._decide(verdict, exchange, proceed, kind, token, started)
        return verdict.addCallbacks(
            self._decide, self._undecided, callbackArgs=(exchange, proceed, kind, token, started), errbackArgs=(exchange, started)
        )

    def _is_public(self, method: bytes, path: bytes) -> bool:
        return (method, path) in self._public_paths or path.startswith(self._public_prefixes.get(method, ()))

    def _is_service_key(self, token: bytes) -> bool:
        """Compare in constant time, and with every key: how long it takes tells neither how much is right nor which key it is."""
        digest = hmac.digest(self._key, token, "sha256")
        found = False
        for service_digest in self._service_digests:
            found |= hmac.compare_digest(digest, service_digest)
        return found

    def _decide(
        self, verdict: Verdict, exchange: Exchange, proceed: Proceed, kind: str, token: bytes, started: float
    ) -> Deferred[Response]:
        exchange.auth_time = self._clock.seconds() - started
        exchange.cache = verdict.cache
        if verdict.identity is None:
            raise Unauthorized(reason=f"the {_NAMES[kind]} was refused")
        exchange.identity = verdict.identity
        exchange.auth = kind
        return proceed().addCallback(self._answered, exchange, kind, token)

    def _undecided(self, failure: Failure, exchange: Exchange, started: float) -> Failure:
        exchange.auth_time = self._clock.seconds() - started
        return failure

    def _answered(self, response: Response, exchange: Exchange, kind: str, token: bytes) -> Response:
        """Drop a verdict that has been contradicted or has ended. A `Response` is an upstream's: the gateway's refusals are raised."""
        status = response.status
        if status == 401 or (200 <= status < 300 and _is_sign_out(exchange)):
            self._identities.forget(kind, token)
        return response

    def _forget_after_sign_out(self, exchange: Exchange, response: Deferred[Response]) -> Deferred[Response]:
        """Drop the verdict of a session that signs out where nobody asked whose it is."""
        try:
            kind, token = credential(exchange.fields)
        except Unauthorized:
            return response
        return response.addCallback(self._answered, exchange, kind, token)


def _is_sign_out(exchange: Exchange) -> bool:
    """Whether the request, if it succeeds, ends the session that it comes with."""
    if exchange.method == b"POST":
        return exchange.path.endswith(b"/sign-out")
    return exchange.method == b"DELETE" and exchange.path.startswith(b"/api/v1/iam/api/sessions/")
