"""Header fields on their way through a proxy: hop-by-hop, look-alikes, forwarded, via. Pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from nnogw.fields import Field, HeaderFields
from nnogw.hops import UNKNOWN, EarlierHops, earlier_hops, hop_list, node, parameters, parsed_address
from nnogw.memo import Memo

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
#: Besides every ``X-Forwarded-*``: where proxies put the client's address. From anybody else they are a client's word on itself.
_FROM_PROXIES = frozenset({b"cf-connecting-ip", b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-real-ip"})
#: What a name may have besides letters and digits (RFC 9110 §5.6.2). CGI-like servers make ``_`` of any of them: names become the same.
_SEPARATORS = b"!#$%&'*+-.^_`|~"
_AS_HYPHENS = bytes.maketrans(_SEPARATORS, b"-" * len(_SEPARATORS))
#: `Connection` as nearly everybody sends it: it names nothing.
_NAMING_NOTHING = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"})

_VIA = (b"via", b"Via", b"1.1 nnogw")
_TE_TRAILERS = (b"te", b"TE", b"trailers")


def end_to_end_request(fields: HeaderFields, *, forward_credentials: bool, peer_trusted: bool = False) -> list[Field]:
    """Return the fields of a request that go on to the upstream, before the gateway's own are added.

    Hop-by-hop fields and those that ``Connection`` names stay behind (RFC 9110 §7.6.1); so do those that the gateway states itself, and
    every ``X-Nno-*``. ``X-Forwarded-*``, ``X-Real-IP`` and their like go on from a trusted proxy only. Spellings of all these names with
    another separator for ``-`` (``X_Nno.Role``) stay behind, whoever sends them: CGI-like servers take them for the same.

    Args:
        fields: the request's header section.
        forward_credentials: whether ``Authorization`` and ``X-Api-Key`` go on.
        peer_trusted: the fields come from a trusted proxy.
    """
    goes_on = _GOES_ON[peer_trusted, forward_credentials]
    passing = [item for item in fields.raw if goes_on[item[0]]]
    if b"connection" in fields.first:
        passing = _without_named(passing, fields)
    if b"te" in fields.first and b"trailers" in fields.joined(b"te").lower().replace(b" ", b"").split(b","):
        passing.append(_TE_TRAILERS)
    return passing


def end_to_end_response(fields: HeaderFields) -> list[Field]:
    """Return the fields of an upstream's response that go on to the client, before the gateway's own are added.

    Hop-by-hop fields and those that ``Connection`` names stay behind; so do the upstream's own ``Access-Control-*``: the gateway decides
    which origins may read its responses.
    """
    passing = [item for item in fields.raw if _COMES_BACK[item[0]]]
    if b"connection" in fields.first:
        passing = _without_named(passing, fields)
    return passing


def via(fields: HeaderFields) -> Field:
    """Return the ``Via`` of a message that comes with `fields`: theirs, and the gateway behind it (RFC 9110 §7.6.3)."""
    return (b"via", b"Via", fields.joined(b"via") + b", 1.1 nnogw") if b"via" in fields.first else _VIA


def forwarded_fields(fields: HeaderFields, *, peer: str, secure: bool, peer_trusted: bool) -> tuple[Field, ...]:
    """Return ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``Forwarded`` (RFC 7239) for the upstream.

    ``X-Forwarded-For`` and ``Forwarded`` list the same hops, always. ``-Proto`` and ``-Host`` are one value each: a trusted proxy's own,
    else what is true of this connection.

    Args:
        fields: the request's header section.
        peer: the address at the other end of the connection; ``"unix"`` on a unix socket.
        secure: whether that connection is TLS.
        peer_trusted: the peer is a trusted proxy: what it says of earlier hops is kept, and ours added; else it is replaced.
    """
    ours = _OWN_HOPS[peer, secure, fields.first.get(b"host", b"")]
    return _behind(earlier_hops(fields), ours) if peer_trusted else ours.fields


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
        self._is_trusted: Memo[str, bool] = Memo(self._look_up)

    def __contains__(self, address: str) -> bool:
        return not self._empty and self._is_trusted[address]

    def __bool__(self) -> bool:
        return not self._empty

    def _look_up(self, address: str) -> bool:
        if address == "unix":
            return self._unix
        parsed = parsed_address(address)
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
    for hop in reversed(hop_list(fields)):
        if hop.address is None:
            break
        address = hop.address
        if address not in trusted:
            break
    return address


def _goes_on(peer_trusted: bool, forward_credentials: bool, key: bytes) -> bool:
    """Whether a client's field is for the upstream."""
    name = key.translate(_AS_HYPHENS)
    if name in _HOP_BY_HOP or name in _OURS or name.startswith(b"x-nno-"):
        return False
    if name in _CREDENTIALS:
        return forward_credentials
    if name in _FROM_PROXIES or name.startswith(b"x-forwarded-"):
        return peer_trusted and name == key
    return True


