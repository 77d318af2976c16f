"""The process itself: ``twistd nnogw`` as operators run it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import PROJECT, environment, free_port
from tests.integration.platform import AS_SERVICE, Platform, status
from tests.integration.sockets import connect, get, ok, silence, until

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

    async def test_a_port_that_is_taken_is_one_line(self) -> None:
        """With the endpoint."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            said = await self.refused(f'[server]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\nadmin = ""\n', AUTH_API_KEY="k")
        self.assertIn(f"tcp:{port}:interface=127.0.0.1", said)
        self.assertIn("in use", said)


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
        """While everything is still served; a second TERM ends it at once."""
        platform = Platform(self, config="[server]\nlame_duck = 600")
        await platform.start()
        platform.gateway.signal("TERM")
        answers: list[bytes] = []
        for _ in range(200):
            answers.append(await platform.ask("/health"))
            if status(answers[-1]) == 503:
                break
        self.assertTrue(answers[-1].endswith(b"draining"), answers[-1])
        self.assertEqual(status(await platform.ask("/api/v1/billing/x", AS_SERVICE)), 200)
        platform.gateway.signal("TERM")
        self.assertEqual(await platform.gateway.ended(), 0)


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
