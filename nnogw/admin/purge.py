"""``POST /-/purge``: forget what was learnt of somebody, before its time is over."""

from __future__ import annotations

import orjson
from twisted.logger import Logger
from twisted.web.http import parse_qs

from nnogw.admin.pages import Request, json, refuse
from nnogw.interfaces import PlatformTable, VerdictTable

log = Logger()

_RIGHT = "Give exactly one of token=…, api_key=…, user=…, platform=… or all=true, as a form or as a JSON object of strings, in the body."
_SUBJECTS = frozenset({"token", "api_key", "user", "platform", "all"})


class Purge:
    """Answers purges.

    The body says whose: one of ``token``, ``api_key``, ``user``, ``platform`` with its value, or ``all=true``. In the query it would be
    in the history of whoever typed it. The response is ``{"purged": n}``: how many verdicts were dropped. A platform's status goes with its
    verdicts; ``all`` counts the statuses too.

    Args:
        verdicts: the verdict cache.
        statuses: the platforms' statuses.
    """

    def __init__(self, verdicts: VerdictTable, statuses: PlatformTable) -> None:
        self._verdicts = verdicts
        self._statuses = statuses

    def __call__(self, request: Request) -> bytes:
        """Do what `request` asks for, and say how much was purged."""
        asked = _asked(request)
        if asked is None:
            return refuse(request, 400, _RIGHT)
        subject, value = asked
        purged = self._purge(subject, value)
        log.info("purged by {subject}: {purged} dropped", subject=subject, purged=purged)  # whose it was may be a secret
        return json(request, {"purged": purged})

    def _purge(self, subject: str, value: str) -> int:
        verdicts = self._verdicts
        if subject == "user":
            return verdicts.forget_user(value)
        if subject == "platform":
            self._statuses.forget(value)
            return verdicts.forget_platform(value)
        if subject == "all":
            return verdicts.forget_all() + self._statuses.forget_all()
        before = verdicts.entries + verdicts.negative_entries
        verdicts.forget("session" if subject == "token" else "apikey", value.encode())
        return before - verdicts.entries - verdicts.negative_entries


def _asked(request: Request) -> tuple[str, str] | None:
    """Return what is to be purged and of whom; None if the request does not say it rightly."""
    body = request.content.read()
    said = _json_object(body) if _is_json(request) else _form(body)
    if len(said) != 1:
        return None
    subject, value = next(iter(said.items()))
    if subject == "all":
        return (subject, "") if value is True or value == "true" else None
    return (subject, value) if subject in _SUBJECTS and isinstance(value, str) and value else None


def _is_json(request: Request) -> bool:
    return bool((request.getHeader(b"content-type") or b"").lower().startswith(b"application/json"))


def _json_object(body: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _form(body: bytes) -> dict[str, object]:
    """Return the fields of a form; one that comes twice has a list for its value, which is not what anybody asks for."""
    try:
        return {
            name.decode(): values[0].decode() if len(values) == 1 else values
            for name, values in parse_qs(body, keep_blank_values=True).items()
        }
    except UnicodeDecodeError:
        return {}
