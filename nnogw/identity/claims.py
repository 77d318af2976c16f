"""From what IAM answers to an `Identity`: pure functions of JSON values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from nnogw.exchange import Identity
from nnogw.fields import field
from nnogw.settings import SessionPaths

#: RFC 3339 §5.6, with the liberties that ISO 8601 allows and servers take: any number of decimals, no colon, no offset (which is UTC).
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))?", re.ASCII)

#: Numbers from here on are milliseconds: as seconds, they would be after the year 5000.
_MILLISECONDS = 1e11

#: C0, DEL and C1: what would end or distort a header field.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BrokenContract(Exception):
    """IAM's response is not what was agreed on. The message names the claim, and quotes nothing."""


class ClaimsReader:
    """Finds an identity's claims in a response of IAM.

    Args:
        paths: where each claim may stand; the first place with a value other than null or "" wins.
    """

    def __init__(self, paths: SessionPaths) -> None:
        self._user_id = _split(paths.user_id)
        self._role = _split(paths.role)
        self._platform_id = _split(paths.platform_id)
        self._platform_status = _split(paths.platform_status)
        self._expires_at = _split(paths.expires_at)

    def identity(self, kind: str, claims: Mapping[str, object]) -> Identity:
        """Return the identity that `claims` tell of.

        Args:
            kind: "session" or "apikey".
            claims: the JSON object of the response.

        Raises:
            BrokenContract: a claim has a wrong type, is not fit for a header field, or one that must be there is missing: a session's user,
                an API key's platform.
        """
        user_id = _text("user id", _first(claims, self._user_id))
        role = _text("role", _first(claims, self._role))
        platform_id = _text("platform id", _first(claims, self._platform_id))
        if kind == "session" and user_id is None:
            raise BrokenContract("a session without a user id")
        if kind == "apikey" and platform_id is None:
            raise BrokenContract("an API key without a platform id")
        known = ((b"X-Nno-User-Id", user_id), (b"X-Nno-Role", role), (b"X-Nno-Platform-Id", platform_id))
        return Identity(
            kind,
            user_id,
            role,
            platform_id,
            platform_status=_text("platform status", _first(claims, self._platform_status)),
            expires_at=_time(_first(claims, self._expires_at)),
            fields=tuple(field(name, value.encode("latin-1")) for name, value in known if value is not None),
        )


def _split(paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in paths)


def _first(claims: Mapping[str, object], paths: tuple[tuple[str, ...], ...]) -> object:
    for path in paths:
        value: object = claims
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and value != "":
            return value
    return None


def _text(claim: str, value: object) -> str | None:
    """Return a claim as the text of a header field; an integer becomes its digits.

    Other numbers are refused: a large one is no longer the number that IAM wrote, and might be somebody else's.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BrokenContract(f"a {claim} that is neither text nor an integer")
    if _CONTROL.search(value):
        raise BrokenContract(f"a {claim} with control characters")
    if max(value) > "\xff":
        raise BrokenContract(f"a {claim} that does not fit in latin-1")
    if value != value.strip():
        raise BrokenContract(f"a {claim} with space around it")  # which a recipient strips: it would arrive as another
    return value


def _time(value: object) -> float | None:
    """Return a time in Unix seconds, from ISO 8601 text or from Unix seconds or milliseconds; fractions of a second of text are dropped."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1000 if value >= _MILLISECONDS else float(value)
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BrokenContract("an expiry that is not a time")
    text, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(text.upper()).replace(tzinfo=timezone.utc)
    except ValueError:
        raise BrokenContract("an expiry that is not a time") from None
    offset = int(hours or 0) * 3600 + int(minutes or 0) * 60
    return moment.timestamp() + (offset if sign == "-" else -offset)
