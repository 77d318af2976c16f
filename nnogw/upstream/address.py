"""A place where a service is, and what is known of it. It outlives the configurations that name it."""

from __future__ import annotations

from attrs import frozen

from nnogw.observability.outage import Outage
from nnogw.upstream.binding import Binding
from nnogw.upstream.pool import ConnectionPool
from nnogw.upstream.tls import TlsFiles


@frozen
class AddressKey:
    """What makes a connection: two configurations that say the same of it share one.

    Attributes:
        service: the name of the service, so that each service has its own connections to count.
        binding: where it is.
        files: what is in the files of TLS: other certificates make other connections.
    """

    service: str
    binding: Binding
    files: TlsFiles


@frozen(eq=False)
class Address:
    """The connections to one place, and whether they fail.

    Attributes:
        key: what makes a connection.
        pool: the connections.
        outage: knows when they go on failing (``service-failing`` in the ledger).
    """

    key: AddressKey
    pool: ConnectionPool
    outage: Outage

    def retire(self) -> None:
        """Nobody new comes here: idle connections close, busy ones when they are released, and a failure is no news any more."""
        self.pool.retire()
        self.outage.retire()
