"""Rules for numbers, names and paths. A rule takes a value and returns what was expected instead; nothing if the value is good."""

from __future__ import annotations

import re
from collections.abc import Callable

from nnogw.credentials import MAX_TOKEN
from nnogw.errors import BadRequest
from nnogw.routes import canonical

Rule = Callable[[object], str]

_YEAR = 366 * 86400  # seconds: what waits longer was meant in another unit; reactors overflow on much more
_VISIBLE = re.compile(r"[!-~]+")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")  # RFC 3986 §3.3
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_FIELD_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")  # RFC 9110 §5.5, without obs-text and tabs
_PATTERN = 'a method in capitals and a path under /api: "POST /api/v1/iam/sign-in", or "GET /api/v1/docs/*" with * as its last character'
_REQUEST_PATTERN = 'a method in capitals and a path: "GET /health", or "GET /api/v1/docs/*" with * as its last character'
_ANY_PATH = "a path that begins with /, without query, fragment, spaces and dot segments"
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")  # a token (RFC 9110 §5.6.2), but for *, which would be taken for a wildcard
_POLICY_NAME = re.compile(r"[ !#-\[\]-~]*")  # an sf-string without escapes (RFC 9651 §3.3.3)


def switch(value: object) -> str:
    """Expect true or false."""
    return "" if isinstance(value, bool) else "true or false"


def text(value: object) -> str:
    """Expect a string."""
    return "" if isinstance(value, str) else "a string"


def duration(*, zero: bool) -> Rule:
    """Return the rule of a time in seconds; 0 only where `zero` has a meaning. A reactor cannot wait for ``inf`` or ``nan``."""
    expected = f"seconds, a number {'from' if zero else 'above'} 0 up to {_YEAR}"

    def rule(value: object) -> str:
        good = isinstance(value, int | float) and not isinstance(value, bool) and (0 < value <= _YEAR or (zero and value == 0))
        return "" if good else expected

    return rule


def at_least(least: int, unit: str) -> Rule:
    """Return the rule of a whole number that is not below `least`."""
    expected = f"{unit}, a whole number from {least}" if unit else f"a whole number from {least}"

    def rule(value: object) -> str:
        return "" if isinstance(value, int) and not isinstance(value, bool) and value >= least else expected

    return rule


def one_of(*choices: str) -> Rule:
    """Return the rule of an option that has a few possible values."""
    expected = " or ".join(f'"{choice}"' for choice in choices)
    return lambda value: "" if value in choices else expected


def name(value: object) -> str:
    """Expect a word that can stand in logs and metrics."""
    return _matching(value, _NAME, "a word of letters, digits, - _ and .")


def method(value: object) -> str:
    """Expect a method; methods are case-sensitive (RFC 9110 §9.1)."""
    return _matching(value, _METHOD, 'a method in capitals such as "POST"')


def policy_name(value: object) -> str:
    r"""Expect what can stand between quotes in ``RateLimit-Policy``; empty for the rule's prefix."""
    return _matching(value, _POLICY_NAME, 'printable ASCII without " and \\')


def field_value(value: object) -> str:
    """Expect the value of a header field; empty to leave the field out."""
    return _matching(value, _FIELD_VALUE, "printable ASCII without spaces around it")


def cors_header(value: object) -> str:
    """Expect the name of a header field, or ``*`` for all (https://fetch.spec.whatwg.org/#http-new-header-syntax)."""
    return "" if value == "*" else _matching(value, _FIELD_NAME, 'the name of one header such as "X-Client-Version", or "*" for all')


def service_key(value: object) -> str:
    """Expect a token that can come after ``Bearer``."""
    good = isinstance(value, str) and len(value) <= MAX_TOKEN and _VISIBLE.fullmatch(value) is not None
    return "" if good else f"a service key: up to {MAX_TOKEN} visible ASCII characters without spaces"


def file_path(value: object) -> str:
    """Expect ``-`` or the path of a file."""
    return "" if isinstance(value, str) and value and "\0" not in value else '"-" or the path of a file'


def dotted_path(value: object) -> str:
    """Expect keys that are joined by dots."""
    return "" if isinstance(value, str) and all(value.split(".")) else 'keys joined by dots such as "user.id"'


def path_prefix(value: object) -> str:
    """Expect the beginning of a path, as the gateway compares it."""
    if not isinstance(value, str) or not is_path(value):
        return _ANY_PATH
    if "*" in value:
        return "a path without *, as a prefix stands for everything below it"
    form = canonical(value.encode()).decode()
    return "" if value == form else f'the path in its canonical form: "{form}"'


def route_prefix(value: object) -> str:
    """Expect a path prefix under ``/api``, where authentication is, without a trailing slash."""
    expected = path_prefix(value)
    if expected:
        return expected
    prefix = str(value)
    if prefix != "/api" and not prefix.startswith("/api/"):
        return "a path under /api: outside it, requests would reach the service without authentication"
    if prefix.endswith("/"):
        return f'a path without a slash at its end: "{prefix.rstrip("/")}"'
    return ""


def upstream_path(value: object) -> str:
    """Expect a path that is put in front of another, or nothing."""
    return "" if value == "" or (isinstance(value, str) and is_path(value)) else _ANY_PATH


def request_pattern(value: object) -> str:
    """Expect ``METHOD /path``, where ``*`` may end the path, as `nnogw.patterns` compares it."""
    if not isinstance(value, str):
        return _REQUEST_PATTERN
    verb, _, path = value.partition(" ")
    stem = path.removesuffix("*")
    if not _METHOD.fullmatch(verb) or "*" in stem or not path.startswith("/"):
        return _REQUEST_PATTERN
    return path_prefix(stem)


def public_pattern(value: object) -> str:
    """Expect the same with a path under ``/api``, where authentication is."""
    expected = request_pattern(value)
    path = value.partition(" ")[2] if isinstance(value, str) else ""
    if expected == _REQUEST_PATTERN or not (path == "/api" or path.startswith("/api/")):
        return _PATTERN
    return expected


def is_path(value: str) -> bool:
    """Whether `value` is an absolute path without a query that servers read in one way only."""
    if not _PATH.fullmatch(value):
        return False
    try:
        canonical(value.encode())
    except BadRequest:
        return False
    return True


def _matching(value: object, pattern: re.Pattern[str], expected: str) -> str:
    return "" if isinstance(value, str) and pattern.fullmatch(value) else expected
