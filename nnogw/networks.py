"""What a client's address counts as, wherever something is counted per client."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address, IPv6Network

from nnogw.memo import Memo


def network_of(ip: str) -> str:
    """Return what the address `ip` counts as: an IPv6 address as its /64, everything else as itself."""
    return _IPV6_NETWORKS[ip] if ":" in ip else ip


def _ipv6_network(ip: str) -> str:
    """Return the /64, in which a host may take any address (RFC 4291 §2.5.1); an address that maps IPv4 counts as that."""
    try:
        address = IPv6Address(ip)
    except AddressValueError:
        return ip
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))


_IPV6_NETWORKS: Memo[str, str] = Memo(_ipv6_network)
