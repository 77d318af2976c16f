"""The life of a gateway: it binds, serves, drains and ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from nnogw.assembly import Gateway, assemble
from nnogw.demo.lines import lines
from nnogw.demo.platform import DemoPlatform
from nnogw.demo.settings import demo_settings
from nnogw.settings import Settings
from nnogw.start_errors import not_bound, not_opened

log = Logger()

#: Connections that the kernel may hold ready for us (nginx 511, HAProxy 2000; Twisted's own 50 drops bursts).
BACKLOG = 2048


#: Where a listener on all addresses can be reached from its own machine.
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing binds here


class StartError(Exception):
    """The gateway cannot start, for a reason that its operator can mend: one line, no traceback."""


class GatewayService(Service):
    """Runs one gateway: binds its listeners, and drains it when it is stopped.

    Args:
        settings: the configuration.
        reactor: the reactor.
    """

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.gateway: Gateway = assemble(settings, reactor)
        self._settings = settings
        self._reactor = reactor
        self._ports: list[Any] = []  # IListeningPort
        self._admin_port: Any = None
        self._drained: Deferred[None] | None = None

    @property
    def addresses(self) -> list[str]:
        """The URLs or socket paths on which the gateway listens."""
        return [_address(port) for port in self._ports]

    @property
    def admin_address(self) -> str:
        """The same of the admin listener; empty if there is none."""
        return "" if self._admin_port is None else _address(self._admin_port)

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
        self._ports = [self._listen("server.listen, --listen", description, self.gateway.site) for description in server.listen]
        if server.admin:
            site = Site(self.gateway.admin)
            site.noisy = False
            site.log = lambda request: None  # type: ignore[method-assign]  # noqa: ARG005  an operator's own look is not worth a line
            self._admin_port = self._listen("server.admin, --admin", server.admin, site)

    def _listen(self, settings: str, endpoint: str, factory: Any) -> Any:
        description = endpoint
        if "backlog=" not in description and description.startswith(("tcp:", "tcp6:", "unix:", "ssl:")):
            description += f":backlog={BACKLOG}"
        outcome: list[Any] = []
        serverFromString(self._reactor, description).listen(factory).addBoth(outcome.append)
        if not outcome or isinstance(outcome[0], Failure):
            why = not_bound(endpoint, outcome[0].value) if outcome else "it does not bind at once"
            raise StartError(f"nnogw: cannot listen on {endpoint}: {why} ({settings})")
        return outcome[0]

    def startService(self) -> None:
        """Say where the gateway listens; the listeners accept as soon as the reactor runs."""
        super().startService()
        for address in self.addresses:
            log.info("listening on {address}", address=address)
        if self.admin_address:
            log.info("admin listener on {address}", address=self.admin_address)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Drain: keep saying "draining" for the lame-duck time, stop listening, let what is under way end within its time, cut the rest."""
        super().stopService()
        gateway = self.gateway
        server = self._settings.server
        gateway.draining = True
        if server.lame_duck:
            yield self._pause(server.lame_duck)
        for port in self._ports:
            yield maybeDeferred(port.stopListening)
        yield self._until_drained(server.drain_timeout)
        left = gateway.site.cut()
        if left:
            log.warn("cut {left} connections that had not ended within {seconds} s", left=left, seconds=server.drain_timeout)
        if self._admin_port is not None:
            yield maybeDeferred(self._admin_port.stopListening)
        gateway.close()

    def hurry(self) -> None:
        """Stop waiting for what is under way."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        self.gateway.log.reopen()

    def _pause(self, seconds: float) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        self._drained = over
        timer = self._reactor.callLater(seconds, self.hurry)
        return over.addCallback(lambda _: timer.cancel() if timer.active() else None)

    def _until_drained(self, seconds: float) -> Deferred[None]:
        self.gateway.site.drain(self.hurry)
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

    def __init__(self, settings: Settings, reactor: Any, show: Callable[[str], None]) -> None:
        super().__init__()
        self._settings = settings
        self._reactor = reactor
        self._show = show
        self._platform = DemoPlatform(reactor)

    def startService(self) -> None:
        """Start the platform, then the gateway."""
        super().startService()
        self._platform.start().addCallback(self._start_gateway).addErrback(self._give_up)

    def _start_gateway(self, urls: Any) -> None:
        gateway = GatewayService(demo_settings(self._settings, urls), self._reactor)
        gateway.setServiceParent(self)
        self._show(lines(gateway.addresses[0], gateway.admin_address))

    def _give_up(self, failure: Failure) -> None:
        if failure.check(StartError):
            self._show(failure.getErrorMessage() + "\n")
        else:
            log.failure("the demo cannot start", failure=failure)
        self._reactor.stop()

    @inlineCallbacks
    def stopService(self) -> Any:
        """Stop the gateway, then the platform."""
        yield super().stopService()
        yield self._platform.stop()

    def hurry(self) -> None:
        """Stop waiting for what is under way."""
        for service in self.services:
            service.hurry()

    def reopen_logs(self) -> None:
        """Open the request log's file anew (logrotate)."""
        for service in self.services:
            service.reopen_logs()


class Signals(Service):
    """Turns the process's signals into what the gateway does: TERM and INT drain, a second one cuts, USR1 reopens the logs.

    The reactor's own handling of TERM ends with the process killing itself by the same signal: a supervisor would see a failure.

    Args:
        served: the gateway's service.
        reactor: the reactor.
    """

    def __init__(self, served: GatewayService | DemoService, reactor: Any) -> None:
        self._served = served
        self._reactor = reactor
        self._stopping = False

    def startService(self) -> None:
        """Take the signals over, once the reactor has installed its own handlers."""
        super().startService()
        self._reactor.callWhenRunning(self._install)

    def _install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._terminate))
        before = signal.getsignal(signal.SIGUSR1)  # twistd's own, which rotates its --logfile

        def reopen(number: int, frame: Any) -> None:
            self._reactor.callFromThread(self._served.reopen_logs)
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGUSR1, reopen)

    def _terminate(self) -> None:
        if self._stopping:
            self._served.hurry()
        else:
            self._stopping = True
            self._reactor.stop()


def _address(port: Any) -> str:
    """Return where a listening port can be reached: a URL, or the path of a socket."""
    host = port.getHost()
    name = getattr(host, "name", None)
    if name is not None:
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    shown = _FROM_HERE.get(host.host, host.host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{host.port}"
