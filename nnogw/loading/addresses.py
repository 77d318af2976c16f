"""Rules for endpoints and addresses: where the gateway listens, where services are, which proxies it trusts."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from twisted.internet.endpoints import serverFromString

from nnogw.loading.suggestions import for_client_endpoint, for_server_endpoint
from nnogw.upstream.binding import BadBinding, parse_binding, split_endpoint
from nnogw.upstream.tls import read_files, tls_for

_SERVER = "a Twisted server endpoint (tcp:PORT:interface=ADDRESS, tcp6:…, ssl:…, unix:/PATH or systemd:…)"
_CLIENT = "a Twisted client endpoint (unix:/PATH, tcp:HOST:PORT or tls:HOST:PORT)"
_PROXY = 'an address such as "10.0.0.4", a network such as "10.0.0.0/8", or "unix"'
_CALL = re.compile(r"^[\w.]+\(\) ")  # how a TypeError begins


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
    return _parsed(value)


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
    """Expect where to connect to, or nothing; files that it names have to be readable, and good."""
    if value == "":
        return ""
    meant = for_client_endpoint(value)
    if meant:
        return meant
    if not isinstance(value, str) or not value.isprintable():
        return _CLIENT
    try:
        binding = parse_binding(value)
        if binding.scheme == "tls":
            tls_for(binding, read_files(binding))
    except BadBinding as error:
        return f"{_CLIENT}; {error}"
    except OSError as error:
        return f"{_CLIENT} whose files can be read ({_told(error)})"
    return ""


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


def _argument(positional: list[str], named: dict[str, str], position: int, key: str) -> str:
    return named.get(key) or (positional[position] if position < len(positional) else "")


def _is_port(port: str, *, least: int) -> bool:
    return port.isascii() and port.isdigit() and len(port) <= 5 and least <= int(port) <= 65535


def _parsed(description: str) -> str:
    """Let Twisted have the last word on a server endpoint; it also looks for the files and sockets that `description` names."""
    try:
        serverFromString(None, description)  # the reactor is needed only for listening
    except OSError as error:
        return f"{_SERVER} whose files can be read ({_told(error)})"
    except (IndexError, KeyError):
        return f"{_SERVER}; systemd has passed no such socket"
    except Exception as error:  # whatever a parser makes of a bad argument
        return f"{_SERVER} ({_CALL.sub('', str(error))})"
    return ""


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"
