"""The process itself: ``twistd nnogw`` as operators run it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from pathlib import Path
from shutil import rmtree

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from nnogw import __version__
from tests.integration.gateway_process import PROJECT, GatewayProcess, environment, free_port
from tests.integration.platform import AS_SERVICE, Platform, status
from tests.integration.sockets import connect, get, ok, silence, until

_USR2_LINE = "USR2 changes nothing: "
_TWISTD = str(Path(sys.executable).with_name("twistd"))


async def twistd(*arguments: str, **variables: str) -> tuple[str, int]:
    """Run ``twistd`` to its end; returns everything that it has written, and its exit status."""
    out, err, exit_status = await getProcessOutputAndValue(
        sys.executable, [_TWISTD, *arguments], environment({"PYTHONPATH": str(PROJECT), **variables})
    )
    return (out + err).decode(), exit_status


class Daemon(TestCase):
    """In the background, as twistd has always done it."""

    async def test_it_detaches_writes_its_pid_and_its_logs_and_goes_on_term(self) -> None:
        """The pid file and the socket are gone afterwards."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        pidfile, logfile, access, port = folder / "pid", folder / "log", folder / "access.log", free_port()
        config = folder / "nnogw.toml"
        config.write_text(f'[server]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\nadmin = ""\naccess_log = "{access}"\n')
        said, exit_status = await twistd(
            "--pidfile", str(pidfile), "--logfile", str(logfile), "nnogw", "--config", str(config), AUTH_API_KEY="k"
        )
        self.assertEqual(exit_status, 0, said)
        await until(lambda: pidfile.exists() and pidfile.read_text().isdigit(), "the pid file")
        pid = int(pidfile.read_text())
        await until(lambda: logfile.exists() and "listening on" in logfile.read_text(), "the log")
        client = await connect(self, port)
        client.send(get("/health"))
        self.assertEqual(status(await client.until_closed()), 200)
        await until(lambda: access.exists() and b"/health" in access.read_bytes(), "the request log")
        access.rename(folder / "access.log.1")
        os.kill(pid, signal.SIGUSR1)
        await until(access.exists, "the new request log")
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not pidfile.exists(), "the end")
        self.assertNotIn("Traceback", logfile.read_text())

    async def test_help_names_every_option(self) -> None:
        """And needs no configuration."""
        said, exit_status = await twistd("nnogw", "--help")
        self.assertEqual(exit_status, 0)
        for option in ("--config", "--listen", "--admin", "--demo", "--version"):
            self.assertIn(option, said)


class BadStarts(TestCase):
    """What is wrong is said in plain lines, and the exit status is not 0."""

    async def refused(self, config: str, **variables: str) -> str:
        """Return what a start with `config` says."""
        path = Path(self.mktemp()).absolute()
        path.write_text(config)
        said, exit_status = await twistd("-n", "--pidfile=", "nnogw", "--config", str(path), **variables)
        self.assertNotEqual(exit_status, 0, said)
        self.assertNotIn("Traceback", said)
        return said.replace(str(path), "FILE")

    async def test_an_unknown_key_is_named_with_the_nearest_known_one(self) -> None:
        """With the file and the table."""
        said = await self.refused("[server]\nlisen = []\n", AUTH_API_KEY="k")
        for piece in ("FILE", "server", "lisen", "listen"):
            self.assertIn(piece, said)

    async def test_a_bad_value_is_named_with_what_was_expected(self) -> None:
        """All of them at once."""
        said = await self.refused('[auth.cache]\nttl = "soon"\n[limits]\nmax_body = -1\n', AUTH_API_KEY="k")
        for piece in ("ttl", "number", "max_body"):
            self.assertIn(piece, said)

    async def test_what_is_no_toml_is_told_with_its_line(self) -> None:
        """And a file that is not there by its name."""
        self.assertIn("line 2", await self.refused("a = 1\nb = = 2"))
        said, exit_status = await twistd("-n", "--pidfile=", "nnogw", "--config", "/nowhere/nnogw.toml")
        self.assertNotEqual(exit_status, 0)
        self.assertIn("/nowhere/nnogw.toml", said)
        self.assertNotIn("Traceback", said)

    async def test_without_a_key_it_does_not_listen_publicly(self) -> None:
        """And says how to mend it."""
        said = await self.refused('[server]\nlisten = ["tcp:0"]\n')
        for piece in ("AUTH_API_KEY", "allow_unauthenticated", "interface=127.0.0.1"):
            self.assertIn(piece, said)

    async def test_an_address_that_is_taken_is_one_line_and_the_end(self) -> None:
        """Of the listener for clients or of the admin listener, with and without the demo; it says which, and what moves it."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            for mode in ("--demo", "--config=/dev/null"):
                for listen, admin, remedy in ((endpoint, "", "--listen"), ("tcp:0:interface=127.0.0.1", endpoint, "--admin")):
                    out, err, exit_status = await getProcessOutputAndValue(
                        sys.executable,
                        [_TWISTD, "-n", "--pidfile=", "nnogw", mode, "--listen", listen, "--admin", admin],
                        environment({"PYTHONPATH": str(PROJECT), "AUTH_API_KEY": "a-key-for-the-test"}),
                    )
                    (line,) = [line for line in err.decode().splitlines() if line.startswith("nnogw: ")]
                    self.assertEqual((exit_status, out), (1, b""))
                    for piece in (endpoint, "Address already in use", remedy):
                        self.assertIn(piece, line)
                    self.assertNotIn("Traceback", err.decode())

    async def test_with_a_log_file_the_line_is_there_and_on_the_terminal(self) -> None:
        """As twistd's own option has it."""
        logfile = Path(self.mktemp()).absolute()
        said, exit_status = await twistd("-n", "--pidfile=", "--logfile", str(logfile), "nnogw", "--listen", "unix:/nowhere/x.sock")
        self.assertEqual(exit_status, 1)
        self.assertEqual(said.count("the folder of the socket does not exist"), 1)
        self.assertIn("the folder of the socket does not exist", logfile.read_text())


