"""The life of a gateway: it binds, serves, drains and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.web.server import Site

from nnogw.assembly import Gateway, assemble
from nnogw.demo.lines import lines
from nnogw.demo.platform import DemoPlatform
from nnogw.demo.settings import demo_settings
from nnogw.interfaces import Reactor
from nnogw.lifecycle.listeners import ADMIN, CLIENTS, Listeners, StartError, address_of
from nnogw.lifecycle.start_errors import not_opened
from nnogw.settings import Settings
from nnogw.wire.transport.ports import PortReactor

log = Logger()


class GatewayService(Service):
    """Runs one gateway: binds its listeners, and drains it when it is stopped.

    Args:
        settings: the configuration.
        reactor: the reactor.
    """

    def __init__(self, settings: Settings, reactor: Reactor) -> None:
        self.gateway: Gateway = assemble(settings, reactor)
        self._settings = settings
        self._reactor = reactor
        self._ports: list[IListeningPort] = []
        self._admin_port: IListeningPort | None = None
        self._drained: Deferred[None] | None = None
        self._is_cut_short = False

    @property
    def addresses(self) -> list[str]:
        """The URLs or socket paths on which the gateway listens."""
        return [address_of(port) for port in self._ports]

    @property
    def admin_address(self) -> str:
        """The same of the admin listener; empty if there is none."""
        return "" if self._admin_port is None else address_of(self._admin_port)

    def privilegedStartService(self) -> None:
        """Bind the listeners, while the process may still have the right to.

        Raises:
            StartError: an address is in use, or not ours.
        """
        super().privilegedStartService()
        try:
            self.gateway.log.open()
        except OSError as error:
            path = self._settings.server.access_log
            raise StartError(f"nnogw: cannot open the request log {path} (server.access_log): {not_opened(path, error)}") from None
        server = self._settings.server
        listeners = Listeners(self._reactor)
        for description in server.listen:
            self._ports.append(listeners.listen(description, self.gateway.site, CLIENTS))
        if server.admin:
            site = Site(self.gateway.admin)
            site.noisy = False
            site.log = lambda request: None  # type: ignore[method-assign]  # noqa: ARG005  an operator's own look is not worth a line
            self._admin_port = listeners.listen(server.admin, site, ADMIN)

    def startService(self) -> None:
        """Say what the gateway serves and where it listens; the listeners accept as soon as the reactor runs."""
        super().startService()
        for name, service in self._settings.services.items():
            log.info("service {name}: {address}", name=name, address=service.binding or service.url or "not configured")
        for route in self._settings.routes:
            log.info("route {prefix} leads to {service}", prefix=route.prefix, service=route.service)
        for address in self.addresses:
            log.info("listening on {address}", address=address)
        if self.admin_address:
            log.info("admin listener on {address}", address=self.admin_address)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Drain: keep saying "draining" for the lame-duck time, stop listening, let what is under way end within its time, cut the rest.

        From the first moment on, every response says that its connection closes: who keeps connections loses none at the end.
        """
        super().stopService()
        gateway = self.gateway
        server = self._settings.server
        gateway.draining = True
        gateway.site.closing = True
        if server.lame_duck:
            yield self._pause(server.lame_duck)
        # This takes at least a turn of the reactor, which reads what has come on idle connections.
        yield gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
        yield self._until_drained(server.drain_timeout)
        left = gateway.site.cut()
        if left:
            why = "at once, as was asked for" if self._is_cut_short else f"that had not ended within {server.drain_timeout:g} s"
            log.warn("cut {left} connections {why}", left=left, why=why)
        else:
            log.info("drained: nothing was cut")
        if self._admin_port is not None:
            yield maybeDeferred(self._admin_port.stopListening)
        gateway.close()

    def cut_short(self) -> None:
        """Stop waiting for what is under way, now and later."""
        self._is_cut_short = True
        self._wait_no_longer()

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        self.gateway.log.reopen()

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
        self.gateway.site.drain(self._wait_no_longer)
        if not self.gateway.site.channels:
            return maybeDeferred(lambda: None)
        return self._pause(seconds)


class DemoService(MultiService):
    """Runs the demo platform and a gateway in front of it, and prints what to try.

    Args:
        settings: what a file, the environment and the command line say.
        reactor: the reactor.
        show: prints a text to whoever started the demo.
    """

    def __init__(self, settings: Settings, reactor: Reactor, show: Callable[[str], None]) -> None:
        super().__init__()
        self._settings = settings
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
            raise StartError(f"nnogw: the demo's services find no loopback port: {error.socketError}") from None
        self._gateway = GatewayService(demo_settings(self._settings, urls), self._reactor)
        self._gateway.setServiceParent(self)
        super().privilegedStartService()

    def startService(self) -> None:
        """Start the gateway, and show the lines."""
        super().startService()
        self._show(lines(self._gateway.addresses[0], self._gateway.admin_address))

    @inlineCallbacks
    def stopService(self) -> Any:
        """Stop the gateway, then the platform."""
        yield super().stopService()
        yield self._platform.stop()

    def cut_short(self) -> None:
        """Stop waiting for what is under way."""
        for service in self.services:
            service.cut_short()

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        for service in self.services:
            service.reopen_logs()
