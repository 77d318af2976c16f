"""The life of a gateway: it binds, serves, drains and ends. Over real sockets, in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import TestCase

from nnogw.lifecycle.service import DemoService, GatewayService
from nnogw.lifecycle.start_errors import StartError
from nnogw.loading import ConfigurationError, Loaded
from nnogw.settings import AuthSettings, ServerSettings, ServiceSettings, Settings
from nnogw.upstream.resolver import LookupFailed
from nnogw.wire.transport.ports import PortReactor
from tests.integration.gateway_process import free_port
from tests.integration.platform import status
from tests.integration.sockets import Service, Wire, connect, get, until

#: A request for the gateway's health, on a connection that is to be kept.
KEPT = b"GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n"


def settings(**server: Any) -> Settings:
    """Return settings of a gateway on free loopback ports."""
    defaults = {"listen": ("tcp:0:interface=127.0.0.1",), "admin": "", "access_log": os.devnull}
    return Settings(server=ServerSettings(**{**defaults, **server}), auth=AuthSettings(api_key=("k",)))


def gateway(of: Settings) -> GatewayService:
    """Return the service of a gateway, not started."""
    return GatewayService(Loaded(of), lambda: Loaded(of), reactor)


def demo(of: Settings, show: Callable[[str], None]) -> DemoService:
    """Return the service of a demo, not started."""
    return DemoService(Loaded(of), lambda: Loaded(of), reactor, show)


class Binding(TestCase):
    """Where it listens, and what keeps it from it."""

    async def started(self, **server: Any) -> GatewayService:
        """Return a running service, which is stopped when the test is over."""
        service = gateway(settings(**server))
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

    async def test_a_request_log_that_cannot_be_opened_is_one_line(self) -> None:
        """Nothing is bound then."""
        error = self.assertRaises(StartError, gateway(settings(access_log="/nowhere/log")).privilegedStartService)
        self.assertIn("/nowhere/log", str(error))

    async def test_reopening_the_log_makes_a_new_file(self) -> None:
        """The old one was moved away."""
        path = Path(self.mktemp()).absolute()
        service = await self.started(access_log=str(path))
        path.rename(self.mktemp())
        service.reopen_logs()
        self.assertTrue(path.exists())


class TryingSignals(TestCase):
    """What a signal would not achieve is said at the start."""

    async def test_a_configuration_and_a_log_that_are_out_of_reach_by_now(self) -> None:
        """As for a process that has given up its privileges."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        of = settings(access_log=str(folder / "log"))

        def load() -> Loaded:
            raise ConfigurationError(["nnogw.toml: cannot be read: Permission denied", "keys: cannot be read: Permission denied"])

        service = GatewayService(Loaded(of), load, reactor)
        self.addCleanup(service.stopService)
        service.privilegedStartService()
        shutil.rmtree(folder)
        with capturedLogs() as events:
            service.startService()
        said = [event["log_format"].format(**event) for event in events if event["log_level"] is LogLevel.warn]
        reload = "a reload (HUP) would fail: {}: cannot be read: Permission denied"
        self.assertEqual(said[:2], [reload.format("nnogw.toml"), reload.format("keys")])
        self.assertIn(f"reopening the request log (USR1) would fail: {folder}/log: the folder of the log does not exist", said[2])


class Reloading(TestCase):
    """What only shows in the process itself."""

    async def test_a_connection_that_waits_at_a_listener_which_goes_is_served_and_closed(self) -> None:
        """It is accepted after the reload, and ends as those that were accepted before."""
        first, second = (f"tcp:{free_port()}:interface=127.0.0.1" for _ in range(2))
        configurations = [Loaded(settings(listen=(first,)))]
        service = GatewayService(Loaded(settings(listen=(first, second))), configurations.pop, reactor)
        configurations.append(Loaded(settings(listen=(first,))))  # the start tries to load, too
        self.addCleanup(service.stopService)
        service.privilegedStartService()
        service.startService()
        with socket.create_connection(("127.0.0.1", int(second.split(":")[1]))) as waiting:  # the reactor does not run: nobody accepts
            waiting.sendall(KEPT)
            service.reload()
            waiting.setblocking(False)
            received: list[bytes] = []

            def ended() -> bool:
                with contextlib.suppress(BlockingIOError):
                    received.append(waiting.recv(4096))
                return received[-1:] == [b""]

            await until(ended, "the end of the connection")
        self.assertEqual(status(b"".join(received)), 200)


class GivingUp(TestCase):
    """What ends with the gateway."""

    async def test_connections_that_are_being_made_and_lookups_are_given_up(self) -> None:
        """A handshake that never ends is cut, although nobody has asked for it to be."""
        silent = Service(self, lambda _: None)
        services = {**Settings().services, "billing": ServiceSettings(url=f"https://localhost:{silent.port}", connect_timeout=600)}
        service = gateway(evolve(settings(drain_timeout=0), services=services))
        service.privilegedStartService()
        service.startService()
        billing = service.generation.services["billing"]
        assert billing is not None
        connecting = billing.pool.connect(600)
        await until(lambda: bool(silent.received), "the handshake")
        await service.stopService()
        self.failureResultOf(connecting, CancelledError)
        self.failureResultOf(service.shared.resolver.resolve("localhost"), LookupFailed)
        await silent.visits[0].until_closed()


