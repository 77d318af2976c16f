"""``POST /-/purge``: forget what was learnt of somebody, before its time is over."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from nnogw.admin.pages import json, refuse

_RIGHT = "Say exactly one of token=…, api_key=…, user=…, platform=… or all=true, as a form or as a JSON object of strings."


class Verdicts(Protocol):
    """The verdict cache."""

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential."""

    def forget_user(self, user_id: str) -> int:
        """Drop every verdict of a user."""

    def forget_platform(self, platform_id: str) -> int:
        """Drop every verdict of a platform's callers."""

    def forget_all(self) -> int:
        """Drop every verdict."""


class Statuses(Protocol):
    """The platforms' statuses."""

    def forget(self, platform_id: str) -> None:
        """Drop what is known of a platform."""

    def forget_all(self) -> int:
        """Drop all statuses."""


class Purge:
    """Answers purges.

    Args:
        verdicts: the verdict cache.
        statuses: the platforms' statuses.
    """

    def __init__(self, verdicts: Verdicts, statuses: Statuses) -> None:
        self._verdicts = verdicts
        self._statuses = statuses

    def __call__(self, request: Any) -> bytes:
        """Do what `request` asks for, and say what was purged."""
        asked = _asked(request)
        if asked is None:
            return refuse(request, 400, _RIGHT)
        what, value = asked
        verdicts = self._verdicts
        dropped: int | None = None  # not known of a single credential
        if what == "token":
            verdicts.forget("session", value.encode())
        elif what == "api_key":
            verdicts.forget("apikey", value.encode())
        elif what == "user":
            dropped = verdicts.forget_user(value)
        elif what == "platform":
            dropped = verdicts.forget_platform(value)
            self._statuses.forget(value)
        else:
            dropped = verdicts.forget_all() + self._statuses.forget_all()
        return json(request, {"purged": what} if dropped is None else {"purged": what, "entries": dropped})


def _asked(request: Any) -> tuple[str, str] | None:
    """Return what is to be purged and of whom; None if the request does not say it rightly."""
    if (request.getHeader(b"content-type") or b"").startswith(b"application/json"):
        try:
            document = orjson.loads(request.content.read())
        except orjson.JSONDecodeError:
            return None
        said = document if isinstance(document, dict) else {}
        if said.get("all") is True:
            said["all"] = "true"
    else:
        said = {name.decode("latin-1"): values[0].decode("utf-8", "replace") for name, values in request.args.items() if len(values) == 1}
    if len(said) != 1:
        return None
    what, value = next(iter(said.items()))
    if what not in ("token", "api_key", "user", "platform", "all") or not isinstance(value, str) or not value:
        return None
    return None if what == "all" and value != "true" else (what, value)
