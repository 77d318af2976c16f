"""From settings to objects: everything that a running gateway consists of, put together in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource

from nnogw import __version__
from nnogw.admin import build_admin
from nnogw.admin.purge import Purge
from nnogw.headers import TrustedProxies
from nnogw.identity.call_queue import CallQueue
from nnogw.identity.failure_limit import MAX_ADDRESSES, FailureLimit
from nnogw.identity.iam import Iam
from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.verdicts import VerdictCache
from nnogw.ids import IdSource
from nnogw.interfaces import Reactor
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.ledger import Ledger
from nnogw.observability.log_file import LogFile
from nnogw.observability.metrics import RequestMetrics
from nnogw.observability.stats import Stats
from nnogw.pipeline import chain, middlewares
from nnogw.resource import GatewayResource
from nnogw.routes import RouteTable
from nnogw.settings import Settings
from nnogw.upstream.resolver import Resolver
from nnogw.upstream.service import Upstream, upstream_for
from nnogw.upstream.treq_client import AbsentAgent, ProxyClient, UpstreamAgent
from nnogw.wire.site import GatewaySite
from nnogw.wire.transport.write_batch import WriteBatch


@define(eq=False)
class Gateway:
    """A gateway that is ready to listen.

    Attributes:
        site: serves clients.
        admin: the root of the admin listener's resource tree.
        log: the request log.
        upstreams: the services that are configured.
        resolver: knows the addresses of their names.
        draining: the gateway is about to stop, and says so to whoever asks for its health.
    """

    site: GatewaySite
    admin: Resource
    log: LogFile
    upstreams: Mapping[str, Upstream]
    resolver: Resolver
    draining: bool = False

    def close(self) -> None:
        """Close what the gateway keeps open: idle connections, lookups of names, and the request log."""
        for upstream in self.upstreams.values():
            upstream.pool.close()
        self.resolver.close()
        self.site.hangups.close()
        self.log.close()


def assemble(settings: Settings, reactor: Reactor) -> Gateway:
    """Return the gateway that `settings` describe; nothing of it listens or connects yet.

    Args:
        settings: the whole configuration.
        reactor: makes connections and tells the time, which has to be monotonic.
    """
    batch = WriteBatch(reactor)
    ledger = Ledger()
    log = LogFile(settings.server.access_log, reactor, ledger)
    trusted = TrustedProxies(settings.server.trusted_proxies)
    resolver = Resolver(reactor, life=settings.server.resolve_ttl, ledger=ledger)
    found = {name: upstream_for(name, service, reactor, batch, resolver, ledger) for name, service in settings.services.items()}
    upstreams = {name: upstream for name, upstream in found.items() if upstream is not None}
    auth = settings.auth
    verdicts = VerdictCache(
        auth.cache,
        Iam(_agent("iam", upstreams), auth, clock=reactor),
        clock=reactor,
        ledger=ledger,
        calls=CallQueue(clock=reactor, max_calls=auth.max_calls, max_calls_per_address=auth.max_calls_per_address, timeout=auth.timeout),
        failures=FailureLimit(auth.failure_limit, auth.failure_period, MemoryStore(MAX_ADDRESSES, reactor.seconds)),
    )
    statuses = PlatformStatuses(
        _agent("registry", upstreams), settings.lifecycle, clock=reactor, ledger=ledger, service_keys=settings.auth.api_key
    )
    limits = MemoryStore(settings.rate_limit.max_keys, reactor.seconds)
    metrics = RequestMetrics(upstreams)
    pipeline = chain(
        middlewares(
            settings,
            clock=reactor,
            ids=IdSource(),
            log=log,
            limits=limits,
            identities=verdicts,
            statuses=statuses if "registry" in upstreams else None,
            services={name: ProxyClient(upstreams[name]) if name in upstreams else None for name in settings.services},
            trusted=trusted,
            draining=lambda: gateway.draining,
        )
    )
    root = GatewayResource(pipeline, RouteTable(settings.routes), trusted, monotonic=reactor.seconds, observers=[metrics.observe])
    site = GatewaySite(root, reactor, settings.limits, batch)
    stats = Stats(verdicts, limits, found, site, log, ledger)
    started = reactor.seconds()
    admin = build_admin(
        registry=_registry(metrics, stats),
        status=lambda: {
            "version": __version__,
            "uptime": round(reactor.seconds() - started, 1),
            "draining": gateway.draining,
            **stats.document(),
        },
        degraded=ledger.document,
        draining=lambda: gateway.draining,
        purge=Purge(verdicts, statuses),
    )
    gateway = Gateway(site, admin, log, upstreams, resolver)
    return gateway


def _registry(metrics: RequestMetrics, stats: Stats) -> CollectorRegistry:
    registry = CollectorRegistry()
    collectors: tuple[Any, ...] = (metrics, stats)  # Collectors in all but inheritance
    for collector in collectors:
        registry.register(collector)
    for of_the_process in (ProcessCollector, PlatformCollector, GCCollector):
        of_the_process(registry=registry)
    return registry


def _agent(name: str, upstreams: Mapping[str, Upstream]) -> IAgent:
    """Return the agent whose requests go to the service `name`."""
    upstream = upstreams.get(name)
    return AbsentAgent(name) if upstream is None else UpstreamAgent(upstream)
