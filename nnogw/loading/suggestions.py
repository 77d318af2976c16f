"""What people write where an endpoint string or a URL is expected, and what they mean. Pure functions of values."""

from __future__ import annotations

import re

_PORT = 65535
_LISTEN = re.compile(
    r"(?!(?:tcp6|ssl|tls|unix|systemd|stdio|haproxy):)(?:tcp:|https?://)?(?:(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.*-]*):)?(?P<port>[0-9]{1,5})/?"
)
_CONNECT = re.compile(r"(?!tcp:|tls:|ssl:|unix:)[A-Za-z0-9.-]+:[0-9]{1,5}")
_URL = re.compile(r"https?://")
_IPV6 = re.compile(r"(?<=interface=)(?:[0-9A-Fa-f]*:){2,}[0-9A-Fa-f]*")  # an address as it is written elsewhere
_WITHOUT_SCHEME = re.compile(r"(?!(?:tcp|tls|ssl|unix):)[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/.*)?")
_ENDPOINT = re.compile(r"(?:tcp|tls|ssl|unix):")


def for_server_endpoint(value: object) -> str:
    """Return what is expected for a port, for ``HOST:PORT``, for a URL, for a path, for an IPv6 address without escapes; else nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    written = str(value)
    address = _IPV6.search(written)
    if address:
        escaped = address.group().replace(":", "\\:")
        return f"a Twisted server endpoint with interface={escaped}, whose \\ is doubled between the quotes of a TOML file"
    if written.startswith("/") and written.isprintable():
        return f'a Twisted server endpoint: "unix:{written}"'
    listen = _LISTEN.fullmatch(written)
    if listen is None or not listen["port"].isascii() or int(listen["port"]) > _PORT:
        return ""
    host = (listen["host"] or "").strip("[]").replace(":", "\\:")
    endpoint = f"tcp:{listen['port']}" if host in ("", "*") else f"tcp:{listen['port']}:interface={host}"
    return "" if endpoint == value else f'a Twisted server endpoint: "{endpoint}"'


def for_client_endpoint(value: object) -> str:
    """Return what is expected for ``HOST:PORT``, for a path, for a URL; else nothing."""
    if not isinstance(value, str) or not value.isprintable():
        return ""
    if _URL.match(value):
        return "a Twisted client endpoint; a URL is given as url, in the environment as NNO_…_URL"
    if _CONNECT.fullmatch(value):
        return f'a Twisted client endpoint: "tcp:{value}"'
    return f'a Twisted client endpoint: "unix:{value}"' if value.startswith("/") else ""


def for_url(value: str) -> str:
    """Return what is expected for a URL without its scheme, and for an endpoint string; else nothing."""
    if _ENDPOINT.match(value):
        return "a URL; an endpoint string is given as binding, in the environment as NNO_…"
    return f'a URL: "http://{value}"' if _WITHOUT_SCHEME.fullmatch(value) else ""