class Streams(TestCase):
    """Standard output is the request log's alone, standard error the program's, and nobody has to read either."""

    async def test_the_programs_log_is_on_standard_error_and_says_what_was_started(self) -> None:
        """The version, the file, services, routes and listeners; `request_log` insists on JSON on standard output."""
        platform = Platform(self)
        await platform.start()
        await platform.ask("/api/v1/billing/x", AS_SERVICE)
        await platform.last_log_line("/api/v1/billing/x")
        said = platform.gateway.stderr
        for piece in (
            f"nnogw {__version__}, configured by {platform.gateway.config}",
            f"service billing: {platform.billing.url}",
            "route /api/v1/billing leads to billing",
            f"listening on {platform.gateway.url}",
            f"admin listener on {platform.gateway.admin_url}",
        ):
            self.assertIn(piece, said)

    async def test_a_reader_of_standard_error_that_stops_costs_lines_and_nothing_else(self) -> None:
        """Requests are answered, and logged; the lines come when it reads on."""
        platform = Platform(self)
        await platform.start()
        room = platform.gateway.stop_reading(2)
        for number in range(2 * room // len(_USR2_LINE)):
            platform.gateway.signal("USR2")
            self.assertEqual(status(await platform.ask(f"/api/v1/billing/{number}", AS_SERVICE)), 200)
        await platform.last_log_line(f"/api/v1/billing/{number}")
        self.assertLess(platform.gateway.stderr.count(_USR2_LINE), number)
        platform.gateway.read_on(2)
        await platform.gateway.until(lambda: platform.gateway.stderr.count(_USR2_LINE) > number, "the lines")

    async def test_a_reader_of_standard_output_that_stops_costs_lines_and_nothing_else(self) -> None:
        """Also the program's own log goes on."""
        platform = Platform(self)
        await platform.start()
        room = platform.gateway.stop_reading(1)
        for number in range(room // 100):
            self.assertEqual(status(await platform.ask(f"/api/v1/billing/{number}", AS_SERVICE)), 200)
        platform.gateway.signal("USR2")
        await platform.gateway.until(lambda: _USR2_LINE in platform.gateway.stderr, "a word in the program's log")
        self.assertFalse(any(line["path"] == f"/api/v1/billing/{number}" for line in platform.gateway.request_log))
        platform.gateway.read_on(1)
        await platform.last_log_line(f"/api/v1/billing/{number}")
        self.assertEqual(len([line for line in platform.gateway.request_log if line["route"]]), number + 1)


class Signalled(TestCase):
    """Signals that operators send by habit."""

    async def test_hup_and_usr2_are_a_line_in_the_log(self) -> None:
        """And WINCH, which terminals send, is nothing at all."""
        platform = Platform(self)
        await platform.start()
        for name, line in (("HUP", "HUP: reading the configuration anew"), ("USR2", _USR2_LINE)):
            platform.gateway.signal(name)
            await platform.gateway.until(lambda line=line: line in platform.gateway.stderr, f"a word about {name}")
        os.kill(platform.gateway.pid, signal.SIGWINCH)
        self.assertEqual(status(await platform.ask("/api/v1/billing/x", AS_SERVICE)), 200)

    async def test_during_the_start_they_kill_nobody(self) -> None:
        """From the first word on: HUP and USR2 end nothing, TERM ends in order, with an exit status of 0."""
        for names in (("HUP", "USR2", "TERM"), ("TERM",)):
            gateway = GatewayProcess(self, arguments=["--demo"])
            gateway.spawn()
            await gateway.until(lambda gateway=gateway: bool(gateway.stderr), "the first word")
            for name in names:
                gateway.signal(name)
            self.assertEqual(await gateway.ended(), 0, gateway.output)
            self.assertIn("TERM: draining", gateway.stderr)
            self.assertIn("drained: nothing was cut", gateway.stderr)


class UnixSockets(TestCase):
    """Listeners on unix sockets."""

    async def test_it_starts_again_after_it_was_killed(self) -> None:
        """Although a process of the id in the lock lives, as in a container always; and not while another gateway listens there."""
        folder = Path(f"/tmp/nnogw-killed-{os.getpid()}")
        folder.mkdir()
        self.addCleanup(rmtree, folder)
        sockets = [folder / "api", folder / "admin"]
        arguments = ["--listen", f"unix:{sockets[0]}", "--admin", f"unix:{sockets[1]}", "--demo"]
        first = GatewayProcess(self, arguments=arguments)
        first.spawn()
        await first.until(lambda: "admin listener on unix:" in first.stderr, "the start")
        said, exit_status = await twistd("-n", "--pidfile=", "nnogw", *arguments)
        self.assertEqual(exit_status, 1)
        self.assertIn("another process listens there", said)
        await first.kill()
        for path in sockets:
            self.assertTrue(path.exists())
            lock = Path(f"{path}.lock")
            lock.unlink()
            lock.symlink_to(str(os.getpid()))
        second = GatewayProcess(self, arguments=arguments)
        second.spawn()
        await second.until(lambda: "admin listener on unix:" in second.stderr, "the second start")
        await second.stop()
        self.assertEqual(list(folder.iterdir()), [])


class Descriptors(TestCase):
    """All of them in use."""

    async def test_the_log_stays_small_and_it_serves_on_when_there_are_some_again(self) -> None:
        """Kept connections are served meanwhile; who comes waits, and loses nothing."""
        platform = Platform(self)
        await platform.start()
        kept = await platform.client()
        kept.send(get("/health").replace(b"close", b"keep-alive"))
        await kept.until_received(b"ok")
        used = len(os.listdir(f"/proc/{platform.gateway.pid}/fd"))
        resource.prlimit(platform.gateway.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        before = len(platform.gateway.stderr)
        crowd = [await platform.client() for _ in range(60)]
        await platform.gateway.until(
            lambda: "cannot accept connections: Too many open files" in platform.gateway.stderr, "a word in the log"
        )
        for _ in range(100):
            kept.received = b""
            kept.send(get("/health").replace(b"close", b"keep-alive"))
            await kept.until_received(b"ok")
        last = crowd.pop()
        last.send(get("/api/v1/billing/x", AS_SERVICE))
        for client in crowd:
            client.hang_up()
        self.assertEqual(status(await last.until_closed()), 200)
        self.assertLess(len(platform.gateway.stderr) - before, 1000)


class Draining(TestCase):
    """TERM lets what is under way end."""

    async def test_a_request_under_way_is_finished_and_the_exit_status_is_0(self) -> None:
        """New connections are refused meanwhile; the answer says that the connection closes."""
        platform = Platform(self, billing=silence)
        await platform.start()
        client = await platform.client()
        client.send(f"GET /api/v1/billing/slow HTTP/1.1\r\nHost: gateway\r\n{AS_SERVICE}\r\n\r\n".encode())
        await until(lambda: bool(platform.billing.received), "the request")
        platform.gateway.signal("TERM")
        await until(lambda: _refuses(platform.gateway.port), "the end of listening")
        platform.billing.visits[0].send(ok(b"late"))
        answer = await client.until_closed()
        self.assertEqual(status(answer), 200)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertTrue(answer.endswith(b"late"))
        self.assertEqual(await platform.gateway.ended(), 0)

    async def test_what_outlasts_the_drain_is_cut_and_told(self) -> None:
        """So that the process ends."""
        platform = Platform(self, config="[server]\ndrain_timeout = 0.5", billing=silence)
        await platform.start()
        client = await platform.client()
        client.send(get("/api/v1/billing/slow", AS_SERVICE))
        await until(lambda: bool(platform.billing.received), "the request")
        platform.gateway.signal("TERM")
        self.assertEqual(await client.until_closed(), b"")
        self.assertEqual(await platform.gateway.ended(), 0)
        self.assertIn("cut 1 connection", platform.gateway.output)
        (line,) = [line for line in platform.gateway.request_log if line["path"] == "/api/v1/billing/slow"]
        self.assertEqual((line["status"], line["end"]), (499, "timeout:drain"))

    async def test_health_says_draining_for_the_lame_duck_time(self) -> None:
        """While everything is still served; a second TERM cuts at once what is under way."""
        platform = Platform(self, config="[server]\nlame_duck = 600\ndrain_timeout = 600", registry=silence)
        await platform.start()
        platform.gateway.signal("TERM")
        answers: list[bytes] = []
        for _ in range(200):
            answers.append(await platform.ask("/health"))
            if status(answers[-1]) == 503:
                break
        self.assertTrue(answers[-1].endswith(b"draining"), answers[-1])
        self.assertEqual(status(await platform.ask("/api/v1/billing/x", AS_SERVICE)), 200)
        under_way = await platform.client()
        under_way.send(get("/api/v1/platforms/x", AS_SERVICE))
        await until(lambda: b"GET /x " in platform.registry.received, "the request")
        platform.gateway.signal("TERM")
        self.assertEqual(await platform.gateway.ended(), 0)
        self.assertIn("TERM once more: cutting", platform.gateway.stderr)
        self.assertIn("cut 1 connections at once", platform.gateway.stderr)

    async def test_clients_that_keep_connections_lose_no_request(self) -> None:
        """Thirty-two of them, each with one request after the other: at the end there is only nobody to connect to."""
        platform = Platform(self, config="[server]\nlame_duck = 3\n[rate_limit]\nlimit = 0")
        await platform.start()
        clients = [Restless(platform.gateway.port) for _ in range(32)]
        try:
            await until(lambda: all(client.answered > 3 for client in clients), "the traffic")
            platform.gateway.signal("TERM")
            self.assertEqual(await platform.gateway.ended(), 0)
            await until(lambda: all(client.over for client in clients), "the end of the traffic")
        finally:
            for client in clients:
                client.stop()
        self.assertEqual([client.lost for client in clients if client.lost], [])
        self.assertTrue(all(client.closes > 0 for client in clients))
        self.assertIn("drained: nothing was cut", platform.gateway.stderr)


class Restless(Protocol):
    """A client that sends its next request as soon as it has a response, and connects anew when it is told to.

    Args:
        port: the gateway's.

    Attributes:
        answered: how many responses it has got.
        closes: how many of them said that the connection closes.
        lost: what became of a request that was not answered.
        over: nobody listens any more.
    """

    def __init__(self, port: int) -> None:
        self.answered = self.closes = 0
        self.lost = ""
        self.over = False
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._connect()

    def stop(self) -> None:
        """Send no more."""
        self.over = True
        if self.transport is not None:
            self.transport.abortConnection()

    def connectionMade(self) -> None:
        """Send the first request."""
        self._send()

    def dataReceived(self, data: bytes) -> None:
        """Send the next one if this was a response, unless the connection closes."""
        self._received += data
        if not self._received.endswith(b"\r\n\r\nok"):
            return
        self.answered += 1
        self._waiting = False
        if b"\r\nConnection: close\r\n" in self._received:
            self.closes += 1
        else:
            self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Connect anew."""
        if self.over:
            return
        if self._waiting:
            self.lost = f"after {self.answered}: {reason.getErrorMessage()} {self._received!r}"
            self.over = True
        else:
            self._connect()

    def _send(self) -> None:
        self._received = b""
        self._waiting = True
        self.transport.write(f"GET /api/v1/billing/x HTTP/1.1\r\nHost: gateway\r\n{AS_SERVICE}\r\n\r\n".encode())

    def _connect(self) -> None:
        connectProtocol(self._endpoint, self).addErrback(self._refused)

    def _refused(self, failure: Failure) -> None:
        failure.trap(ConnectError)
        self.over = True


class Degraded(TestCase):
    """What goes wrong is seen from outside."""

    async def test_a_request_log_that_cannot_be_written_does_not_stop_traffic(self) -> None:
        """The ledger says so."""
        platform = Platform(self, config='[server]\naccess_log = "/dev/full"')
        await platform.start()
        self.assertEqual(status(await platform.ask("/api/v1/billing/x", AS_SERVICE)), 200)
        await platform.gateway.until(lambda: "log-unwritable" in platform.gateway.output, "a word in the program's log")
        admin = await connect(self, platform.gateway.admin_port)
        admin.send(b"GET /-/degraded HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await admin.until_closed()
        self.assertIn(b"log-unwritable", answer.partition(b"\r\n\r\n")[2])


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
