"""Which socket a server endpoint binds, and which two cannot both be bound."""

from __future__ import annotations

from nnogw.upstream.binding import split_endpoint


def socket_path(description: str) -> str:
    """Return the path of the unix socket that a server endpoint binds; empty for an endpoint of another kind."""
    scheme, positional, named = split_endpoint(description)
    return named.get("address") or "".join(positional[:1]) if scheme == "unix" else ""


def overlap(one: str, other: str) -> bool:
    """Whether two server endpoints cannot both be bound, because they are the same socket or one is on all addresses."""
    (kind, place, interface), (other_kind, other_place, other_interface) = _binding(one), _binding(other)
    if not place or (kind, place) != (other_kind, other_place):
        return False
    return interface == other_interface or not (interface and other_interface)


def same_socket(one: str, other: str) -> bool:
    """Whether two server endpoints are the same socket, perhaps with other options; of those that the system chooses, the same string."""
    socket = _binding(one)
    return one == other if not socket[1] else socket == _binding(other)


def _binding(description: str) -> tuple[str, str, str]:
    """Return what a good endpoint binds: the kind of its address, its port or path, its interface; the last is empty for all of them.

    The port is empty where it cannot be known: the system chooses it, or systemd has bound it.
    """
    path = socket_path(description)
    if path:
        return "unix", path, ""
    scheme, positional, named = split_endpoint(description)
    if scheme not in ("tcp", "tcp6", "ssl"):
        return scheme, "", ""
    interface = named.get("interface", "")
    kind = "tcp6" if scheme == "tcp6" or ":" in interface else "tcp"
    port = int(named.get("port") or positional[0])
    return kind, str(port) if port else "", "" if interface in ("0.0.0.0", "::") else interface  # noqa: S104  nothing binds here
