"""Rules for endpoints and addresses: where the gateway listens, where services are, which proxies it trusts."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.python.filepath import UnlistableError
from zope.interface import implementer

_SERVER = "a Twisted server endpoint (tcp:PORT:interface=ADDRESS, tcp6:…, ssl:…, unix:/PATH or systemd:…)"
_CLIENT = "a Twisted client endpoint (unix:/PATH, tcp:HOST:PORT or tls:HOST:PORT)"
_PROXY = 'an address such as "10.0.0.4", a network such as "10.0.0.0/8", or "unix"'
_LOOSE = re.compile(
    r"(?:[a-z]+:(?://)?)?(?:(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.*-]*):)?(?P<port>[0-9]{1,5})/?"
)  # where people say they listen
_HOST_AND_PORT = re.compile(r"(?!tcp:|tls:|ssl:|unix:)[A-Za-z0-9.-]+:[0-9]{1,5}")
_URL = re.compile(r"https?://")
_COLONS = re.compile(r"(?<=interface=)(?:[0-9A-Fa-f]*:){2,}[0-9A-Fa-f]*")  # an IPv6 address as it is written elsewhere
_CALL = re.compile(r"^[\w.]+\(\) ")  # how a TypeError begins
_ESCAPES = (("\\\\", "\0"), ("\\:", "\1"), ("\\=", "\2"))  # what Twisted writes for a plain \ : =


@implementer(IReactorPluggableNameResolver)
class _NoReactor:
    """What Twisted's parsers want to see while nothing is connected."""

    nameResolver = None  # noqa: N815  the interface's name


def server_endpoint(value: object) -> str:
    """Expect where to listen."""
    if not isinstance(value, str) or not value.isprintable():
        return _meant(str(value), _SERVER)
    plain_colons = _COLONS.search(value)
    if plain_colons:
        escaped = plain_colons.group().replace(":", "\\:")
        return f"a Twisted server endpoint with interface={escaped}, whose \\ is doubled between the quotes of a TOML file"
    scheme, positional, named = _split(value)
    if scheme in ("tcp", "tcp6", "ssl"):
        if not _is_port(_argument(positional, named, 0, "port"), least=0):
            return _meant(value, f"{_SERVER} with a port from 0 (any free one) to 65535")
    elif scheme == "unix":
        if not _argument(positional, named, 0, "address"):
            return f"{_SERVER} with the path of a socket"
    elif scheme != "systemd":
        return _meant(value, f'a Twisted server endpoint: "unix:{value}"' if value.startswith("/") else _SERVER)
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
    scheme, _, named = _split(description)
    if scheme == "unix" or (scheme == "systemd" and named.get("domain") == "UNIX"):
        return True
    interface = named.get("interface", "")
    try:
        return interface == "localhost" or ip_address(interface).is_loopback
    except ValueError:
        return False


def socket_path(description: str) -> str:
    """Return the path of the unix socket that a server endpoint binds; empty for an endpoint of another kind."""
    scheme, positional, named = _split(description)
    return _argument(positional, named, 0, "address") if scheme == "unix" else ""


def overlap(one: str, other: str) -> bool:
    """Whether two server endpoints cannot both be bound, because they are the same socket or one is on all addresses."""
    (kind, place, interface), (other_kind, other_place, other_interface) = _binding(one), _binding(other)
    if not place or (kind, place) != (other_kind, other_place):
        return False
    return interface == other_interface or not (interface and other_interface)


def _binding(description: str) -> tuple[str, str, str]:
    """Return what an endpoint binds: the kind of its address, its port or path, its interface; the last is empty for all of them.

    The port is empty where it cannot be known: the system chooses it, or systemd has bound it.
    """
    path = socket_path(description)
    if path:
        return "unix", path, ""
    scheme, positional, named = _split(description)
    port = _argument(positional, named, 0, "port")
    if scheme not in ("tcp", "tcp6", "ssl") or not _is_port(port, least=1):
        return scheme, "", ""
    interface = named.get("interface", "")
    kind = "tcp6" if scheme == "tcp6" or ":" in interface else "tcp"
    return kind, str(int(port)), "" if interface in ("0.0.0.0", "::") else interface  # noqa: S104  nothing binds here


def client_endpoint(value: object) -> str:
    """Expect where to connect to, or nothing."""
    if value == "":
        return ""
    if not isinstance(value, str) or not value.isprintable():
        return _CLIENT
    if _URL.match(value):
        return f"{_CLIENT}; a URL is given as url, in the environment as NNO_…_URL"
    if _HOST_AND_PORT.fullmatch(value):
        return f'a Twisted client endpoint: "tcp:{value}"'
    scheme, positional, named = _split(value)
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
        return f'a Twisted client endpoint: "unix:{value}"' if value.startswith("/") else _CLIENT
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


def _meant(value: str, expected: str) -> str:
    """Return the endpoint string for a port, for ``HOST:PORT`` or for a URL; `expected` where that cannot be told."""
    loose = _LOOSE.fullmatch(value)
    if loose is None or not _is_port(loose["port"], least=0):
        return expected
    host = (loose["host"] or "").strip("[]").replace(":", "\\:")
    return f'a Twisted server endpoint: "tcp:{loose["port"]}{"" if host in ("", "*") else f":interface={host}"}"'


def _split(description: str) -> tuple[str, list[str], dict[str, str]]:
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
