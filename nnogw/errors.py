"""The failures that have a response for the client, and the envelope they are told in.

A `GatewayError` is for the client's eyes: its code, message and details are sent. Its ``reason`` is for the request log only.
Whatever else is raised inside the gateway is a bug and becomes a plain 500 (see `nnogw.middleware.error_handler`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import orjson

#: What can go wrong between the gateway and a service: no connection, a broken one, TLS, a time limit, a response that is not HTTP.
UpstreamFailureKind = Literal["connect", "reset", "tls", "timeout", "malformed"]
UPSTREAM_FAILURE_KINDS: tuple[str, ...] = get_args(UpstreamFailureKind)


class GatewayError(Exception):
    """A failure that is answered with the error envelope.

    Args:
        message: what the client is told; the class's own text by default.
        reason: what the request log is told (never sent), for example ``"two Authorization headers"``.
        details: more facts for the client, JSON-serialisable; left out of the envelope when empty.
        headers: further response header fields, as ``(name, value)`` pairs.
        end: who ended the request, for the request log: ``"gateway"``, ``"upstream"`` or ``"timeout:<which>"``.
        status, code: override the class's own, for a response that has no class.
    """

    status: int = 500
    code: str = "INTERNAL_ERROR"
    default_message: ClassVar[str] = "The gateway failed to handle this request."
    default_end: ClassVar[str] = "gateway"

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        details: Mapping[str, object] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        end: str = "",
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.reason = reason
        self.details = details
        self.headers = headers
        self.end = end or self.default_end
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        super().__init__(f"{self.status} {self.code}: {reason or self.message}")

    def envelope(self, request_id: str) -> bytes:
        """Return the JSON body of the response: ``{"error": {code, message, details?, requestId}}``."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        error["requestId"] = request_id
        return orjson.dumps({"error": error})


class BadRequest(GatewayError):
    """The request is malformed, or its path is one that the gateway refuses to interpret."""

    status = 400
    code = "BAD_REQUEST"
    default_message = "The request is malformed."


class RefusedTarget(BadRequest):
    """The request is well-formed, but the gateway refuses its path or target. The connection can be used for the next request."""


class Unauthorized(GatewayError):
    """No, wrong or ambiguous credentials; always answered with ``WWW-Authenticate: Bearer`` (RFC 9110 §11.6.1)."""

    status = 401
    code = "UNAUTHORIZED"
    default_message = "Valid credentials are required."

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        super().__init__(message, reason=reason, headers=((b"WWW-Authenticate", b"Bearer"),))


class NotFound(GatewayError):
    """No route leads to this path."""

    status = 404
    code = "NOT_FOUND"
    default_message = "No such route."


class RequestTimeout(GatewayError):
    """The client was too slow to send its head or its body."""

    status = 408
    code = "REQUEST_TIMEOUT"
    default_message = "The request did not arrive in time."


class PayloadTooLarge(GatewayError):
    """The body is over ``limits.max_body``."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"
    default_message = "The request body is too large."


class UriTooLong(GatewayError):
    """The request target is over ``limits.max_target``."""

    status = 414
    code = "URI_TOO_LONG"
    default_message = "The request target is too long."


class ExpectationFailed(GatewayError):
    """An ``Expect`` other than ``100-continue`` (RFC 9110 §10.1.1)."""

    status = 417
    code = "EXPECTATION_FAILED"
    default_message = "The only expectation that can be met is 100-continue."


class RateLimited(GatewayError):
    """The caller is over its rate limit; ``retry_after`` is in whole seconds."""

    status = 429
    code = "RATE_LIMITED"
    default_message = "Too many requests."

    def __init__(self, retry_after: int, *, reason: str = "") -> None:
        super().__init__(reason=reason, headers=(_retry_after(retry_after),))


class HeadersTooLarge(GatewayError):
    """The header block is over ``limits.max_header_bytes`` or ``limits.max_headers`` (RFC 6585 §5)."""

    status = 431
    code = "HEADERS_TOO_LARGE"
    default_message = "The request header block is too large."


class PlatformSuspended(GatewayError):
    """The caller's platform has a blocked status."""

    status = 451
    code = "PLATFORM_SUSPENDED"
    default_message = "This platform has been suspended."


class NotImplementedHere(GatewayError):
    """A transfer coding or a method that the gateway does not speak (RFC 9112 §6.1)."""

    status = 501
    code = "NOT_IMPLEMENTED"
    default_message = "The gateway does not implement this method or transfer coding."


class UpstreamFailed(GatewayError):
    """The upstream refused or broke the connection, or its response is malformed; `kind` says which, for the metrics."""

    status = 502
    code = "UPSTREAM_ERROR"
    default_message = "The service failed to answer."
    default_end = "upstream"

    def __init__(self, message: str = "", *, reason: str = "", kind: UpstreamFailureKind = "reset") -> None:
        super().__init__(message, reason=reason)
        self.kind = kind


class ServiceUnavailable(GatewayError):
    """The service cannot be used now: it is not configured, or the platform's status is not known. ``retry_after`` is in whole seconds."""

    status = 503
    code = "SERVICE_UNAVAILABLE"
    default_message = "The service is not available."

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        details: Mapping[str, object] | None = None,
        retry_after: int | None = None,
    ) -> None:
        headers = () if retry_after is None else (_retry_after(retry_after),)
        super().__init__(message, reason=reason, details=details, headers=headers)


class AuthUnavailable(ServiceUnavailable):
    """IAM cannot say who the caller is: an outage, which is neither a refusal nor an open door."""

    code = "AUTH_UNAVAILABLE"
    default_message = "Authentication is temporarily unavailable."

    def __init__(self, *, reason: str = "", retry_after: int = 5) -> None:
        super().__init__(reason=reason, retry_after=retry_after)


class UpstreamTimeout(GatewayError):
    """The upstream did not connect or answer in time; ``end`` says which limit ran out."""

    kind: ClassVar[UpstreamFailureKind] = "timeout"
    status = 504
    code = "UPSTREAM_TIMEOUT"
    default_message = "The service did not answer in time."
    default_end = "timeout:upstream"


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return (b"Retry-After", b"%d" % seconds)
