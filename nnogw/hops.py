"""What a trusted proxy says of the hops before it, in ``X-Forwarded-*`` and ``Forwarded`` (RFC 7239). Pure functions of values.

``X-Forwarded-For`` decides, because nearly every proxy sets it, and many pass on a ``Forwarded`` that they never read: a client could write
its own. ``Forwarded`` counts only where it lists the same hops.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from nnogw.fields import HeaderFields
from nnogw.memo import Memo

#: What stands for a node without an address (RFC 7239 §6.2).
UNKNOWN = b"unknown"

#: Hops that are read, the nearest ones: more come from nobody but a client that wants its list to cost time (traceroute tries 30).
_MOST_HOPS = 32
#: Parameters of ``Forwarded`` that are read: four for each hop (by, for, host, proto); and bytes of it: 128 for each hop.
_MOST_PARAMETERS = 4 * _MOST_HOPS
_LONGEST_FORWARDED = 128 * _MOST_HOPS
_LONGEST_NODE = 64  # characters: the longest address has 45, with brackets and a port 53

#: A parameter of ``Forwarded`` or none, and what follows (RFC 7239 §4). Some proxies forget the quotes around IPv6 addresses and ports.
_PARAMETER = re.compile(rb"""[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;=\\]+))[ \t]*)?([,;]|\Z)""", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_HIDDEN = re.compile(rb"_[0-9A-Za-z._-]+")  # an obfuscated identifier, RFC 7239 §6.3
_PORT = re.compile(r"(?:\]|^[^:\[\]]+):([0-9]{1,5})\Z")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*")  # RFC 3986 §3.1
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")  # RFC 3986 §3.2; a comma would begin another


class Hop(NamedTuple):
    """One node that a request has passed.

    Attributes:
        address: where it is, without a port; None where that is unknown, hidden, or no address.
        listed: how ``X-Forwarded-For`` has it.
        element: how ``Forwarded`` has it.
    """

    address: str | None
    listed: bytes
    element: bytes


class EarlierHops(NamedTuple):
    """What a trusted proxy says of the hops before the gateway.

    Attributes:
        hops: the client first; ``X-Forwarded-For`` and ``Forwarded`` both list these.
        forwarded: the value of ``Forwarded`` for them: the proxy's own if it lists the same; else made of `hops`, with `host` and `proto`
            in the last element, which is the proxy's word on the request that it got (RFC 7239 §5).
        proto: the scheme of the client's request; empty where nothing is said.
        host: the host of the client's request; empty where nothing is said.
    """

    hops: list[Hop]
    forwarded: bytes
    proto: bytes
    host: bytes


def hop_list(fields: HeaderFields) -> list[Hop]:
    """Return the hops that ``X-Forwarded-For`` lists, the client first; of more than 32 the nearest."""
    value = fields.joined(b"x-forwarded-for")
    return [_HOPS[entry] for entry in value.split(b",")[-_MOST_HOPS:]] if value.strip(b" \t,") else []


def forwarded_hops(value: bytes) -> list[Hop]:
    """Return the hops that a value of ``Forwarded`` lists, the client first; none where it is malformed or too long to be read."""
    return [_hop_of(element) for element in _elements(value)]


def earlier_hops(fields: HeaderFields) -> EarlierHops:
    """Return what the trusted proxy that sends `fields` says of the hops before it."""
    hops = hop_list(fields)
    proto = _last(fields, b"x-forwarded-proto", _SCHEME)
    host = _last(fields, b"x-forwarded-host", _HOST)
    if not hops:
        return EarlierHops([], b"", proto, host)
    value = fields.joined(b"forwarded")
    elements = _elements(value)
    if _nodes(hops) == _nodes([_hop_of(element) for element in elements]):
        nearest = elements[-1]
        proto = proto or _valid(nearest.get(b"proto"), _SCHEME)
        host = host or _valid(nearest.get(b"host"), _HOST)
        return EarlierHops(hops, value, proto, host)
    forwarded = b", ".join([hop.element for hop in hops])
    return EarlierHops(hops, forwarded + parameters(host, proto), proto, host)


def parsed_address(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4 one that came mapped into IPv6 as itself; None for what is no address."""
    try:
        parsed = ip_address(address.partition("%")[0])  # a zone (RFC 4007) means something on one machine only
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def node(address: str, port: str = "") -> bytes:
    """Return how ``Forwarded`` has an address (RFC 7239 §6): an IPv6 address in brackets, and quoted if there is a colon."""
    shown = f"[{address}]" if ":" in address else address
    if port:
        shown = f"{shown}:{port}"
    return (f'"{shown}"' if ":" in shown else shown).encode("ascii")


def parameters(host: bytes, proto: bytes) -> bytes:
    """Return what an element of ``Forwarded`` has behind its node; either may be empty, and is left out then."""
    said = b';host="%b"' % host if host else b""
    return b"%b;proto=%b" % (said, proto) if proto else said


def _hop(entry: bytes) -> Hop:
    """Return the hop of an entry of ``X-Forwarded-For``, or of a ``for`` parameter without its quotes."""
    entry = entry.strip(b" \t")
    text = entry.decode("latin-1")
    parsed = parsed_address(_without_port(text)) if len(text) <= _LONGEST_NODE else None
    if parsed is None:
        shown = entry if _HIDDEN.fullmatch(entry) else UNKNOWN
        return Hop(None, shown, b"for=" + shown)
    address = str(parsed)
    port = _PORT.search(text)
    if port is None:
        return Hop(address, address.encode("ascii"), b"for=" + node(address))
    with_port = node(address, port.group(1))
    return Hop(address, with_port.strip(b'"'), b"for=" + with_port)


_HOPS: Memo[bytes, Hop] = Memo(_hop, room=1024 * 1024)


def _without_port(entry: str) -> str:
    """Return an entry of ``X-Forwarded-For`` without the port that some proxies add."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _elements(value: bytes) -> list[dict[bytes, bytes]]:
    """Return the parameters of each element of ``Forwarded``; nothing where it is malformed or too long to be read."""
    if not value or len(value) > _LONGEST_FORWARDED:
        return []
    elements: list[dict[bytes, bytes]] = []
    element: dict[bytes, bytes] = {}
    at = 0
    for _ in range(_MOST_PARAMETERS):
        parameter = _PARAMETER.match(value, at)
        if parameter is None:
            return []
        name, quoted, plain, follows = parameter.groups()
        if name is not None:
            element[name.lower()] = plain if quoted is None else _ESCAPED.sub(rb"\1", quoted)
        if follows != b";":
            if element:
                elements.append(element)
                element = {}
            if not follows:
                return elements if len(elements) <= _MOST_HOPS else []
        at = parameter.end()
    return []


def _hop_of(element: dict[bytes, bytes]) -> Hop:
    return _HOPS[element.get(b"for", UNKNOWN)]


def _nodes(hops: list[Hop]) -> list[str | bytes]:
    """Return what two lists have in common if they list the same hops: ports may stand in one of them only."""
    return [hop.address or hop.listed for hop in hops]


def _last(fields: HeaderFields, key: bytes, grammar: re.Pattern[bytes]) -> bytes:
    """Return the last member of a list, which the nearest proxy has added; empty if it is not of the `grammar`."""
    return _valid(fields.joined(key).rpartition(b",")[2].strip(b" \t"), grammar) if key in fields.first else b""


def _valid(value: bytes | None, grammar: re.Pattern[bytes]) -> bytes:
    return value if value is not None and grammar.fullmatch(value) else b""
