"""What llhttp lets pass in a request's head and a gateway must not: pure checks of a head that has been parsed."""

from __future__ import annotations

import re

from nnogw.errors import (
    BadRequest,
    ExpectationFailed,
    GatewayError,
    HeadersTooLarge,
    NotImplementedHere,
    PayloadTooLarge,
    UriTooLong,
)
from nnogw.fields import HeaderFields
from nnogw.settings import LimitSettings

#: RFC 3986 §3.2: a host, with a port or without.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")

#: Line ends that are not CR LF. Where the last byte is a CR, the LF may still come.
BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")


def version_of(head: bytes, method: bytes, target: bytes) -> bytes | None:
    """Return ``b"1.1"`` or ``b"1.0"`` if `head` begins with exactly the request line of `method` and `target`, else None.

    llhttp also takes HTTP/0.9, HTTP/2.0 and several spaces (RFC 9112 §3: exactly one).
    """
    if head.startswith(b"%b %b HTTP/1.1\r\n" % (method, target)):
        return b"1.1"
    if head.startswith(b"%b %b HTTP/1.0\r\n" % (method, target)):
        return b"1.0"
    return None


def over_limit(size: int, target: bytes, fields: int, limits: LimitSettings) -> GatewayError | None:
    """Return the refusal of a head of `size` bytes with so many `fields` that is over a limit, complete or not, or None."""
    if len(target) > limits.max_target:
        return UriTooLong(reason=f"target over {limits.max_target} bytes")
    if size > limits.max_header_bytes:
        return HeadersTooLarge(reason=f"header block over {limits.max_header_bytes} bytes")
    if fields > limits.max_headers:
        return HeadersTooLarge(reason=f"more than {limits.max_headers} header fields")
    return None


def refusal_of(method: bytes, version: bytes, fields: HeaderFields, *, limits: LimitSettings) -> GatewayError | None:
    """Return why a well-formed head is refused, or None.

    Args:
        method: the request's method.
        version: ``b"1.0"`` or ``b"1.1"``.
        fields: the header section.
        limits: for the size that a body may announce.
    """
    if method in (b"CONNECT", b"TRACE"):
        return NotImplementedHere(reason=f"method {method.decode()}")
    first = fields.first
    host = first.get(b"host")
    if host is None:
        if version == b"1.1":
            return BadRequest("A Host header is required.", reason="no Host")
    elif b"host" in fields.repeated:
        return BadRequest("There must be one Host header.", reason="several Host headers")
    elif not _HOST.fullmatch(host):
        return BadRequest("The Host header is malformed.", reason="malformed Host")
    coding = first.get(b"transfer-encoding")
    length = first.get(b"content-length")
    if coding is not None:
        if version == b"1.0":
            return BadRequest(reason="Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked" or b"transfer-encoding" in fields.repeated:
            return NotImplementedHere(reason="a transfer coding other than chunked")
    if length is not None:
        if coding is not None:
            return BadRequest(reason="Content-Length together with Transfer-Encoding")
        if not length.isdigit() or b"content-length" in fields.repeated:
            return BadRequest(reason="not one whole number as Content-Length")
        if int(length) > limits.max_body:
            return PayloadTooLarge(reason=f"Content-Length over {limits.max_body} bytes", details={"maxBytes": limits.max_body})
    if b"expect" in first and version == b"1.1" and fields.joined(b"expect").lower() != b"100-continue":
        return ExpectationFailed(reason="unknown Expect")
    return None
