"""One generation of the configuration: what it decides, built from it, and what the process takes over from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from nnogw.exchange import Exchange, Response
from nnogw.headers import TrustedProxies
from nnogw.identity.failure_limit import FailureLimit
from nnogw.identity.iam import Iam
from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.verdicts import VerdictCache
from nnogw.lifecycle.shared import Shared
from nnogw.loading import Loaded
from nnogw.pipeline import chain, middlewares
from nnogw.routes import RouteTable
from nnogw.settings import LimitSettings, Settings
from nnogw.upstream.service import Service, service_for
from nnogw.upstream.treq_client import AbsentAgent, ProxyClient, UpstreamAgent
from nnogw.wire.http1.limits import TimeLimits, client_limits


@frozen(eq=False)
class Generation:
    """What one configuration decides (a `nnogw.wire.request.Generation`). It does not change; the next configuration makes another one.

    A request holds the generation that it began with until it has ended. Of the others, only the latest is held.

    Attributes:
        number: which one it is, from 1 on.
        settings: the configuration.
        routes: where paths lead.
        trusted: the proxies in front of us that may say who the client is.
        limits: what clients may send.
        client_limits: how long the states of a client's connection may last.
        services: all services by their names; None for one that is not configured.
        pipeline: the whole chain of middlewares.
    """

    number: int
    settings: Settings
    routes: RouteTable
    trusted: TrustedProxies
    limits: LimitSettings
    client_limits: TimeLimits
    services: Mapping[str, Service | None]
    pipeline: Callable[[Exchange], Deferred[Response]]


def build(loaded: Loaded, shared: Shared, previous: Generation | None = None) -> Generation:
    """Return the generation of a configuration. It reads nothing and changes nothing: it may as well be thrown away.

    Args:
        loaded: the configuration, checked.
        shared: what generations share.
        previous: the generation before.

    Raises:
        BadBinding: a file of TLS does not hold what it should.
    """
    settings = loaded.settings
    clock = shared.clock
    services = {
        name: service_for(name, service, shared.addresses, loaded.tls_files.get(name)) for name, service in settings.services.items()
    }
    auth = settings.auth
    trusted = TrustedProxies(settings.server.trusted_proxies)
    identities = VerdictCache(
        auth,
        Iam(_agent("iam", services), auth, clock=clock),
        shared.verdicts,
        clock=clock,
        failures=FailureLimit(auth.failure_limit, auth.failure_period, shared.refusals),
    )
    statuses = PlatformStatuses(
        _agent("registry", services), settings.lifecycle, shared.statuses, clock=clock, service_keys=settings.auth.api_key
    )
    pipeline = chain(
        middlewares(
            settings,
            clock=clock,
            ids=shared.ids,
            log=shared.log,
            limits=shared.limits,
            identities=identities,
            statuses=statuses if services.get("registry") else None,
            services={name: ProxyClient(service) if service else None for name, service in services.items()},
            trusted=trusted,
            draining=lambda: shared.draining,
        )
    )
    return Generation(
        number=1 if previous is None else previous.number + 1,
        settings=settings,
        routes=RouteTable(settings.routes),
        trusted=trusted,
        limits=settings.limits,
        client_limits=client_limits(settings.limits),
        services=services,
        pipeline=pipeline,
    )


def adopt(generation: Generation, shared: Shared, previous: Generation | None = None) -> None:
    """Let what survives keep to a generation that serves now: its addresses, names and bounds. Nothing of this can fail.

    Verdicts and statuses stay, unless others have given them: of another IAM or registry nothing is known.
    """
    settings = generation.settings
    services = [service for service in generation.services.values() if service is not None]
    shared.addresses.keep(service.address for service in services)
    for service in services:
        service.pool.renew(service.limits, service.settings.max_idle_connections)
    shared.resolver.keep({service.address.key.binding.name for service in services}, settings.server.resolve_ttl)
    shared.verdicts.bound(settings.auth)
    shared.statuses.bound(settings.lifecycle)
    shared.limits.bound(settings.rate_limit.max_keys)
    keep_metrics(generation, shared)
    for key in settings.auth.api_key:  # whatever IAM may have said of it before it was one
        shared.verdicts.forget("session", key.encode())
    if previous is not None:
        if _place(generation, "iam") != _place(previous, "iam") or settings.auth.paths != previous.settings.auth.paths:
            shared.verdicts.start_anew()
        if _place(generation, "registry") != _place(previous, "registry"):
            shared.statuses.start_anew()


def keep_metrics(generation: Generation, shared: Shared) -> None:
    """Let the metrics tell of the routes and services of `generation`, and of no others."""
    services = [name for name, service in generation.services.items() if service is not None]
    shared.metrics.keep({route.prefix for route in generation.settings.routes}, services)


def _place(generation: Generation, name: str) -> tuple[object, ...]:
    """Return where a service is."""
    service = generation.services.get(name)
    return () if service is None else (service.address.key.binding, service.base_path)


def _agent(name: str, services: Mapping[str, Service | None]) -> IAgent:
    """Return the agent whose requests go to the service `name`."""
    service = services.get(name)
    return AbsentAgent(name) if service is None else UpstreamAgent(service)
