"""Header fields on their way through a proxy: hop-by-hop, look-alikes, forwarded, via. Pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nnogw.fields import Field, HeaderFields

#: RFC 9110 §7.6.1, and older ones that are still met.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: Fields of a request that the gateway states itself: what a client says of them is not for the upstream.
_OURS = frozenset(
    {b"content-length", b"expect", b"forwarded", b"host", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
)
_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
#: `Connection` as nearly everybody sends it: it names nothing.
_NAMING_NOTHING = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"})

_VIA = (b"via", b"Via", b"1.1 nnogw")
_UNKNOWN = b"unknown"  # RFC 7239 §6.2: what stands for a node without an address
_TE_TRAILERS = (b"te", b"TE", b"trailers")


def end_to_end_request(fields: HeaderFields, *, forward_credentials: bool) -> list[Field]:
    """Return the fields of a request that go on to the upstream, before the gateway's own are added.

    Hop-by-hop fields and those that ``Connection`` names stay behind (RFC 9110 §7.6.1); so do those that the gateway states itself, every
    ``X-Nno-*``, and spellings of these names with ``_`` or ``.``, which CGI-like servers take for the same.

    Args:
        fields: the request's header section.
        forward_credentials: whether ``Authorization`` and ``X-Api-Key`` go on.
    """
    passing = [item for item in fields.raw if _goes_on(item[0])]
    if not forward_credentials:
        passing = [item for item in passing if _folded(item[0]) not in _CREDENTIALS]
    if b"connection" in fields.first:
        passing = _without_named(passing, fields)
    if b"te" in fields.first and b"trailers" in fields.joined(b"te").lower().replace(b" ", b"").split(b","):
        passing.append(_TE_TRAILERS)
    return passing


def end_to_end_response(fields: HeaderFields) -> list[Field]:
    """Return the fields of an upstream's answer that go on to the client, before the gateway's own are added.

    Hop-by-hop fields and those that ``Connection`` names stay behind; so do the upstream's own ``Access-Control-*``: the gateway decides
    which origins may read its answers.
    """
    passing = [item for item in fields.raw if _comes_back(item[0])]
    if b"connection" in fields.first:
        passing = _without_named(passing, fields)
    return passing


def via(fields: HeaderFields) -> Field:
    """Return the ``Via`` of a message that comes with `fields`: theirs, and the gateway behind it (RFC 9110 §7.6.3)."""
    return (b"via", b"Via", fields.joined(b"via") + b", 1.1 nnogw") if b"via" in fields.first else _VIA


def forwarded_fields(fields: HeaderFields, *, peer: str, secure: bool, peer_trusted: bool) -> tuple[Field, ...]:
    """Return ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``Forwarded`` (RFC 7239) for the upstream.

    Args:
        fields: the request's header section.
        peer: the address at the other end of the connection; ``"unix"`` on a unix socket.
        secure: whether that connection is TLS.
        peer_trusted: the peer is a trusted proxy: what it says of earlier hops is kept, and ours added; else it is replaced.
    """
    ours = _hop(peer, secure, fields.first.get(b"host", b""))
    return tuple(_behind(fields.joined(item[0]), item) for item in ours) if peer_trusted else ours


class TrustedProxies:
    """The proxies in front of the gateway whose word on the client's address is taken.

    Args:
        entries: addresses, networks such as ``"10.0.0.0/8"``, or ``"unix"`` for whoever connects to a unix socket.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        listed = list(entries)
        self._unix = "unix" in listed
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(entry, strict=False) for entry in listed if entry != "unix"]
        self._empty = not listed
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def __contains__(self, address: str) -> bool:
        return not self._empty and self._is_trusted(address)

    def __bool__(self) -> bool:
        return not self._empty

    def _look_up(self, address: str) -> bool:
        if address == "unix":
            return self._unix
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def client_address(fields: HeaderFields, peer: str, trusted: TrustedProxies) -> str:
    """Return the client's address: the first from the right in ``X-Forwarded-For`` that is not a trusted proxy.

    An entry that is no address ends the walk: the proxy that added it is the last that is known.

    Args:
        fields: the request's header section.
        peer: the address at the other end of the connection.
        trusted: the proxies in front of us.
    """
    if peer not in trusted:
        return peer.removeprefix("::ffff:") if "." in peer else peer
    address = peer
    for entry in reversed(fields.joined(b"x-forwarded-for").decode("latin-1").split(",")):
        parsed = _parsed(_without_port(entry.strip(" \t")))
        if parsed is None:
            break
        address = str(parsed)
        if address not in trusted:
            break
    return address


@lru_cache(maxsize=4096)
def _goes_on(key: bytes) -> bool:
    """Whether a client's field is for the upstream: remembered, because the same few names come with every request."""
    name = _folded(key)
    return name not in _HOP_BY_HOP and name not in _OURS and not name.startswith(b"x-nno-")


@lru_cache(maxsize=4096)
def _comes_back(key: bytes) -> bool:
    return key not in _HOP_BY_HOP and key != b"via" and not key.startswith(b"access-control-")


def _folded(key: bytes) -> bytes:
    """Return what a CGI-like server makes of a name: there, ``-``, ``_`` and ``.`` are the same."""
    return key.replace(b"_", b"-").replace(b".", b"-")


def _without_named(passing: list[Field], fields: HeaderFields) -> list[Field]:
    """Return `passing` without the fields that ``Connection`` names."""
    connection = fields.joined(b"connection")
    if connection in _NAMING_NOTHING:
        return passing
    named = {option.strip(b" \t").lower() for option in connection.split(b",")}
    return [item for item in passing if item[0] not in named]


def _behind(before: bytes, ours: Field) -> Field:
    """Return `ours` with what a trusted proxy said before it; a hop without an address adds nothing to a list of addresses."""
    key, name, value = ours
    if not before:
        return ours
    return (key, name, before if value == _UNKNOWN else before + b", " + value)


@lru_cache(maxsize=4096)
def _hop(peer: str, secure: bool, host: bytes) -> tuple[Field, ...]:
    """Return what the gateway itself has to say of a connection."""
    address = _parsed(peer)
    shown = _UNKNOWN.decode() if address is None else str(address)
    node = f'"[{shown}]"' if ":" in shown else shown
    scheme = b"https" if secure else b"http"
    parts = [b"for=" + node.encode("ascii")]
    fields = [(b"x-forwarded-for", b"X-Forwarded-For", shown.encode("ascii")), (b"x-forwarded-proto", b"X-Forwarded-Proto", scheme)]
    if host:
        fields.append((b"x-forwarded-host", b"X-Forwarded-Host", host))
        parts.append(b'host="%b"' % host)
    parts.append(b"proto=" + scheme)
    fields.append((b"forwarded", b"Forwarded", b";".join(parts)))
    return tuple(fields)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4 one that came mapped into IPv6 as itself; None for what is no address."""
    try:
        parsed = ip_address(address.partition("%")[0])  # a zone (RFC 4007) means something on one machine only
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def _without_port(entry: str) -> str:
    """Return an entry of ``X-Forwarded-For`` without the port that some proxies add."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
