"""The request id: the client's, if it is fit to be logged, or a new one."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.ids import IdSource
from nnogw.interfaces import Proceed

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9_=-]{1,255}")


class RequestId:
    """Gives every request an id, which is on its response as ``X-Request-Id`` and goes to the upstream as ``X-Nno-Request-Id``.

    Args:
        ids: makes new ones.
    """

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Decide on the id and go on."""
        given = exchange.fields.first.get(b"x-request-id")
        if given is not None and _ACCEPTABLE.fullmatch(given) and b"x-request-id" not in exchange.fields.repeated:
            exchange.request_id = given.decode("ascii")
        else:
            exchange.request_id = self._ids.request_id()
        exchange.response_fields[b"x-request-id"] = (b"x-request-id", b"X-Request-Id", exchange.request_id.encode("ascii"))
        return proceed()
