"""The demo's IAM: says whom a session or an API key belongs to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import orjson
from twisted.web.server import Request

from nnogw.demo.cast import API_KEYS, OUTAGE_SESSION, SESSIONS, Person
from nnogw.demo.echo import Responders, body_of, json_answer

_SESSION_LIFE = 3600  # seconds, counted anew at every question: a demo's session never runs out


def iam_responders(now: Callable[[], float]) -> Responders:
    """Return the responses of IAM.

    Args:
        now: the wall time in Unix seconds, for the end of a session.
    """

    def session(request: Request) -> bytes:
        token = (request.getHeader("Authorization") or "").removeprefix("Bearer ")
        if token == OUTAGE_SESSION:
            return json_answer(request, {"error": "The demo's IAM fails for this session."}, 500)
        person = SESSIONS.get(token)
        if person is None:
            return json_answer(request, None)
        expires = datetime.fromtimestamp(now() + _SESSION_LIFE, timezone.utc)
        return json_answer(request, {**_facts(person), "expiresAt": expires.isoformat(timespec="seconds")})

    return {
        (b"GET", b"/api/nno/session"): session,
        (b"POST", b"/api/nno/apikey/validate"): _validate_api_key,
        (b"POST", b"/api/auth/sign-out"): _sign_out,
    }


def _validate_api_key(request: Request) -> bytes:
    try:
        person = API_KEYS.get(orjson.loads(body_of(request).read())["key"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return json_answer(request, {"error": 'The body should be {"key": "…"}.'}, 400)
    return json_answer(request, {"valid": False} if person is None else {"valid": True, **_facts(person)})


def _sign_out(request: Request) -> bytes:
    """Grant it, and keep the session: the printed lines are to work again."""
    return json_answer(request, {"success": True})


def _facts(person: Person) -> dict[str, str]:
    return {"userId": person.user_id, "role": person.role, "platformId": person.platform_id}
