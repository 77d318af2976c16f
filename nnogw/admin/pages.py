"""What the admin listener's pages are made of: who may ask, and answers in JSON."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import orjson
from twisted.internet.address import UNIXAddress
from twisted.web.resource import Resource

_SAME_SITE = ("none", "same-origin")


class Page(Resource):
    """A page that only its operator can see.

    A web page that an operator has open could have the browser send requests here. So the name in ``Host`` has to be a loopback one, which
    a rebound DNS name is not, and nothing but a GET may come from another origin.

    Args:
        get: makes the answer, the request given; returns its body.
        post: the same for POST, if that is understood.
    """

    isLeaf = True  # noqa: N815  Twisted's name

    def __init__(self, get: Callable[[Any], bytes] | None = None, post: Callable[[Any], bytes] | None = None) -> None:
        super().__init__()
        self._answers = {method: answer for method, answer in ((b"GET", get), (b"HEAD", get), (b"POST", post)) if answer is not None}

    def render(self, request: Any) -> bytes:
        """Answer `request`, if it comes from the operator and asks for something that the page knows."""
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        if not _is_loopback(request):
            return refuse(request, 403, "The Host header has to be a loopback name or address.")
        if request.method == b"POST" and not _is_same_origin(request):
            return refuse(request, 403, "Web pages of other origins have no business here.")
        answer = self._answers.get(request.method)
        if answer is None:
            request.setHeader(b"Allow", b", ".join(self._answers))
            return refuse(request, 405, f"This page takes {b', '.join(self._answers).decode()}.")
        return answer(request)


def json(request: Any, document: Any, status: int = 200) -> bytes:
    """Return `document` as the body of the answer."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def refuse(request: Any, status: int, message: str) -> bytes:
    """Return the answer to a request that is not as it should be."""
    return json(request, {"error": message}, status)


def _is_loopback(request: Any) -> bool:
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


def _is_same_origin(request: Any) -> bool:
    site = request.getHeader(b"sec-fetch-site")
    origin = request.getHeader(b"origin")
    own = b"http://" + (request.getHeader(b"host") or b"")
    return (site is None or site.decode("latin-1") in _SAME_SITE) and (origin is None or origin == own)
