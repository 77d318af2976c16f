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
from nnogw.patterns import RequestPatterns
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
        self._public = RequestPatterns(settings.public)
        self._forget_on = RequestPatterns(settings.cache.forget_on)

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Find the identity and go on.

        Raises:
            Unauthorized: no, wrong or ambiguous credentials.
            AuthUnavailable: an IAM outage, in the Deferred.
            RateLimited: too many credentials of this address were refused, in the Deferred.
        """
        path = exchange.path
        if not path.startswith(b"/api/") and path != b"/api":
            return proceed()
        if not self._service_digests:
            exchange.auth = "bypass"
            return proceed()
        if exchange.method in self._public.methods and self._public.match(exchange.method, path):
            exchange.auth = "public"
            ends_sessions = self._forget_on.match(exchange.method, path)
            return self._forget_presented(exchange, proceed()) if ends_sessions else proceed()

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
        return proceed().addCallback(self._responded, exchange, kind, token)

    def _undecided(self, failure: Failure, exchange: Exchange, started: float) -> Failure:
        exchange.auth_time = self._clock.seconds() - started
        return failure

    def _responded(self, response: Response, exchange: Exchange, kind: str, token: bytes) -> Response:
        """Drop a verdict that was contradicted, or all of a user some of whose sessions have ended.

        A `Response` is an upstream's: the gateway's refusals are raised.
        """
        status = response.status
        if status == 401:
            self._identities.forget(kind, token)
        elif 200 <= status < 300 and exchange.method in self._forget_on.methods and self._forget_on.match(exchange.method, exchange.path):
            identity = exchange.identity
            self._identities.forget_owner(kind, token, None if identity is None else identity.user_id)
        return response

    def _forget_presented(self, exchange: Exchange, response: Deferred[Response]) -> Deferred[Response]:
        """Do the same where nobody asked whose the credential is: what is in memory may tell."""
        try:
            kind, token = credential(exchange.fields)
        except Unauthorized:
            return response
        return response.addCallback(self._responded, exchange, kind, token)
