"""Tracing: the id under which a request is found in the logs of every service that it passed."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.ids import IdSource
from nnogw.interfaces import Proceed

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9_-]{1,128}")
#: https://www.w3.org/TR/trace-context/#traceparent-header; a later version may have more fields behind these.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


class Tracing:
    """Gives every request a trace id, which is on its response and goes to the upstream as ``X-Nno-Trace-Id``.

    Args:
        ids: makes new ones.
    """

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Decide on the id and go on."""
        given = _given(exchange.fields)
        exchange.trace_id = self._ids.trace_id() if given is None else given.decode("ascii")
        exchange.response_fields[b"x-nno-trace-id"] = (b"x-nno-trace-id", b"X-Nno-Trace-Id", exchange.trace_id.encode("ascii"))
        return proceed()


def _given(fields: HeaderFields) -> bytes | None:
    """Return the trace id that a request comes with: its own, else that of a ``traceparent``; None if there is none that can be used."""
    own = fields.first.get(b"x-nno-trace-id")
    if own is not None and _ACCEPTABLE.fullmatch(own) and b"x-nno-trace-id" not in fields.repeated:
        return own
    parent = fields.first.get(b"traceparent")
    if parent is None or b"traceparent" in fields.repeated:
        return None
    match = _TRACEPARENT.fullmatch(parent)
    return None if match is None else match.group(1)
