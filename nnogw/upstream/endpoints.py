"""Where connections to services lead: addresses are connected to directly, names are resolved by our own resolver first."""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from nnogw.interfaces import Clock, DelayedCall, Reactor
from nnogw.upstream.binding import Binding, as_address
from nnogw.upstream.resolver import LookupFailed, Resolver
from nnogw.upstream.tls import VerifiedTls
from nnogw.wire.transport.connect_errors import StillResolving

#: Seconds that one address of a name has before the next is tried too (RFC 8305 §5: 100 ms at least); after a refusal it is tried at once.
ATTEMPT_DELAY = 0.1
#: Seconds for an attempt where the binding does not say: the time limit of whoever connects is the only one.
_NO_LIMIT = 86_400.0


def endpoint_for(binding: Binding, reactor: Reactor, resolver: Resolver, tls: VerifiedTls | None = None) -> IStreamClientEndpoint:
    """Return the endpoint that `binding` describes.

    Cancelling its ``connect`` fails with `CancelledError`, and leaves nothing open.

    Args:
        binding: where the service is.
        reactor: makes the connections.
        resolver: knows the addresses of names.
        tls: begins TLS on its connections; None for none.
    """
    if tls is None:
        return _plain(binding, reactor, resolver)
    return TlsEndpoint(tls, _plain(binding if binding.endpoint is None else binding.endpoint, reactor, resolver), reactor)


def _plain(binding: Binding, reactor: Reactor, resolver: Resolver) -> IStreamClientEndpoint:
    patience = _NO_LIMIT if binding.timeout is None else binding.timeout
    if binding.scheme == "unix":
        return DirectEndpoint(UNIXClientEndpoint(reactor, binding.path, patience, binding.lockfile), reactor)
    if as_address(binding.host) is not None:
        return DirectEndpoint(_to_address(reactor, binding.host, binding.port, patience, binding.bind_address), reactor)
    return NameEndpoint(reactor, resolver, binding.host, binding.port, patience, binding.bind_address)


def _to_address(reactor: Reactor, address: str, port: int, timeout: float, bind_address: str) -> IStreamClientEndpoint:
    kind = TCP4ClientEndpoint if ip_address(address).version == 4 else TCP6ClientEndpoint
    return kind(reactor, address, port, timeout, (bind_address, 0) if bind_address else None)


@implementer(IStreamClientEndpoint)
class DirectEndpoint:
    """Connects to one address or socket.

    Args:
        endpoint: one of Twisted's.
        reactor: tells the time.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, reactor: Clock) -> None:
        self._endpoint = endpoint
        self._reactor = reactor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, as `IStreamClientEndpoint.connect` says."""
        return _Connecting(protocolFactory, self._reactor).begin(succeed([self._endpoint]), "")


@implementer(IStreamClientEndpoint)
class NameEndpoint:
    """Connects to a name: to its addresses in turn, until one takes the connection.

    The next address is tried as soon as one has refused, and beside it after `ATTEMPT_DELAY`. Each connection begins with another of the
    addresses of the first one's family, so that services with several get their share.

    Args:
        reactor: makes the connections.
        resolver: knows the addresses.
        host: the name.
        port: the port.
        timeout: seconds for each attempt.
        bind_address: the address that connections come from; empty for any.
    """

    def __init__(self, reactor: Reactor, resolver: Resolver, host: str, port: int, timeout: float, bind_address: str) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._host = host
        self._port = port
        self._timeout = timeout
        self._bind_address = bind_address
        self._version = ip_address(bind_address).version if bind_address else 0
        self._batch = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, as `IStreamClientEndpoint.connect` says.

        Raises (in the Deferred):
            LookupFailed: the name cannot be resolved.
            StillResolving: it was cancelled meanwhile.
            ConnectError: what the last address has failed with.
        """
        endpoints = self._resolver.resolve(self._host).addCallback(self._endpoints)
        connected = _Connecting(protocolFactory, self._reactor).begin(endpoints, f"the name {self._host} was not resolved")
        return connected.addErrback(self._doubt)

    def _endpoints(self, addresses: tuple[str, ...]) -> list[IStreamClientEndpoint]:
        wanted = [address for address in addresses if not self._version or ip_address(address).version == self._version]
        if not wanted:
            raise LookupFailed(f"the name {self._host} has no IPv{self._version} address, which bindAddress={self._bind_address} needs")
        return [_to_address(self._reactor, address, self._port, self._timeout, self._bind_address) for address in self._rotated(wanted)]

    def _rotated(self, addresses: list[str]) -> list[str]:
        version = ip_address(addresses[0]).version
        same = [address for address in addresses if ip_address(address).version == version]
        first = self._batch % len(same)
        self._batch += 1
        return [*same[first:], *same[:first], *(address for address in addresses if ip_address(address).version != version)]

    def _doubt(self, failure: Failure) -> Failure:
        if not failure.check(LookupFailed, StillResolving):
            self._resolver.doubt(self._host)
        return failure


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """TLS on the connections of another endpoint.

    Args:
        creator: begins TLS.
        endpoint: makes the connections.
        reactor: tells the time.
    """

    def __init__(self, creator: VerifiedTls, endpoint: IStreamClientEndpoint, reactor: Reactor) -> None:
        self._creator = creator
        self._endpoint = endpoint
        self._reactor = reactor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, as `IStreamClientEndpoint.connect` says; the handshake has only begun then."""
        over_tls = TLSMemoryBIOFactory(self._creator, True, protocolFactory, clock=self._reactor)
        return self._endpoint.connect(over_tls).addCallback(_over_tls)


