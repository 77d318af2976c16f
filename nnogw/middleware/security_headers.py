"""Security headers: on every response, errors included."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.fields import field
from nnogw.interfaces import Proceed
from nnogw.settings import SecurityHeaderSettings


class SecurityHeaders:
    """Puts the three security headers on every response; the upstream's own are dropped.

    Args:
        settings: their values; an empty one leaves its header out, and the upstream's through.
    """

    def __init__(self, settings: SecurityHeaderSettings) -> None:
        fields = (
            field(b"X-Content-Type-Options", settings.content_type_options.encode("latin-1")),
            field(b"X-Frame-Options", settings.frame_options.encode("latin-1")),
            field(b"Referrer-Policy", settings.referrer_policy.encode("latin-1")),
        )
        self._fields = {item[0]: item for item in fields if item[2]}

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Decide on the headers and go on."""
        exchange.response_fields.update(self._fields)
        return proceed()
