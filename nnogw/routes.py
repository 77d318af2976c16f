"""Where paths lead: the canonical form of a request target, and the route of the longest prefix. Pure functions of values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from attrs import frozen

from nnogw.errors import RefusedTarget
from nnogw.settings import RouteSettings

#: A path without any of these is canonical as it is: escapes, backslashes, fragments, bytes outside the grammar, dots at a segment's begin.
_SUSPECT = re.compile(rb"[%\\#\x00-\x20\x7f-\xff]|/\.")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_MALFORMED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986 §2.3
#: A dot segment, also with path parameters behind it, which Java servers ignore when they resolve it.
#: ``?`` and ``#``: they were escaped, and end the path for a server that splits what it has unescaped.
_DOT_SEGMENT = re.compile(rb"(?:^|/)\.{1,2}(?=[/;?#]|\Z)")
#: How often a path is unescaped to see how it may be read. A URL within a URL within a URL (``%25252F``) takes three times; what then still
#: has escapes was made to be unescaped for a long time.
_MOST_READINGS = 4
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


@frozen
class Route:
    """A path prefix and where it leads.

    Attributes:
        prefix: the canonical prefix, without a trailing slash.
        service: the service behind it.
        upstream_path: put in front of the stripped path; without a trailing slash.
        name: the prefix as text, for logs and metrics.
    """

    prefix: bytes
    service: str
    upstream_path: bytes
    name: str


class Target(NamedTuple):
    """What a request target means: a tuple, which costs a third of a frozen attrs class to make for every request.

    Attributes:
        path: the canonical path, without the query.
        route: the route of the longest matching prefix, or None.
        rest: path and query to forward, byte for byte, without the route's prefix; starts with ``/``.
    """

    path: bytes
    route: Route | None
    rest: bytes


class RouteTable:
    """All routes. What finding one costs does not depend on how many there are.

    Args:
        routes: the settings of the routes; no prefix may come twice.
    """

    def __init__(self, routes: Iterable[RouteSettings]) -> None:
        self.routes = tuple(
            Route(route.prefix.encode("ascii"), route.service, route.upstream_path.rstrip("/").encode("ascii"), route.prefix)
            for route in routes
        )
        self._by_prefix = {route.prefix: route for route in self.routes}
        self._depths = sorted({route.prefix.count(b"/") for route in self.routes}, reverse=True)
        self._deepest = max(self._depths, default=0) + 1

    def resolve(self, target: bytes, host: bytes | None = None, method: bytes | None = None) -> Target:
        """Return what `target` means: matched in its canonical form, forwarded byte for byte.

        Args:
            target: the request target, in origin, absolute or asterisk form (RFC 9112 §3.2).
            host: the value of ``Host``; None if there is none.
            method: the request's method, for the asterisk, which is for OPTIONS alone (RFC 9112 §3.2.4); None if that does not matter.

        Raises:
            RefusedTarget: the path is one that servers read in different ways, an absolute target contradicts `host`, or the method is not
                for the asterisk.
        """
        if not target.startswith(b"/"):
            if target == b"*":
                if method not in (b"OPTIONS", None):
                    raise RefusedTarget("The target * is for OPTIONS only.", reason="the target * with a method other than OPTIONS")
                return Target(target, None, target)
            target = _origin_form(target, host)
        raw, question_mark, query = target.partition(b"?")
        path = raw if _SUSPECT.search(raw) is None else canonical(raw)
        segments = path.split(b"/", self._deepest)
        for depth in self._depths:
            if depth < len(segments):
                prefix = b"/".join(segments[: depth + 1])
                route = self._by_prefix.get(prefix)
                if route is not None:
                    rest = raw[len(prefix) :] if raw is path else _behind(raw, depth)
                    return tuple.__new__(Target, (path, route, (rest or b"/") + question_mark + query))  # half the cost of `Target(…)`
        return Target(path, None, raw + question_mark + query)


def canonical(raw: bytes) -> bytes:
    """Return the canonical form of a path: escaped unreserved characters plain, other escapes in capitals (RFC 3986 §6.2.2).

    ``%2F`` stays what it is, so that segments do not move; ``//``, ``;`` and a trailing slash stay too.

    A service may unescape a path that was unescaped before it, and read ``%255c`` as a backslash. So what is refused is refused in every
    reading. ``%25`` itself, ``%252F`` and other escapes of harmless bytes are names like any other.

    Raises:
        RefusedTarget: it contains what servers read in different ways: malformed escapes, a fragment, and, plain or escaped however often,
            control bytes, backslashes and dot segments.
    """
    if _MALFORMED_ESCAPE.search(raw):
        raise _refused("a malformed escape in the path")
    if not raw.isascii():
        raise _refused("a byte outside ASCII in the path")
    if b"#" in raw:
        raise _refused("a fragment in the target")
    reading = raw
    for _ in range(_MOST_READINGS):
        unescaped = unquote_to_bytes(reading)
        if _CONTROL.search(unescaped):
            raise _refused("a control byte in the path")
        if b"\\" in unescaped:
            raise _refused("a backslash in the path")
        if _DOT_SEGMENT.search(unescaped):
            raise _refused("a dot segment in the path")
        if b"%" not in unescaped or unescaped == reading:
            break
        reading = unescaped
    else:
        raise _refused("an escape that is escaped more than three times in the path")
    return _ESCAPE.sub(_canonical_escape, raw)


def _canonical_escape(escape: re.Match[bytes]) -> bytes:
    code = int(escape.group(1), 16)
    return bytes((code,)) if code in _UNRESERVED else escape.group().upper()


def _behind(raw: bytes, depth: int) -> bytes:
    """Return what follows the first `depth` segments of `raw`: the canonical form has the same segments."""
    offset = 0
    for _ in range(depth):
        offset = raw.find(b"/", offset + 1)
        if offset < 0:
            return b""
    return raw[offset:]


def _origin_form(target: bytes, host: bytes | None) -> bytes:
    """Return the path and query of an absolute target, whose authority has to be the one in ``Host`` (RFC 9112 §3.2.2)."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise _refused("a target that is neither a path nor an absolute URL")
    scheme, authority = (part.lower() for part in absolute.groups())
    port = _DEFAULT_PORTS[scheme]
    if host is not None and authority.removesuffix(port) != host.lower().removesuffix(port):
        raise RefusedTarget("The authority of the request target is not that of the Host header.", reason="target and Host differ")
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _refused(reason: str) -> RefusedTarget:
    return RefusedTarget("The path of the request is not acceptable.", reason=reason)
