"""A binding: where a service is, as a Twisted client endpoint string says it (pure)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna  # of twisted[tls]
from attrs import frozen

#: A label of a name: letters, digits, hyphens within (RFC 1123 §2.1), and the underscore, which is common among containers.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253  # RFC 1035 §2.3.4, as text

_ESCAPES = (("\\\\", "\0"), ("\\:", "\1"), ("\\=", "\2"))  # what Twisted writes for a plain \ : =

#: Scheme → the arguments that may stand without a name, in order; and those that need one. As Twisted's own parsers have it.
_ARGUMENTS = {
    "tcp": (("host", "port"), ("timeout", "bindAddress")),
    "tls": (("host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"), ()),
    "unix": (("path",), ("timeout", "lockfile")),
}


class BadBinding(ValueError):
    """A binding that leads nowhere; the text says what would be right."""


@frozen
class Binding:
    """Where a service is.

    Attributes:
        scheme: ``tcp``, ``tls`` or ``unix``.
        host: an address, or a name in ASCII; of a socket that is a file ``localhost``, as nginx and curl have it.
        port: the port; 80 where there is none.
        path: the path of a socket that is a file.
        timeout: seconds for each attempt to connect; None for the service's ``connect_timeout``.
        bind_address: the address that connections come from; empty for any.
        certificate, private_key: PEM files with the gateway's own certificate and key.
        trust_roots: a directory with the authorities' certificates (``*.pem``); empty for the system's.
        endpoint: where the connection of a ``tls`` binding leads, if not to host and port: these are then only what the certificate is for.
        lockfile: look whether the socket's server lives (``SOCKET.lock``) before connecting.
    """

    scheme: str
    host: str = "localhost"
    port: int = 80
    path: str = ""
    timeout: int | None = None
    bind_address: str = ""
    certificate: str = ""
    private_key: str = ""
    trust_roots: str = ""
    endpoint: Binding | None = None
    lockfile: bool = False

    @property
    def name(self) -> str:
        """The name that has to be resolved to connect; empty if there is none."""
        if self.endpoint is not None:
            return self.endpoint.name
        return "" if self.scheme == "unix" or as_address(self.host) is not None else self.host


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


def parse_binding(description: str) -> Binding:
    """Return the binding that an endpoint string describes.

    Raises:
        BadBinding: it is none, or of another kind.
    """
    scheme, positional, named = split_endpoint(description)
    if scheme == "ssl":
        raise BadBinding("ssl: does not check whose certificate it is, tls: does")
    if scheme not in _ARGUMENTS:
        raise BadBinding("the type is unix, tcp or tls")
    in_order, others = _ARGUMENTS[scheme]
    unnamed = [key for key in in_order if key not in named]
    if len(positional) > len(unnamed):
        raise BadBinding(f"there is a value too many: {positional[len(unnamed)]!r}; the colons of an IPv6 address are written \\:")
    given = {**dict(zip(unnamed, positional, strict=False)), **named}
    for key in given:
        if key not in in_order and key not in others:
            raise BadBinding(f"{scheme} has no argument {key!r}; it has {', '.join((*in_order, *others))}")
    timeout = _timeout(given["timeout"]) if "timeout" in given else None
    if scheme == "unix":
        if not given.get("path"):
            raise BadBinding("it needs the path of a socket")
        return Binding(scheme, path=given["path"], timeout=timeout, lockfile=_lockfile(given.get("lockfile", "0")))
    host = _host(given.get("host", ""))
    bind_address = given.get("bindAddress", "")
    if bind_address:
        _check_bind_address(bind_address, host)
    if given.get("privateKey") and not given.get("certificate"):
        raise BadBinding("privateKey needs a certificate")
    return Binding(
        scheme,
        host,
        _port(given.get("port", "")),
        timeout=timeout,
        bind_address=bind_address,
        certificate=given.get("certificate", ""),
        private_key=given.get("privateKey", ""),
        trust_roots=given.get("trustRoots", ""),
        endpoint=_inner(given["endpoint"]) if given.get("endpoint") else None,
    )


def ascii_host(host: str) -> str:
    """Return a host as DNS and TLS know it: an address as it is, a name that is not ASCII as IDNA has it (RFC 5891).

    Raises:
        BadBinding: there can be no such host.
    """
    if as_address(host) is not None:
        return host
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadBinding(f"{host!r} is no name ({error})") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST_NAME or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise BadBinding(f"{host!r} is neither a name nor an address")
    return name


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that `host` is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host(host: str) -> str:
    if not host or "[" in host:
        raise BadBinding("it needs a host; the colons of an IPv6 address are written \\:")
    return ascii_host(host)


def _port(port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise BadBinding("it needs a port from 1 to 65535")
    return int(port)


def _timeout(timeout: str) -> int:
    if not (timeout.isascii() and timeout.isdigit() and len(timeout) <= 9 and int(timeout)):
        raise BadBinding("timeout is a whole number of seconds from 1 on")
    return int(timeout)


def _lockfile(value: str) -> bool:
    if value not in ("0", "1"):
        raise BadBinding("lockfile is 0 or 1")
    return value == "1"


def _check_bind_address(bind_address: str, host: str) -> None:
    own, other = as_address(bind_address), as_address(host)
    if own is None:
        raise BadBinding("bindAddress is an address of this machine, not a name")
    if other is not None and own.version != other.version:
        raise BadBinding(f"bindAddress is an IPv{own.version} address, and the host an IPv{other.version} address")


def _inner(description: str) -> Binding:
    try:
        inner = parse_binding(description)
    except BadBinding as error:
        raise BadBinding(f"endpoint is a client endpoint of its own, and {error}") from None
    if inner.scheme == "tls":
        raise BadBinding("endpoint is unix or tcp: there is no TLS within TLS")
    return inner


def _plain(value: str) -> str:
    for escaped, mark in _ESCAPES:
        value = value.replace(mark, escaped[1])
    return value
