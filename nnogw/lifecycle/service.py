"""The life of a gateway: it binds, serves, drains and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.server import Site

from nnogw import __version__
from nnogw.admin import build_admin
from nnogw.admin.purge import Purge
from nnogw.admin.reload import ReloadPage
from nnogw.demo.lines import lines
from nnogw.demo.platform import DemoPlatform
from nnogw.demo.settings import demo_settings
from nnogw.interfaces import Reactor, ReloadRefused
from nnogw.lifecycle.generation import Generation, adopt, build
from nnogw.lifecycle.listeners import ADMIN, CLIENTS, Listeners, Wanted
from nnogw.lifecycle.reload import Reload
from nnogw.lifecycle.shared import Shared
from nnogw.lifecycle.start_errors import StartError, no_log, not_opened
from nnogw.loading import ConfigurationError, Loaded
from nnogw.observability.line_writer import close_unless_standard
from nnogw.observability.log_file import open_log
from nnogw.observability.registry import registry_of
from nnogw.observability.stats import ConfigurationStats, Stats
from nnogw.settings import ServerSettings
from nnogw.wire.site import GatewaySite
from nnogw.wire.transport.ports import PortReactor

log = Logger()


class GatewayService(Service):
    """Runs one gateway: binds its listeners, lets a new configuration take over, and drains it when it is stopped.

    Args:
        loaded: the configuration.
        load: reads it anew, for a reload.
        reactor: the reactor.

    Attributes:
        shared: what survives a reload.
        site: serves clients.
    """

    def __init__(self, loaded: Loaded, load: Callable[[], Loaded], reactor: Reactor) -> None:
        self.shared = Shared(loaded.settings, reactor)
        first = build(loaded, self.shared)
        adopt(first, self.shared)
        self.site = GatewaySite(self.shared.resource, reactor, first, self.shared.batch)
        self._listeners = Listeners(reactor)
        self._load = load
        self._reload = Reload(load, self.shared, self.site, self._listeners, self._wanted, first, loaded.warnings)
        self._started = reactor.seconds()
        self._admin = self._admin_site()
        self._reactor = reactor
        self._drained: Deferred[None] | None = None
        self._is_cut_short = False

    @property
    def generation(self) -> Generation:
        """The generation of the configuration that serves."""
        return self._reload.generation

    @property
    def addresses(self) -> list[str]:
        """The URLs or socket paths on which the gateway listens."""
        return self._listeners.addresses(CLIENTS)

    @property
    def admin_address(self) -> str:
        """The same of the admin listener; empty if there is none."""
        return "".join(self._listeners.addresses(ADMIN))

    def privilegedStartService(self) -> None:
        """Open the request log, and bind the listeners, while the process may still have the right to.

        Raises:
            StartError: an address is in use, or not ours.
        """
        super().privilegedStartService()
        server = self.generation.settings.server
        try:
            self.shared.log.open()
        except OSError as error:
            raise no_log(server.access_log, error) from None
        self._listeners.use(self._listeners.prepare(self._wanted(server)))

    def startService(self) -> None:
        """Say what the gateway serves and where it listens; the listeners accept as soon as the reactor runs.

        What the process has lost by now, such as its privileges, a reload will not have. So it is tried here what signals would lead to.
        """
        super().startService()
        settings = self.generation.settings
        for name, service in settings.services.items():
            log.info("service {name}: {address}", name=name, address=service.binding or service.url or "not configured")
        for route in settings.routes:
            log.info("route {prefix} leads to {service}", prefix=route.prefix, service=route.service)
        self._say_where_it_listens()
        self._try_signals()

    def reload(self) -> list[str]:
        """Let the configuration as it is now take over, and return what is different, a line each.

        Raises:
            ReloadRefused: nothing has changed; it says why.
        """
        if self.shared.draining:
            raise ReloadRefused(["the gateway is stopping"])
        before = self._listeners.open
        changes = self._reload()
        log.info("generation {number} of the configuration serves; {changes}", number=self.generation.number, changes=_summary(changes))
        if [listener.description for listener in before] != [listener.description for listener in self._listeners.open]:
            self._say_where_it_listens()
        return changes

    def _say_where_it_listens(self) -> None:
        for address in self.addresses:
            log.info("listening on {address}", address=address)
        if self.admin_address:
            log.info("admin listener on {address}", address=self.admin_address)

    def _try_signals(self) -> None:
        """Say which signals would change nothing: better now than when they are needed."""
        try:
            self._load()
        except ConfigurationError as error:
            for problem in str(error).splitlines():
                log.warn("a reload (HUP) would fail: {problem}", problem=problem)
        path = self.generation.settings.server.access_log
        try:
            if path != "-":
                close_unless_standard(open_log(path).descriptor)
        except OSError as error:
            log.warn("reopening the request log (USR1) would fail: {path}: {why}", path=path, why=not_opened(path, error))

    def _wanted(self, server: ServerSettings) -> list[Wanted]:
        """Return the listeners that `server` asks for."""
        admin = [Wanted(server.admin, self._admin, ADMIN)] if server.admin else []
        return [*(Wanted(description, self.site, CLIENTS) for description in server.listen), *admin]

    def _admin_site(self) -> Site:
        shared = self.shared
        stats = Stats(
            shared.verdicts, shared.limits, lambda: self.generation.services, self.site, shared.log, shared.ledger, self._configuration
        )
        root = build_admin(
            registry=registry_of(shared.metrics, stats),
            status=lambda: {
                "version": __version__,
                "uptime": round(self._reactor.seconds() - self._started, 1),
                "draining": shared.draining,
                **stats.document(),
            },
            degraded=shared.ledger.document,
            draining=lambda: shared.draining,
            purge=Purge(shared.verdicts, shared.statuses),
            reload=ReloadPage(self.reload),
        )
        site = Site(root)
        site.noisy = False
        site.log = lambda request: None  # type: ignore[method-assign]  # noqa: ARG005  an operator's own look is not worth a line
        return site

    def _configuration(self) -> ConfigurationStats:
        reload = self._reload
        return ConfigurationStats(reload.generation.number, reload.changed_at, reload.retiring)

    def stopService(self) -> Deferred[None]:
        """Drain: keep saying "draining" for the lame-duck time, stop listening, let what is under way end within its time, cut the rest.

        From the first moment on, every response says that its connection closes: who keeps connections loses none at the end.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        server = self.generation.settings.server
        self.shared.draining = True
        self.site.closing = True
        if server.lame_duck:
            await self._pause(server.lame_duck)
        # This takes at least a turn of the reactor, which reads what has come on idle connections.
        await self._listeners.close(CLIENTS)
        await self._until_drained(server.drain_timeout)
        left = self.site.cut()
        if left:
            why = "at once, as was asked for" if self._is_cut_short else f"that had not ended within {server.drain_timeout:g} s"
            log.warn("cut {left} connections {why}", left=left, why=why)
        else:
            log.info("drained: nothing was cut")
        await self._listeners.close(ADMIN)
        self._reload.close()
        self.site.hangups.close()
        self.shared.close()

    def cut_short(self) -> None:
        """Stop waiting for what is under way, now and later."""
        self._is_cut_short = True
        self._wait_no_longer()

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        self.shared.log.reopen()

    def _pause(self, seconds: float) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        if self._is_cut_short:
            over.callback(None)
            return over
        self._drained = over
        timer = self._reactor.callLater(seconds, self._wait_no_longer)
        return over.addCallback(lambda _: timer.cancel() if timer.active() else None)

    def _wait_no_longer(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def _until_drained(self, seconds: float) -> Deferred[None]:
        self.site.drain(self._wait_no_longer)
        if not self.site.channels:
            return maybeDeferred(lambda: None)
        return self._pause(seconds)


class DemoService(MultiService):
    """Runs the demo platform and a gateway in front of it, and prints what to try.

    Args:
        loaded: what a file, the environment and the command line say.
        load: reads it anew, for a reload.
        reactor: the reactor.
        show: prints a text to whoever started the demo.
    """

    def __init__(self, loaded: Loaded, load: Callable[[], Loaded], reactor: Reactor, show: Callable[[str], None]) -> None:
        super().__init__()
        self._loaded = loaded
        self._load = load
        self._reactor = reactor
        self._show = show
        self._platform = DemoPlatform(PortReactor(reactor))

    def privilegedStartService(self) -> None:
        """Start the platform, and bind the gateway's listeners.

        Raises:
            StartError: an address is in use, or not ours.
        """
        try:
            urls = self._platform.start()
        except CannotListenError as error:
            raise StartError(f"the demo's services find no loopback port: {error.socketError}") from None

        def of_the_demo(loaded: Loaded) -> Loaded:
            return evolve(loaded, settings=demo_settings(loaded.settings, urls))

        self._gateway = GatewayService(of_the_demo(self._loaded), lambda: of_the_demo(self._load()), self._reactor)
        self._gateway.setServiceParent(self)
        super().privilegedStartService()

    def startService(self) -> None:
        """Start the gateway, and show the lines."""
        super().startService()
        self._show(lines(self._gateway.addresses[0], self._gateway.admin_address))

    def stopService(self) -> Deferred[object]:
        """Stop the gateway, then the platform."""
        stopped: Deferred[object] = super().stopService()
        return stopped.addCallback(lambda _: self._platform.stop())

    def reload(self) -> list[str]:
        """Let the configuration as it is now take over, with the demo's services; see `GatewayService.reload`."""
        return self._gateway.reload()

    def cut_short(self) -> None:
        """Stop waiting for what is under way."""
        for service in self.services:
            service.cut_short()

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        for service in self.services:
            service.reopen_logs()


def _summary(changes: Sequence[str]) -> str:
    return "nothing is different" if not changes else "; ".join(changes)
