"""A request that has ended, for the tests of what is told of it."""

from __future__ import annotations

from typing import Any

from nnogw.exchange import Exchange, Identity
from nnogw.fields import HeaderFields
from nnogw.routes import Route

BILLING = Route(b"/api/v1/billing", "billing", b"", "/api/v1/billing")
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def an_ended_exchange(**changes: Any) -> Exchange:
    """Return a request that billing has answered, but for the `changes`."""
    facts: dict[str, Any] = {
        "method": b"GET",
        "target": b"/api/v1/billing/invoices?month=5",
        "fields": HeaderFields([]),
        "peer": "127.0.0.1",
        "started": 100.0,
        "started_at": NOON + 0.25,
        "ip": "192.0.2.1",
        "path": b"/api/v1/billing/invoices",
        "route": BILLING,
        "request_id": "request-1",
        "trace_id": "trace-1",
        "identity": Identity("session", "user-ada", "admin", "platform-acme"),
        "auth": "session",
        "cache": "hit",
        "auth_time": 0.0000124,
        "upstream_time": 0.0015,
        "upstream": "http://127.0.0.1:8791",
        "status": 200,
        "end": "upstream",
        "bytes_in": 3,
        "bytes_out": 512,
        "ended": 100.002,
    }
    return Exchange(**{**facts, **changes})
