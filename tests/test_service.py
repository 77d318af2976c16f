"""The life of a gateway: it binds, serves, drains and ends. Over real sockets, in this process."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from nnogw.service import DemoService, GatewayService, Signals, StartError
from nnogw.settings import AuthSettings, ServerSettings, ServiceSettings, Settings
from nnogw.upstream.resolver import LookupFailed
from tests.integration.platform import status
from tests.integration.sockets import Service, connect, get, until


def settings(**server: Any) -> Settings:
    """Return settings of a gateway on free loopback ports."""
    defaults = {"listen": ("tcp:0:interface=127.0.0.1",), "admin": "", "access_log": os.devnull}
    return Settings(server=ServerSettings(**{**defaults, **server}), auth=AuthSettings(api_key=("k",)))


class Binding(TestCase):
    """Where it listens, and what keeps it from it."""

    async def started(self, **server: Any) -> GatewayService:
        """Return a running service, which is stopped when the test is over."""
        service = GatewayService(settings(**server), reactor)
        self.addCleanup(service.stopService)
        service.privilegedStartService()
        service.startService()
        return service

    async def test_it_says_where_it_listens(self) -> None:
        """On TCP by URL, on a unix socket by its path; on all addresses, by one that works from here."""
        path = Path(f"/tmp/nnogw-test-{os.getpid()}.sock")  # a socket's path must be short
        service = await self.started(
            listen=("tcp:0:interface=127.0.0.1", f"unix:{path}", "tcp:0", "tcp6:0:interface=\\:\\:1"), admin="tcp:0:interface=127.0.0.1"
        )
        first, unix, everywhere, ipv6 = service.addresses
        self.assertRegex(first, r"^http://127\.0\.0\.1:\d+$")
        self.assertEqual(unix, f"unix:{path}")
        self.assertRegex(everywhere, r"^http://127\.0\.0\.1:\d+$")
        self.assertRegex(ipv6, r"^http://\[::1\]:\d+$")
        self.assertRegex(service.admin_address, r"^http://127\.0\.0\.1:\d+$")
        for address in (first, everywhere, service.admin_address):
            client = await connect(self, int(address.rpartition(":")[2]))
            client.send(get("/health").replace(b"Host: gateway", b"Host: localhost"))
            self.assertIn(status(await client.until_closed()), (200, 404))

    async def test_without_an_admin_listener_there_is_none(self) -> None:
        """The empty address."""
        self.assertEqual((await self.started()).admin_address, "")

    async def test_an_address_that_is_taken_is_one_line(self) -> None:
        """With the endpoint as its operator wrote it."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            error = self.assertRaises(StartError, GatewayService(settings(listen=(endpoint,)), reactor).privilegedStartService)
        self.assertIn(f"cannot listen on {endpoint}: ", str(error))
        self.assertIn("in use", str(error))

    async def test_a_request_log_that_cannot_be_opened_is_one_line(self) -> None:
        """Nothing is bound then."""
        error = self.assertRaises(StartError, GatewayService(settings(access_log="/nowhere/log"), reactor).privilegedStartService)
        self.assertIn("/nowhere/log", str(error))

    async def test_reopening_the_log_makes_a_new_file(self) -> None:
        """The old one was moved away."""
        path = Path(self.mktemp()).absolute()
        service = await self.started(access_log=str(path))
        path.rename(self.mktemp())
        service.reopen_logs()
        self.assertTrue(path.exists())


class Stopping(TestCase):
    """What ends with the gateway."""

    async def test_connections_that_are_being_made_and_lookups_are_given_up(self) -> None:
        """A handshake that never ends is cut, although nobody has asked for it to be."""
        silent = Service(self, lambda _: None)
        services = {**Settings().services, "billing": ServiceSettings(url=f"https://localhost:{silent.port}", connect_timeout=600)}
        service = GatewayService(evolve(settings(drain_timeout=0), services=services), reactor)
        service.privilegedStartService()
        service.startService()
        connecting = service.gateway.upstreams["billing"].pool.connect()
        await until(lambda: bool(silent.received), "the handshake")
        await service.stopService()
        self.failureResultOf(connecting, CancelledError)
        self.failureResultOf(service.gateway.resolver.resolve("localhost"), LookupFailed)
        await silent.visits[0].until_closed()


class Demo(TestCase):
    """A platform and a gateway in front of it."""

    async def test_it_shows_lines_when_it_is_up_and_ends_with_its_platform(self) -> None:
        """Hurried, and asked to reopen its logs, it passes the word on."""
        shown: list[str] = []
        service = DemoService(settings(), reactor, shown.append)
        service.startService()
        await until(lambda: bool(shown), "the lines")
        self.assertIn("curl -si http://127.0.0.1:", shown[0])
        service.reopen_logs()
        service.hurry()
        await service.stopService()

    async def test_what_keeps_it_from_starting_is_shown(self) -> None:
        """And the process ends."""

        class Reactor:
            stopped = 0

            def __getattr__(self, name: str) -> Any:
                return getattr(reactor, name)

            def stop(self) -> None:
                self.stopped += 1

        shown: list[str] = []
        standing_in = Reactor()
        for wrong in (settings(access_log="/nowhere/log"), evolve(settings(), routes=None)):
            service = DemoService(wrong, standing_in, shown.append)
            service.startService()
            await until(lambda: standing_in.stopped > 0, "the end")
            standing_in.stopped = 0
            await service.stopService()
        self.assertEqual(len(shown), 1)
        self.assertIn("/nowhere/log", shown[0])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class SignalsTests(TestCase):
    """What the process's signals do."""

    def setUp(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.called: list[str] = []

    def hurry(self) -> None:
        """Take note."""
        self.called.append("hurry")

    def reopen_logs(self) -> None:
        """Take note."""
        self.called.append("reopen")

    def stop(self) -> None:
        """Take note, as a reactor."""
        self.called.append("stop")

    def callWhenRunning(self, call: Any) -> None:
        """Call it."""
        call()

    def callFromThread(self, call: Any) -> None:
        """Call it."""
        call()

    def test_term_drains_and_a_second_one_hurries(self) -> None:
        """INT does the same."""
        Signals(self, self).startService()  # type: ignore[arg-type]  # served and reactor in one
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        self.assertEqual(self.called, ["stop", "hurry", "hurry"])

    def test_usr1_reopens_the_logs_twistds_own_included(self) -> None:
        """Whose handler was there before."""
        signal.signal(signal.SIGUSR1, lambda *_: self.called.append("twistd's"))
        Signals(self, self).startService()  # type: ignore[arg-type]  # served and reactor in one
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual(self.called, ["reopen", "twistd's"])
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        Signals(self, self).startService()  # type: ignore[arg-type]  # served and reactor in one
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual(self.called, ["reopen", "twistd's", "reopen"])