def _comes_back(key: bytes) -> bool:
    """Whether a service's field is for the client."""
    return key not in _HOP_BY_HOP and key != b"via" and not key.startswith(b"access-control-")


#: Remembered, because the same few names come with every message.
_GOES_ON: dict[tuple[bool, bool], Memo[bytes, bool]] = {
    (trusted, credentials): Memo(partial(_goes_on, trusted, credentials)) for trusted in (False, True) for credentials in (False, True)
}
_COMES_BACK: Memo[bytes, bool] = Memo(_comes_back)


def _without_named(passing: list[Field], fields: HeaderFields) -> list[Field]:
    """Return `passing` without the fields that ``Connection`` names."""
    connection = fields.joined(b"connection")
    if connection in _NAMING_NOTHING:
        return passing
    named = {option.strip(b" \t").lower() for option in connection.split(b",")}
    return [item for item in passing if item[0] not in named]


class _OwnHop(NamedTuple):
    """What the gateway itself has to say of a connection, and the fields that say it; `host` may be empty."""

    listed: bytes
    proto: bytes
    host: bytes
    element: bytes
    fields: tuple[Field, ...]


def _own_hop(connection: tuple[str, bool, bytes]) -> _OwnHop:
    """Return what the gateway has to say of a connection: its peer, whether it is TLS, and the ``Host`` of the request."""
    peer, secure, host = connection
    address = parsed_address(peer)
    listed = UNKNOWN if address is None else str(address).encode("ascii")
    proto = b"https" if secure else b"http"
    element = b"for=" + (UNKNOWN if address is None else node(str(address))) + parameters(host, proto)
    return _OwnHop(listed, proto, host, element, _stated(listed, proto, host, element))


_OWN_HOPS: Memo[tuple[str, bool, bytes], _OwnHop] = Memo(_own_hop, room=2 * 1024 * 1024)


def _behind(earlier: EarlierHops, ours: _OwnHop) -> tuple[Field, ...]:
    """Return our word behind that of a trusted proxy; a hop without an address adds nothing to lists of addresses."""
    listed, forwarded = ours.listed, ours.element
    if earlier.hops:
        listed, forwarded = b", ".join([hop.listed for hop in earlier.hops]), earlier.forwarded
        if ours.listed != UNKNOWN:
            listed, forwarded = b"%b, %b" % (listed, ours.listed), b"%b, %b" % (forwarded, ours.element)
    return _stated(listed, earlier.proto or ours.proto, earlier.host or ours.host, forwarded)


def _stated(listed: bytes, proto: bytes, host: bytes, forwarded: bytes) -> tuple[Field, ...]:
    fields = [(b"x-forwarded-for", b"X-Forwarded-For", listed), (b"x-forwarded-proto", b"X-Forwarded-Proto", proto)]
    if host:
        fields.append((b"x-forwarded-host", b"X-Forwarded-Host", host))
    fields.append((b"forwarded", b"Forwarded", forwarded))
    return tuple(fields)
