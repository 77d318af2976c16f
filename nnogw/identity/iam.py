"""The two questions to IAM: whom does this session belong to, and whom this API key?"""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from nnogw.errors import AuthUnavailable
from nnogw.exchange import Exchange, Identity
from nnogw.identity.claims import BrokenContract, ClaimsReader
from nnogw.identity.control_client import BadResponse, CallFailed, ControlClient, ControlResponse
from nnogw.interfaces import Clock
from nnogw.settings import AuthSettings

#: IAM knows the credential not to be good; whatever else is not a 200 says that IAM cannot tell.
_REFUSALS = frozenset({401, 403, 404})


class IamSilent(AuthUnavailable):
    """IAM gave no response at all, or none in time: that concerns IAM, and not only the credential that it was asked about."""


class Iam:
    """Asks IAM about credentials, each time anew.

    A response that is late, broken or not what was agreed on is an outage: neither a refusal nor an open door.

    Args:
        agent: reaches IAM.
        settings: the times (seconds) and where in a response each claim stands.
        clock: measures the times.
        now: the wall time in Unix seconds, for the end of a session.
        base_url: IAM's address, which may have a base path.
    """

    def __init__(
        self, agent: IAgent, settings: AuthSettings, *, clock: Clock, now: Callable[[], float] = time.time, base_url: str = "http://iam"
    ) -> None:
        self._client = ControlClient(
            agent, base_url=base_url, clock=clock, connect_timeout=settings.connect_timeout, timeout=settings.timeout
        )
        self._claims = ClaimsReader(settings.paths)
        self._now = now

    def session(self, token: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Ask whom a session's bearer token belongs to.

        Args:
            token: the token, of visible ASCII.
            exchange: the request that brought it.

        Returns:
            The identity; None if IAM refuses the token or says that its session has ended.

        Raises (in the Deferred):
            AuthUnavailable: an outage; `IamSilent` if no whole response came.
        """
        response = self._client.call("GET", "/api/nno/session", exchange, {b"Authorization": b"Bearer " + token})
        return self._judged(response, "session")

    def api_key(self, key: bytes, exchange: Exchange) -> Deferred[Identity | None]:
        """Ask whom a programmatic key belongs to; as `session`."""
        body = orjson.dumps({"key": key.decode("ascii")})
        response = self._client.call("POST", "/api/nno/apikey/validate", exchange, {b"x-api-key": key}, body)
        return self._judged(response, "apikey")

    def _judged(self, response: Deferred[ControlResponse], kind: str) -> Deferred[Identity | None]:
        return response.addCallbacks(self._judge, _unreachable, callbackArgs=(kind,))

    def _judge(self, response: ControlResponse, kind: str) -> Identity | None:
        if response.status in _REFUSALS:
            return None
        if response.status != 200:
            raise _outage(f"IAM answered {response.status}", response)
        try:
            claims = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            raise _outage("IAM's response is not JSON", response) from None  # the decoder's error quotes the document
        if claims is None:
            return None
        if not isinstance(claims, dict):
            raise _outage("IAM's response is not an object", response)
        if kind == "apikey":
            valid = claims.get("valid", True)
            if valid is False:
                return None
            if valid is not True:
                raise _outage("IAM answered with a validity that is neither true nor false", response)
        try:
            identity = self._claims.identity(kind, claims)
        except BrokenContract as error:
            raise _outage(f"IAM answered with {error}", response) from None
        if identity.expires_at is not None and identity.expires_at <= self._now():
            return None
        return identity


def _outage(reason: str, response: ControlResponse) -> AuthUnavailable:
    return (
        AuthUnavailable(reason=reason) if response.retry_after is None else AuthUnavailable(reason=reason, retry_after=response.retry_after)
    )


def _unreachable(failure: Failure) -> Failure:
    failure.trap(CallFailed)
    kind = AuthUnavailable if failure.check(BadResponse) else IamSilent
    return Failure(kind(reason=f"IAM: {failure.getErrorMessage()}"))