def _over_tls(protocol: IProtocol) -> IProtocol:
    assert isinstance(protocol, TLSMemoryBIOProtocol)
    wrapped: IProtocol = protocol.wrappedProtocol
    return wrapped


class _Connecting:
    """One connection that is being made, perhaps at several addresses at a time: the first that is made counts, the others are given up.

    Args:
        factory: builds its protocol.
        reactor: tells the time.
    """

    def __init__(self, factory: IProtocolFactory, reactor: Clock) -> None:
        self._connected: Deferred[IProtocol] = Deferred(self._cancelled)
        self._factory = factory
        self._reactor = reactor
        self._resolving: Deferred[list[IStreamClientEndpoint]] | None = None
        self._missing = ""
        self._left: deque[IStreamClientEndpoint] = deque()
        self._pending: dict[Deferred[IProtocol], None] = {}
        self._timer: DelayedCall | None = None

    def begin(self, endpoints: Deferred[list[IStreamClientEndpoint]], missing: str) -> Deferred[IProtocol]:
        """Return the connection to the first of the endpoints that takes it.

        Args:
            endpoints: where to try, in order, once that is known.
            missing: what has not come if it is cancelled before that.
        """
        self._resolving = endpoints
        self._missing = missing
        endpoints.addCallback(self._try_each).addErrback(self._not_resolved)
        return self._connected

    def _try_each(self, endpoints: list[IStreamClientEndpoint]) -> None:
        self._resolving = None
        self._left.extend(endpoints)
        self._try_next()

    def _not_resolved(self, failure: Failure) -> None:
        if not self._connected.called:  # else it was cancelled
            self._connected.errback(failure)

    def _try_next(self) -> None:
        self._stop_timer()
        attempt = self._left.popleft().connect(self._factory)
        self._pending[attempt] = None
        if self._left:
            self._timer = self._reactor.callLater(ATTEMPT_DELAY, self._try_next)
        attempt.addCallbacks(self._made, self._failed, callbackArgs=(attempt,), errbackArgs=(attempt,))

    def _made(self, protocol: IProtocol, attempt: Deferred[IProtocol]) -> None:
        del self._pending[attempt]
        self._give_up()
        self._connected.callback(protocol)

    def _failed(self, failure: Failure, attempt: Deferred[IProtocol]) -> None:
        if attempt not in self._pending:  # it has been given up
            return
        del self._pending[attempt]
        if self._left:
            self._try_next()
        elif not self._pending:
            self._connected.errback(failure)

    def _cancelled(self, connected: Deferred[IProtocol]) -> None:
        resolving, self._resolving = self._resolving, None
        if resolving is None:
            self._give_up()
            return
        connected.errback(StillResolving(self._missing))
        resolving.cancel()

    def _give_up(self) -> None:
        """Leave nothing behind that is still being tried."""
        self._stop_timer()
        self._left.clear()
        pending, self._pending = self._pending, {}
        for attempt in pending:
            attempt.cancel()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
