"""The addresses of all services: found again when the configuration changes, retired when no configuration names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IStreamClientEndpoint

from nnogw.interfaces import DegradedLedger, Reactor
from nnogw.observability.outage import Outage
from nnogw.settings import ServiceSettings
from nnogw.upstream.address import Address, AddressKey
from nnogw.upstream.binding import Binding
from nnogw.upstream.endpoints import endpoint_for
from nnogw.upstream.pool import ConnectionPool
from nnogw.upstream.resolver import Resolver
from nnogw.upstream.tls import VerifiedTls, tls_for
from nnogw.wire.transport.write_batch import WriteBatch


class Addresses:
    """The addresses that are in use.

    Args:
        reactor: makes connections and tells the time.
        batch: collects writes until the end of the reactor's turn.
        resolver: knows the addresses of names.
        ledger: told when a service fails for a while; None for nobody.
        endpoints: makes the endpoint of a binding, as `nnogw.upstream.endpoints.endpoint_for`.
    """

    def __init__(
        self,
        reactor: Reactor,
        batch: WriteBatch,
        resolver: Resolver,
        ledger: DegradedLedger | None = None,
        endpoints: Callable[[Binding, Reactor, Resolver, VerifiedTls | None], IStreamClientEndpoint] = endpoint_for,
    ) -> None:
        self._reactor = reactor
        self._batch = batch
        self._resolver = resolver
        self._ledger = ledger
        self._endpoints = endpoints
        self._in_use: dict[AddressKey, Address] = {}

    def find(self, key: AddressKey, settings: ServiceSettings) -> Address:
        """Return the address of `key`: the one that is in use, or else a new one, which is not in use until `keep`.

        Args:
            key: what makes a connection.
            settings: the settings of a new one.

        Raises:
            BadBinding: the files of TLS do not hold what they should.
        """
        address = self._in_use.get(key)
        if address is not None:
            return address
        tls = tls_for(key.binding, key.files) if key.binding.scheme == "tls" else None
        endpoint = self._endpoints(key.binding, self._reactor, self._resolver, tls)
        pool = ConnectionPool(endpoint, tls=tls is not None, clock=self._reactor, batch=self._batch, settings=settings)
        return Address(key, pool, Outage("service-failing", key.service, seconds=self._reactor.seconds, ledger=self._ledger))

    def keep(self, addresses: Iterable[Address]) -> None:
        """Let `addresses` be those in use; the others retire."""
        before, self._in_use = self._in_use, {address.key: address for address in addresses}
        for key, address in before.items():
            if self._in_use.get(key) is not address:
                address.retire()

    def close(self) -> None:
        """Close all connections that are idle or being made, and the others when they are released."""
        for address in self._in_use.values():
            address.pool.close()