class Demo(TestCase):
    """A platform and a gateway in front of it."""

    async def test_it_shows_lines_when_it_is_up_and_ends_with_its_platform(self) -> None:
        """Hurried, and asked to reopen its logs, it passes the word on."""
        shown: list[str] = []
        service = demo(settings(), shown.append)
        service.privilegedStartService()
        service.startService()
        self.assertIn("curl -si http://127.0.0.1:", shown[0])
        service.reopen_logs()
        service.cut_short()
        await service.stopService()

    async def test_what_keeps_it_from_starting_stops_the_start(self) -> None:
        """Before the reactor runs, so that the process ends: an address that is taken, a log that cannot be opened."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            for wrong, piece in ((settings(listen=(endpoint,)), endpoint), (settings(access_log="/nowhere/log"), "/nowhere/log")):
                service = demo(wrong, self.fail)
                error = self.assertRaises(StartError, service.privilegedStartService)
                self.assertIn(piece, str(error))
                await service.stopService()

    async def test_without_a_free_port_the_platform_says_so(self) -> None:
        """Nothing else is bound then."""

        class Full(PortReactor):
            def listenTCP(self, *arguments: Any, **options: Any) -> Any:
                raise CannotListenError("127.0.0.1", 0, OSError("no ports left"))

        service = demo(settings(), self.fail)
        self.patch(service._platform, "_reactor", Full(reactor))
        error = self.assertRaises(StartError, service.privilegedStartService)
        self.assertIn("no loopback port", str(error))


class Stopping(TestCase):
    """From the first word of the end on."""

    async def started(self, **server: Any) -> GatewayService:
        """Return a running service; a test stops it."""
        service = gateway(settings(**server))
        service.privilegedStartService()
        service.startService()
        return service

    async def client(self, service: GatewayService) -> Wire:
        """Return a connection on which a request was answered, and which is kept."""
        client = await connect(self, int(service.addresses[0].rpartition(":")[2]))
        client.send(KEPT)
        await client.until_received(b"ok")
        self.assertNotIn(b"Connection: close", client.received)
        return client

    async def test_a_kept_connection_is_told_by_a_response_that_it_closes(self) -> None:
        """In the lame-duck time; it is not cut before, and nothing is lost on it."""
        service = await self.started(lame_duck=600)
        clients = [await self.client(service) for _ in range(5)]
        over = Deferred.fromCoroutine(_stopped(service))
        for client in clients:
            self.assertFalse(client.closed)
            client.received = b""
            client.send(KEPT)
            received = await client.until_closed()
            self.assertEqual(status(received), 503)
            self.assertIn(b"\r\nConnection: close\r\n", received)
            self.assertTrue(client.clean)
        service.cut_short()
        await over

    async def test_an_idle_connection_is_closed_at_the_end_of_the_lame_duck(self) -> None:
        """In order: there is nothing under way on it."""
        service = await self.started(lame_duck=0.1)
        client = await self.client(service)
        await service.stopService()
        await client.until_closed()
        self.assertTrue(client.clean)

    async def test_a_request_that_has_come_when_listening_ends_is_answered(self) -> None:
        """It waits in the socket of an idle connection, unread."""
        service = await self.started()
        client = await self.client(service)
        client.received = b""
        client.transport.socket.sendall(KEPT)
        await service.stopService()
        received = await client.until_closed()
        self.assertEqual(status(received), 503)
        self.assertIn(b"\r\nConnection: close\r\n", received)

    async def test_connections_that_wait_in_the_backlog_are_accepted_and_served(self) -> None:
        """They are connected for their clients already: they get a response, not a reset."""
        path = Path(f"/tmp/nnogw-backlog-{os.getpid()}.sock")
        service = await self.started(listen=("tcp:0:interface=127.0.0.1", f"unix:{path}"))
        port = int(service.addresses[0].rpartition(":")[2])
        waiting = [(socket.AF_INET, ("127.0.0.1", port))] * 5 + [(socket.AF_UNIX, str(path))] * 5
        clients = []
        for family, address in waiting:  # the reactor does not run meanwhile: nobody accepts
            client = socket.socket(family, socket.SOCK_STREAM)
            self.addCleanup(client.close)
            client.connect(address)
            client.sendall(KEPT)
            clients.append(client)
        await service.stopService()
        for client in clients:
            client.settimeout(30)
            self.assertEqual(status(client.recv(4096)), 503)
        self.assertFalse(path.exists())

    async def test_one_that_has_not_sent_its_request_yet_gets_a_moment(self) -> None:
        """It was accepted at the last moment."""
        service = await self.started()
        with socket.create_connection(("127.0.0.1", int(service.addresses[0].rpartition(":")[2]))) as client:
            over = Deferred.fromCoroutine(_stopped(service))
            await until(lambda: service.site.draining, "the drain")
            client.sendall(KEPT)
            await over
            client.settimeout(30)
            self.assertEqual(status(client.recv(4096)), 503)

    async def test_to_be_cut_short_ends_every_wait(self) -> None:
        """That of the lame duck, and that for what is under way; the log says what was cut."""
        service = await self.started(lame_duck=600, drain_timeout=600)
        client = await connect(self, int(service.addresses[0].rpartition(":")[2]))
        client.send(KEPT[:-2])
        await until(lambda: service.site.connections == 1, "the connection")
        over = Deferred.fromCoroutine(_stopped(service))
        with capturedLogs() as events:
            service.cut_short()
            await over
        await client.until_closed()
        said = [event["log_format"].format(**event) for event in events if event.get("log_namespace") == "nnogw.lifecycle.service"]
        self.assertEqual(said, ["cut 1 connections at once, as was asked for"])

    async def test_the_log_says_what_is_served(self) -> None:
        """Services with their addresses, routes, listeners."""
        with capturedLogs() as events:
            service = await self.started()
        await service.stopService()
        said = [event["log_format"].format(**event) for event in events if event.get("log_namespace") == "nnogw.lifecycle.service"]
        for line in ("service iam: not configured", "route /api/v1/onboarding leads to registry"):
            self.assertIn(line, said)


async def _stopped(service: GatewayService) -> None:
    await service.stopService()
