"""A service behind the gateway: where it is, and how a request gets there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, clientFromString, wrapClientTLS
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from nnogw.errors import UpstreamFailed
from nnogw.settings import ServiceSettings
from nnogw.wire.client import DiedUnused, UpstreamRequest
from nnogw.wire.outlet import Turn
from nnogw.wire.pool import ConnectionPool
from nnogw.wire.response import UpstreamResponse

#: Methods whose request may be sent twice (RFC 9110 §9.2.2).
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
#: Seconds that one address of a name has before the next is tried too (RFC 8305 §5: 100 ms at least). Twisted also waits so long before it
#: says that the last one has refused, and its own 300 ms are long for a service that is near.
ATTEMPT_DELAY = 0.1


class Upstream:
    """One service.

    Args:
        name: the service's name.
        address: where it is, as an operator wrote it.
        host: the value of ``Host`` that it expects.
        base_path: put in front of every path; without a trailing slash.
        pool: its connections.
        settings: the service's settings.
    """

    def __init__(self, name: str, address: str, host: bytes, base_path: bytes, pool: ConnectionPool, settings: ServiceSettings) -> None:
        self.name = name
        self.address = address
        self.host = host
        self.base_path = base_path
        self.pool = pool
        self.settings = settings

    def send(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        """Send `request` over a pooled connection or a new one, and return the answer.

        A pooled connection that turns out to have been closed is replaced by a new one, if the request may be repeated and has no body: a
        body that has begun to flow cannot be taken back.

        Raises (in the Deferred): as `UpstreamConnection.send` and `ConnectionPool.connect` do.
        """
        connection = self.pool.take(look=not _is_repeatable(request))
        if connection is None:
            return self._send_anew(request)
        return connection.send(request).addErrback(self._died, request)

    def _send_anew(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        return self.pool.connect().addCallback(lambda connection: connection.send(request))

    def _died(self, failure: Failure, request: UpstreamRequest) -> Any:
        if not failure.check(DiedUnused):
            return failure
        if _is_repeatable(request):
            return self._send_anew(request)
        raise UpstreamFailed(reason="the kept connection was closed before it answered")


def _is_repeatable(request: UpstreamRequest) -> bool:
    """Whether a request may be sent again without asking its sender: a body that has begun to flow cannot be taken back."""
    return request.body is None and request.method in IDEMPOTENT


def upstream_for(name: str, settings: ServiceSettings, reactor: Any, turn: Turn) -> Upstream | None:
    """Return the service that `settings` describe, or None if they have neither a binding nor a URL.

    Args:
        name: the service's name.
        settings: where it is; a binding goes before a URL.
        reactor: makes the connections and tells the time.
        turn: collects writes until the end of the reactor's turn.
    """
    base_path = b""
    endpoint: Any  # an IStreamClientEndpoint, which mypy cannot see
    if settings.binding:
        scheme, host, port = _split_binding(settings.binding)
        endpoint = clientFromString(reactor, settings.binding)
        tls = scheme in ("tls", "ssl")
        address = settings.binding
    elif settings.url:
        url = urlsplit(settings.url)
        tls = url.scheme == "https"
        host = url.hostname or ""
        port = url.port or (443 if tls else 80)
        endpoint = _endpoint(reactor, host, port, settings.connect_timeout)
        if tls:
            endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
        base_path = url.path.rstrip("/").encode("ascii")
        address = f"{url.scheme}://{url.netloc}"
    else:
        return None
    pool = ConnectionPool(endpoint, tls=tls, clock=reactor, turn=turn, settings=settings)
    return Upstream(name, address, _authority(host, port, tls=tls), base_path, pool, settings)


def _endpoint(reactor: Any, host: str, port: int, timeout: float) -> Any:
    """Return where connections to `host` lead: an address is connected to directly, so that a refusal is known at once."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    return HostnameEndpoint(reactor, host, port, timeout, attemptDelay=ATTEMPT_DELAY)


def _split_binding(binding: str) -> tuple[str, str, int]:
    r"""Return scheme, host and port of a client endpoint string such as ``tcp:10.0.0.4:8080`` or ``tls:host=a:port=443``.

    Twisted writes a colon within a value as ``\:``. A socket that is a file has the host ``localhost``, as nginx and curl have it.
    """
    scheme, *arguments = binding.replace("\\:", "\0").split(":")
    if scheme == "unix":
        return scheme, "localhost", 80
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    positional = [argument for argument in arguments if "=" not in argument]
    host = named.get("host") or (positional.pop(0) if positional else "")
    port = named.get("port") or (positional.pop(0) if positional else "80")
    return scheme, host.replace("\0", ":"), int(port)


def _authority(host: str, port: int, *, tls: bool) -> bytes:
    """Return the value of ``Host`` (RFC 9110 §7.2): the port only where it is not the scheme's own."""
    name = f"[{host}]" if ":" in host else host
    return (name if port == (443 if tls else 80) else f"{name}:{port}").encode("idna" if not name.isascii() else "ascii")
