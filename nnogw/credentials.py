"""The credential that a request comes with: a pure function of its header fields."""

from __future__ import annotations

from nnogw.errors import Unauthorized
from nnogw.fields import HeaderFields

#: Bytes that a token may have; nginx and Envoy take header lines of about that size at most.
MAX_TOKEN = 8 * 1024

_VISIBLE = bytes(range(0x21, 0x7F))  # what a token consists of: token68 (RFC 9110 §11.2) and more, but nothing that separates


def credential(fields: HeaderFields) -> tuple[str, bytes]:
    """Return the kind and the token of a request's credential; Authorization goes before x-api-key.

    Raises:
        Unauthorized: there is none, or it cannot be a good one.
    """
    if fields.repeated and not fields.repeated.isdisjoint((b"authorization", b"x-api-key")):
        raise Unauthorized(reason="two Authorization or two x-api-key headers")
    authorization = fields.first.get(b"authorization")
    if authorization is not None:
        kind = "session"
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthorized(reason="an authentication scheme other than Bearer")
        token = token.strip(b" ")
    else:
        kind = "apikey"
        api_key = fields.first.get(b"x-api-key")
        if api_key is None:
            raise Unauthorized(reason="no credentials")
        if not api_key.startswith(b"nno_"):
            raise Unauthorized(reason="an API key without the prefix nno_")
        token = api_key
    if not token:
        raise Unauthorized(reason="an empty token")
    if len(token) > MAX_TOKEN or token.translate(None, _VISIBLE):
        raise Unauthorized(reason="a malformed token")
    return kind, token
