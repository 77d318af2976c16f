"""The request log: one JSON object a line, one line a request, which nothing that a client sends can forge."""

from __future__ import annotations

import time

import orjson

from nnogw.exchange import Exchange

#: Characters of a path that are kept; what is longer was refused or is of no use to a reader.
_MAX_PATH = 2048

_second = -1
_prefix = ""


def format_line(exchange: Exchange) -> bytes:
    """Return the line of a request that has ended, with its newline.

    The path has no query, and there is no other place where a token, cookie or key could stand. Text that a client has sent is escaped as
    JSON has it, so that it can neither end the line nor begin another field.
    """
    identity = exchange.identity
    route = exchange.route
    line = {
        "time": _timestamp(exchange.started_at),
        "level": "error" if exchange.status >= 500 else "info",
        "requestId": exchange.request_id,
        "traceId": exchange.trace_id or None,
        "method": exchange.method.decode("latin-1"),
        "path": (exchange.path or exchange.target.partition(b"?")[0]).decode("latin-1")[:_MAX_PATH],
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
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _timestamp(at: float) -> str:
    """Return Unix seconds as ISO 8601, UTC, in milliseconds; all but these is made once a second."""
    global _second, _prefix
    second = int(at)
    if second != _second:
        _second = second
        _prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{_prefix}.{int((at - second) * 1000):03d}Z"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
