"""The request log: one JSON object a line, one line a request, which nothing that a client sends can forge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import lru_cache

import orjson

from nnogw.exchange import Exchange

#: Characters of a path that are kept; what is longer was refused or is of no use to a reader.
_MAX_PATH = 2048

#: What comes before the path in a refused target and may hold a password: ``http://name:password@`` (RFC 3986 §3.2.1).
_USERINFO = re.compile(rb"^([a-z][a-z0-9+.-]*://)?[^/@]*@", re.IGNORECASE)
_QUERY_OR_FRAGMENT = re.compile(rb"[?#]")

_FRACTIONS = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))


def format_line(exchange: Exchange) -> bytes:
    """Return the line of a request that has ended, with its newline.

    The path has no query, and there is no other place where a token, cookie or key could stand. Text that a client has sent is escaped as
    JSON has it, so that it can neither end the line nor begin another field. A line is ASCII throughout: Unicode has line ends and
    terminal controls of its own (U+0085, U+2028, U+009B).

    ``level`` is ``error`` where the gateway or a service failed: a 5xx, or a response that the service broke off. What a client did wrong
    (4xx, 499) is ``info``.
    """
    identity = exchange.identity
    route = exchange.route
    line = {
        "time": _timestamp(exchange.started_at),
        "level": "error" if exchange.failed else "info",
        "requestId": exchange.request_id,
        "traceId": exchange.trace_id or None,
        "method": exchange.method.decode("latin-1"),
        "path": (exchange.path or _refused_path(exchange.target)).decode("latin-1")[:_MAX_PATH],
        "route": None if route is None else route.name,
        "service": None if route is None else route.service,
        "upstream": exchange.upstream or None,
        "status": exchange.status,
        "durationMs": _milliseconds(exchange.ended - exchange.started),
        "authMs": _milliseconds(exchange.auth_time),
        "upstreamMs": _milliseconds(exchange.upstream_time),
        "bytesIn": exchange.bytes_in,
        "bytesOut": exchange.bytes_out,
        "ip": exchange.ip,
        "auth": exchange.auth,
        "cache": exchange.cache,
        "userId": None if identity is None else identity.user_id,
        "platformId": None if identity is None else identity.platform_id,
        "end": exchange.end,
    }
    if exchange.reason:
        line["reason"] = exchange.reason
    try:
        text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate: a file name in the settings that is not UTF-8 comes with one
        return _in_ascii(line)
    return text if text.isascii() else _in_ascii(line)


def _in_ascii(line: Mapping[str, object]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def _refused_path(target: bytes) -> bytes:
    """Return what may be told of a target that was refused: no query, no fragment, no password."""
    return _USERINFO.sub(rb"\1", _QUERY_OR_FRAGMENT.split(target, maxsplit=1)[0])


def _timestamp(at: float) -> str:
    """Return Unix seconds as ISO 8601, UTC, in milliseconds."""
    second, millisecond = divmod(int(at * 1000), 1000)
    return _to_the_second(second) + _FRACTIONS[millisecond]


@lru_cache(maxsize=64)  # requests that end together began within a few seconds
def _to_the_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _milliseconds(seconds: float | None) -> float | None:
    """Return seconds in milliseconds, to the microsecond; `round` costs four times as much."""
    return None if seconds is None else int(seconds * 1_000_000 + 0.5) / 1000
