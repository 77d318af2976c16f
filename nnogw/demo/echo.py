"""Answer with what was received: how a newcomer sees what the gateway sends to a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import IO

import orjson
from twisted.web.resource import Resource
from twisted.web.server import Request

#: Makes the response to one request: the body, or ``NOT_DONE_YET``.
Responder = Callable[[Request], "bytes | int"]

#: The responses that a service has of its own: (method, path) → response.
Responders = Mapping[tuple[bytes, bytes], Responder]

_BLOCK = 64 * 1024  # bytes of a stored body read at a time


class DemoService(Resource):
    """One service of the demo platform: a few responses of its own, and an echo of everything else.

    Args:
        name: the service's name, told in every echo.
        responders: what it answers otherwise than with an echo.
    """

    isLeaf = True  # noqa: N815  # twisted.web's name

    def __init__(self, name: str, responders: Responders | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # twisted.web has no annotations here
        self._name = name
        self._responders = responders or {}

    def render(self, request: Request) -> bytes | int:
        """Answer `request`, whatever its method and path."""
        respond = self._responders.get((request.method, request.path))
        return respond(request) if respond is not None else echo(self._name, request)


def json_answer(request: Request, value: object, status: int = 200) -> bytes:
    """Return `value` as the JSON response to `request`, with `status`."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def echo(service: str, request: Request) -> bytes:
    """Return what `service` received as JSON: method, path, query, header fields, and the size and SHA-256 of the body.

    The JSON has one fact and one header field a line, to be read by a person.
    """
    path, _, query = request.uri.partition(b"?")
    fields = [(name, value) for name, values in request.requestHeaders.getAllRawHeaders() for value in values]
    request.setHeader(b"Content-Type", b"application/json")
    return _one_a_line(
        b"{}",
        b"",
        [
            _member("service", service),
            _member("method", _text(request.method)),
            _member("path", _text(path)),
            _member("query", _text(query)),
            b'"headers": ' + _one_a_line(b"[]", b"  ", [orjson.dumps([_text(name), _text(value)]) for name, value in fields]),
            _member("body", _measured(body_of(request))),
        ],
    )


def body_of(request: Request) -> IO[bytes]:
    """Return the body of `request`, which twisted.web has stored whole (in a temporary file, when it is large)."""
    body: IO[bytes] | None = request.content
    assert body is not None  # it is there from the head of a request on
    return body


def _measured(body: IO[bytes]) -> dict[str, object]:
    digest = sha256()
    size = 0
    while block := body.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _member(name: str, value: object) -> bytes:
    return orjson.dumps(name) + b": " + orjson.dumps(value)


def _one_a_line(brackets: bytes, indent: bytes, items: Iterable[bytes]) -> bytes:
    inner = b"\n" + indent + b"  "
    end = b"\n" + indent if indent else b"\n"
    return brackets[:1] + inner + (b"," + inner).join(items) + end + brackets[1:] + (b"" if indent else b"\n")


def _text(value: bytes) -> str:
    return value.decode("latin-1")
