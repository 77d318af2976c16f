"""Rules for URLs: of services, of a shared store, and of browser origins."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from nnogw.loading.suggestions import for_url
from nnogw.loading.values import is_path
from nnogw.upstream.binding import BadBinding, ascii_host

_URL = "http://HOST[:PORT][/PATH] or https://…, without user, query and fragment"
_STORE = "redis://HOST[:PORT][/DB], rediss://… or unix:///PATH"
_ORIGIN = 'an origin as browsers send it ("https://app.example.com", "http://localhost:3000"), "https://*.example.com", or "*"'
_VISIBLE = re.compile(r"[!-~]+")
_EXACT_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?")
_SUBDOMAINS = re.compile(r"https://\*(?:\.[a-z0-9-]+){2,}(?::[1-9][0-9]{0,4})?")


def service_url(value: object) -> str:
    """Expect the URL of a service, or nothing."""
    if value == "":
        return ""
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value) or "?" in value or "#" in value:
        return _URL
    meant = for_url(value)
    if meant:
        return meant
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
    except ValueError:
        return f"{_URL}, with a port from 1 to 65535"
    if url.scheme not in ("http", "https") or "@" in url.netloc or not _is_host(host) or port == 0:
        return _URL
    return "" if not url.path or is_path(url.path) else f"{_URL}, whose path has no dot segments"


def store_url(value: object) -> str:
    """Expect the URL of a shared store, or nothing."""
    if value == "":
        return ""
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        return _STORE
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        return _STORE
    good = url.path.startswith("/") and url.path != "/" if url.scheme == "unix" else url.scheme in ("redis", "rediss") and host
    return "" if good else _STORE


def origin(value: object) -> str:
    """Expect an origin in the form that browsers send (RFC 6454 §6.2): lower case, no default port, no path."""
    if value == "*":
        return ""
    if not isinstance(value, str) or value == "null":
        return _ORIGIN
    if _is_origin(value):
        return ""
    scheme, separator, rest = value.partition("://")
    meant = _without_default_port(f"{scheme}{separator}{rest.partition('/')[0]}".lower())
    return f'the origin as browsers send it: "{meant}"' if _is_origin(meant) and "@" not in value else _ORIGIN


def _is_origin(value: str) -> bool:
    form = _SUBDOMAINS if "*" in value else _EXACT_ORIGIN
    return form.fullmatch(value) is not None and _without_default_port(value) == value


def _without_default_port(value: str) -> str:
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if value.startswith(scheme):
            return value.removesuffix(port)
    return value


def _is_host(host: str) -> bool:
    try:
        ascii_host(host)
    except BadBinding:
        return False
    return True
