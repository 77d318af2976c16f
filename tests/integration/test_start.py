"""The start of the process: what whoever started it is told, on the terminal and by the exit status."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import PROJECT, environment, free_port
from tests.integration.sockets import connect, get, until

_TWISTD = str(Path(sys.executable).with_name("twistd"))
_KEY = "a-service-key-of-32-characters--"


class Started(TestCase):
    """Base: a folder in which ``twistd`` is started, and in which it leaves what it leaves."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.pidfile = self.folder / "twistd.pid"
        self.log = self.folder / "twistd.log"
        self.addCleanup(self.end)

    async def twistd(self, *arguments: str, **variables: str) -> tuple[list[str], list[str], int]:
        """Run ``twistd`` to its end; returns the lines of its standard output and its standard error, and its exit status."""
        out, err, exit_status = await getProcessOutputAndValue(
            sys.executable,
            [_TWISTD, *arguments],
            environment({"PYTHONPATH": str(PROJECT), "AUTH_API_KEY": _KEY, **variables}),
            str(self.folder),
        )
        return out.decode().splitlines(), err.decode().splitlines(), exit_status

    def running(self) -> list[int]:
        """Return the processes whose working directory is the folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    here = os.readlink(entry / "cwd") == str(self.folder)
                except OSError:  # it has just ended
                    continue
                if here:
                    found.append(int(entry.name))
        return found

    async def end(self) -> None:
        """End the daemon that a failed test leaves."""
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not self.running(), "the end of the daemon")

    def taken(self, port: int) -> str:
        """Return an endpoint of `port`, on which this process listens until the test is over."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        return f"tcp:{port}:interface=127.0.0.1"


class DaemonStart(Started):
    """In the background, where nobody sees what goes wrong."""

    async def failed(self, *arguments: str) -> str:
        """Return the one line, beside warnings, with which a daemon does not start; nothing of it is left."""
        out, err, exit_status = await self.twistd(*arguments)
        (line,) = [line for line in err if not line.startswith("nnogw: warning: ")]
        self.assertEqual((out, exit_status), ([], 1), err)
        await until(lambda: not self.running(), "the end of the daemon")
        self.assertFalse(self.pidfile.exists())
        return line

    async def test_a_port_that_is_taken_is_one_whole_line(self) -> None:
        """The log has it too; no process and no pid file stay behind."""
        endpoint = self.taken(free_port())
        line = await self.failed("nnogw", "--listen", endpoint, "--admin", "")
        for words in (f"nnogw: cannot listen on {endpoint}", "Address already in use", "--listen"):
            self.assertIn(words, line)
        self.assertIn(line, self.log.read_text())

    async def test_so_is_any_other_reason(self) -> None:
        """A folder that is missing, and what Twisted itself cannot do."""
        listen = ["--listen", f"tcp:{free_port()}:interface=127.0.0.1"]
        line = await self.failed("nnogw", *listen, "--admin", "unix:/nowhere/admin.sock")
        self.assertIn("the folder of the socket does not exist; make it (mkdir -p /nowhere)", line)
        self.assertIn("--admin", line)
        line = await self.failed("--rundir", "/nowhere", "nnogw", *listen, "--admin", "")
        self.assertTrue(line.startswith("nnogw: cannot start: /nowhere: No such file or directory"), line)

    async def test_a_daemon_that_ends_without_a_word_is_one_line_too(self) -> None:
        """Killed, for example. Nobody waits for ever, as twistd itself would: it holds both ends of its own pipe."""
        script = (
            "import os, signal; from twisted.internet import reactor; from twisted.scripts._twistd_unix import UnixApplicationRunner as R;"
            "from nnogw.lifecycle.detaching import Detachment; Detachment(reactor, 'twistd.log');"
            "R.__new__(R).daemonize(reactor); os.kill(os.getpid(), signal.SIGKILL)"
        )
        out, err, exit_status = await getProcessOutputAndValue(
            sys.executable, ["-c", script], environment({"PYTHONPATH": str(PROJECT)}), str(self.folder)
        )
        self.assertEqual(
            (out, err.decode(), exit_status), (b"", "nnogw: the daemon ended while it started; its log (twistd.log) says why\n", 1)
        )
        await until(lambda: not self.running(), "the end of all")

    async def test_it_serves_when_the_command_has_ended(self) -> None:
        """With 0: a script may go on with the next step."""
        port = free_port()
        access = self.folder / "access.log"
        config = self.folder / "nnogw.toml"
        config.write_text(f'[server]\naccess_log = "{access}"\n')
        arguments = ["nnogw", "--config", str(config), "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", ""]
        out, err, exit_status = await self.twistd(*arguments)
        self.assertEqual((out, exit_status), ([], 0), err)
        self.assertFalse([line for line in err if "goes nowhere" in line], err)
        client = await connect(self, port)
        client.send(get("/health"))
        self.assertIn(b" 200 ", await client.until_closed())
        self.assertEqual(self.running(), [int(self.pidfile.read_text())])
        os.kill(int(self.pidfile.read_text()), signal.SIGTERM)
        await until(lambda: not self.running(), "the end of the daemon")

    async def test_warnings_are_on_the_terminal_too(self) -> None:
        """A request log that goes nowhere above all."""
        _, err, exit_status = await self.twistd(
            "nnogw", "--listen", f"tcp:{free_port()}:interface=127.0.0.1", "--admin", "", NNO_BILING="unix:/run/billing.sock"
        )
        self.assertEqual(exit_status, 0, err)
        self.assertTrue(all(line.startswith("nnogw: warning: ") for line in err), err)
        for words in ("the request log goes nowhere", "NNO_BILING is set, but nobody reads it; did you mean NNO_BILLING?"):
            self.assertEqual(len([line for line in err if words in line]), 1, err)
            await until(lambda words=words: words in self.log.read_text(), "the same in the log")


class CommandLine(Started):
    """What is typed wrong."""

    async def test_a_mistake_is_one_line(self) -> None:
        """And the exit status 1, as of everything that keeps it from starting."""
        for arguments, said in (
            (["-n", "nnogw", "--lisen", "x"], "unknown option --lisen, did you mean --listen?"),
            (["nnogw", "-n"], "-n is an option of twistd and goes before nnogw: twistd -n nnogw"),
            (["nnogw", "--pidfile="], "--pidfile is an option of twistd and goes before nnogw: twistd --pidfile=VALUE nnogw"),
            (["nnogw", "nnogw.toml"], "unexpected argument nnogw.toml; a configuration file is given as --config nnogw.toml"),
        ):
            self.assertEqual(await self.twistd(*arguments), ([], [f"nnogw: {said}"], 1))
        self.assertEqual([*self.folder.iterdir()], [])
