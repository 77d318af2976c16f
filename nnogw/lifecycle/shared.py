"""What survives a reload: everything that there is once, for as long as the process runs."""

from __future__ import annotations

from nnogw.identity.failure_limit import MAX_ADDRESSES
from nnogw.identity.status_store import StatusStore
from nnogw.identity.verdict_store import VerdictStore
from nnogw.ids import IdSource
from nnogw.interfaces import Reactor
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.ledger import Ledger
from nnogw.observability.log_file import LogFile
from nnogw.observability.metrics import RequestMetrics
from nnogw.resource import GatewayResource
from nnogw.settings import Settings
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.resolver import Resolver
from nnogw.wire.transport.write_batch import WriteBatch


class Shared:
    """What all generations of the configuration share: state, and nothing that a configuration decides.

    Nothing here listens or connects by itself.

    Args:
        settings: the first configuration, for the bounds of the tables; `nnogw.lifecycle.generation.adopt` sets those of later ones.
        reactor: makes connections and tells the time, which has to be monotonic.

    Attributes:
        clock: the reactor, for its time.
        ledger: the degraded states.
        log: the request log.
        ids: makes request ids and trace ids.
        resolver: the addresses of names.
        addresses: the addresses of services, with their connections.
        verdicts: IAM's verdicts, and the calls under way.
        statuses: the statuses of platforms, and the calls under way.
        limits: the windows of the rate limits.
        refusals: the windows in which refused credentials are counted.
        metrics: what requests add up to.
        resource: the root of the resource tree.
        draining: the gateway is about to stop, and says so to whoever asks for its health.
    """

    def __init__(self, settings: Settings, reactor: Reactor) -> None:
        self.clock = reactor
        self.batch = WriteBatch(reactor)
        self.ledger = Ledger()
        self.log = LogFile(settings.server.access_log, reactor, self.ledger)
        self.ids = IdSource()
        self.resolver = Resolver(reactor, life=settings.server.resolve_ttl, ledger=self.ledger)
        self.addresses = Addresses(reactor, self.batch, self.resolver, self.ledger)
        self.verdicts = VerdictStore(settings.auth, clock=reactor, ledger=self.ledger)
        self.statuses = StatusStore(settings.lifecycle, clock=reactor, ledger=self.ledger)
        self.limits = MemoryStore(settings.rate_limit.max_keys, reactor.seconds)
        self.refusals = MemoryStore(MAX_ADDRESSES, reactor.seconds)
        self.metrics = RequestMetrics()
        self.resource = GatewayResource(monotonic=reactor.seconds, observers=[self.metrics.observe])
        self.draining = False

    def close(self) -> None:
        """Close what is kept open: idle connections, lookups of names, and the request log."""
        self.addresses.close()
        self.resolver.close()
        self.log.close()
