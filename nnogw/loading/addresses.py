"""Rules for endpoints and addresses: where the gateway listens, where services are, which proxies it trusts."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.python.filepath import UnlistableError
from zope.interface import implementer

from nnogw.loading.suggestions import for_client_endpoint, for_server_endpoint

_SERVER = "a Twisted server endpoint (tcp:PORT:interface=ADDRESS, tcp6:…, ssl:…, unix:/PATH or systemd:…)"
_CLIENT = "a Twisted client endpoint (unix:/PATH, tcp:HOST:PORT or tls:HOST:PORT)"
_PROXY = 'an address such as "10.0.0.4", a network such as "10.0.0.0/8", or "unix"'
_CALL = re.compile(r"^[\w.]+\(\) ")  # how a TypeError begins
_ESCAPES = (("\\\\", "\0"), ("\\:", "\1"), ("\\=", "\2"))  # what Twisted writes for a plain \ : =


@implementer(IReactorPluggableNameResolver)
class _NoReactor:
    """What Twisted's parsers want to see while nothing is connected."""

    nameResolver = None  # noqa: N815  the interface's name


def server_endpoint(value: object) -> str:
    """Expect where to listen."""
    meant = for_server_endpoint(value)
    if meant:
        return meant
    if not isinstance(value, str) or not value.isprintable():
        return _SERVER
    scheme, positional, named = split_endpoint(value)
    if scheme in ("tcp", "tcp6", "ssl"):
        if not _is_port(_argument(positional, named, 0, "port"), least=0):
            return f"{_SERVER} with a port from 0 (any free one) to 65535"
    elif scheme == "unix":
        if not _argument(positional, named, 0, "address"):
            return f"{_SERVER} with the path of a socket"
    elif scheme != "systemd":
        return _SERVER
    return _parsed(serverFromString, value, _SERVER)


def admin_endpoint(value: object) -> str:
    """Expect where to listen for operators only, or nothing."""
    if value == "":
        return ""
    expected = server_endpoint(value)
    if not expected and not is_private(str(value)):
        return 'a loopback address or a unix socket, because it is never public: add :interface=127.0.0.1, or "" for no admin listener'
    return f'{expected}, or "" for no admin listener' if expected else ""


def is_private(description: str) -> bool:
    """Whether only this machine's processes can connect to a server endpoint; without ``interface=`` it listens on all addresses."""
    scheme, _, named = split_endpoint(description)
    if scheme == "unix" or (scheme == "systemd" and named.get("domain") == "UNIX"):
        return True
    interface = named.get("interface", "")
    try:
        return interface == "localhost" or ip_address(interface).is_loopback
    except ValueError:
        return False


def client_endpoint(value: object) -> str:
    """Expect where to connect to, or nothing."""
    if value == "":
        return ""
    meant = for_client_endpoint(value)
    if meant:
        return meant
    if not isinstance(value, str) or not value.isprintable():
        return _CLIENT
    scheme, positional, named = split_endpoint(value)
    if scheme == "unix":
        if not _argument(positional, named, 0, "path"):
            return f"{_CLIENT} with the path of a socket"
    elif scheme in ("tcp", "tls"):
        host = _argument(positional, named, 0, "host")
        if not host or " " in host or "[" in host:
            return f"{_CLIENT} with a host; the colons of an IPv6 address are written \\:"
        if not _is_port(_argument(positional, named, 0 if "host" in named else 1, "port"), least=1):
            return f"{_CLIENT} with a port from 1 to 65535"
    elif scheme == "ssl":
        return f"{_CLIENT}; ssl: does not check whose certificate it is, tls: does"
    else:
        return _CLIENT
    return _parsed(clientFromString, value, _CLIENT)


def trusted_proxy(value: object) -> str:
    """Expect an address, a network, or ``unix``."""
    if value == "unix":
        return ""
    if not isinstance(value, str):
        return _PROXY
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return _PROXY
    address = value.partition("/")[0]
    return "" if ip_address(address) == network.network_address else f'{_PROXY}; the network is "{network}"'


def split_endpoint(description: str) -> tuple[str, list[str], dict[str, str]]:
    """Return the scheme of an endpoint string, its positional and its named arguments."""
    for escaped, mark in _ESCAPES:
        description = description.replace(escaped, mark)
    scheme, *arguments = description.split(":")
    positional, named = [], {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals:
            named[key] = _plain(value)
        else:
            positional.append(_plain(key))
    return scheme, positional, named


def _plain(value: str) -> str:
    for escaped, mark in _ESCAPES:
        value = value.replace(mark, escaped[1])
    return value


def _argument(positional: list[str], named: dict[str, str], position: int, key: str) -> str:
    return named.get(key) or (positional[position] if position < len(positional) else "")


def _is_port(port: str, *, least: int) -> bool:
    return port.isascii() and port.isdigit() and len(port) <= 5 and least <= int(port) <= 65535


def _parsed(parse: Callable[[object, str], object], description: str, expected: str) -> str:
    """Let Twisted have the last word; it also looks for the files and sockets that `description` names."""
    try:
        parse(_NoReactor(), description)
    except UnlistableError as error:
        return f"{expected} whose files can be read ({_told(error.originalException)})"
    except OSError as error:
        return f"{expected} whose files can be read ({_told(error)})"
    except (IndexError, KeyError):
        return f"{expected}; systemd has passed no such socket"
    except Exception as error:  # whatever a parser makes of a bad argument
        return f"{expected} ({_CALL.sub('', str(error))})"
    return ""


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"
