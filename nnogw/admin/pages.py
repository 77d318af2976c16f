"""What the admin listener's pages are made of: who may ask, and responses in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import IO, Protocol

import orjson
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource

log = Logger()


class Request(Protocol):
    """What the pages need of a `twisted.web.server.Request`."""

    method: bytes
    path: bytes
    content: IO[bytes]
    responseHeaders: Headers  # noqa: N815  Twisted's name

    def getHost(self) -> IAddress:
        """Return the address that the request has come to."""

    def getHeader(self, key: bytes) -> bytes | None:
        """Return a header field of the request."""

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Set a header field of the response."""

    def setResponseCode(self, code: int) -> None:
        """Set the status of the response."""


#: Makes the response to a request: sets its header fields, returns its body.
Responder = Callable[[Request], bytes]

_OWN_SITES = (b"none", b"same-origin")


class Pages(Resource):
    """Serves pages to the gateway's operator, and to nobody else.

    A web page that an operator has open could have the browser send requests here. So the name in ``Host`` has to be a loopback one, which
    a rebound DNS name is not, and nothing but a GET may come from another origin.

    Args:
        pages: path → method → what answers it. HEAD is understood wherever GET is.
    """

    isLeaf = True  # noqa: N815  Twisted's name

    def __init__(self, pages: Mapping[bytes, Mapping[bytes, Responder]]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> bytes:
        """Answer `request`, if it comes from the operator and asks for something that there is."""
        request.responseHeaders.removeHeader(b"server")
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        body = self._respond(request)
        if request.method == b"HEAD":
            request.setHeader(b"Content-Length", b"%d" % len(body))
            return b""
        return body

    def _respond(self, request: Request) -> bytes:
        if not _is_loopback(request):
            return refuse(request, 403, "The Host header has to be a loopback name or address.")
        page = self._pages.get(request.path)
        if page is None:
            return refuse(request, 404, "There is no such page.")
        method = b"GET" if request.method == b"HEAD" else request.method
        respond = page.get(method)
        if respond is None:
            methods = b", ".join([*page, b"HEAD"] if b"GET" in page else page)
            request.setHeader(b"Allow", methods)
            return refuse(request, 405, f"This page takes {methods.decode()}.")
        if method != b"GET" and not _is_same_origin(request):
            return refuse(request, 403, "Web pages of other origins have no business here.")
        try:
            return respond(request)
        except Exception:
            log.failure("a bug in the admin page {path}", path=request.path.decode("latin-1"))
            return refuse(request, 500, "A bug; what it was stands in the program's log.")


def json(request: Request, document: object, status: int = 200) -> bytes:
    """Return `document` as the body of the response."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def refuse(request: Request, status: int, message: str) -> bytes:
    """Return the response to a request that is not as it should be."""
    return json(request, {"error": message}, status)


def _is_loopback(request: Request) -> bool:
    if isinstance(request.getHost(), UNIXAddress):
        return True
    host = (request.getHeader(b"host") or b"").decode("latin-1")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same_origin(request: Request) -> bool:
    """Whether no web page of another origin has sent `request` (Fetch Metadata; RFC 6454 §7.3)."""
    site = request.getHeader(b"sec-fetch-site")
    origin = request.getHeader(b"origin")
    own = b"http://" + (request.getHeader(b"host") or b"")
    return (site is None or site in _OWN_SITES) and (origin is None or origin == own)
