"""The gateway as its users start it: ``twistd nnogw`` in a process of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, ResponseFailed, readBody

from tests.integration.sockets import PATIENCE

PROJECT = Path(__file__).resolve().parents[2]
_TWISTD = Path(sys.executable).with_name("twistd")
_OURS = ("AUTH_API_KEY", "CORS_ORIGINS", "CREDENTIALS_DIRECTORY", "NNO_", "RATE_LIMITER")  # what the gateway reads of its environment
_ALARMS = ("Traceback", "Unhandled error in Deferred")


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, without proxies and without what the gateway reads, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and not name.lower().endswith("_proxy")}
    return {**kept, **(extra or {})}


class GatewayProcess:
    """A running gateway, on a loopback port of its own.

    Whatever a test does with it, it has to end in peace: `stop`, which is a cleanup of the test, asks for an exit status of 0 and
    for an output without a traceback.

    Args:
        test: the test that it runs for.
        arguments: options after ``twistd nnogw``; without ``--listen`` and ``--admin`` it listens on free loopback ports.
        config: the text of a configuration file; empty for none. It may have ``{port}`` and ``{admin_port}``.
        twistd: options before ``nnogw``.
        listens_by_file: the file says where it listens; there are no options for it.
        environment: variables beside those of this process.

    Attributes:
        port: the loopback port on which it listens.
        url: the same as ``http://127.0.0.1:<port>``.
        admin_port, admin_url: the same of its admin listener.
        config: its configuration file, if it has one.
        pid: its process id, once it is started.
    """

    def __init__(
        self,
        test: TestCase,
        *,
        arguments: Sequence[str] = (),
        config: str = "",
        twistd: Sequence[str] = (),
        listens_by_file: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._test = test
        self._arguments = [*arguments]
        self._twistd = twistd
        self._listens_by_file = listens_by_file
        self._environment = environment
        self.port, self.admin_port = free_port(), free_port()
        self.config: Path | None = None
        if config:
            self.config = Path(test.mktemp()).absolute()
            self.write(config)
            self._arguments += ["--config", str(self.config)]
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.pid = 0
        self._killed = False
        self._child = _Child()
        self._process: Any = None

    @property
    def stdout(self) -> str:
        """What it has written to its standard output so far."""
        return self._child.stdout.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it has written to its standard error so far."""
        return self._child.stderr.decode("utf-8", "replace")

    @property
    def output(self) -> str:
        """Both of these."""
        return self.stdout + self.stderr

    @property
    def request_log(self) -> list[dict[str, Any]]:
        """The request log on its standard output so far, where nothing else may stand."""
        return [orjson.loads(line) for line in self._child.stdout.split(b"\n")[:-1]]

    def write(self, config: str) -> None:
        """Replace the text of its configuration file."""
        assert self.config is not None
        text = config.replace("{port}", str(self.port)).replace("{admin_port}", str(self.admin_port))
        self.config.write_text(text, encoding="utf-8")

    async def reload(self, config: str, said: str = "") -> str:
        """Replace its configuration file, send HUP, and return the line that says what came of it.

        Args:
            config: the text of the file.
            said: what the line has to say; by default that another generation serves.
        """
        before = len(self.stderr)
        self.write(config)
        self.signal("HUP")
        said = said or "of the configuration serves"
        await self.until(lambda: said in self.stderr[before:], f"the line of a reload ({said})")
        return next(line for line in self.stderr[before:].splitlines() if said in line)

    async def start(self) -> None:
        """Start it, and return when ``/health`` answers 200. It is stopped when the test is over."""
        self.spawn()
        agent = Agent(reactor, connectTimeout=PATIENCE)
        deadline = reactor.seconds() + PATIENCE
        while not await self._is_healthy(agent):
            if self._child.exit_code is not None or reactor.seconds() > deadline:
                self._test.fail(f"The gateway did not start (exit status {self._child.exit_code}).\n{self.output}")
            await deferLater(reactor, 0.05)

    def spawn(self) -> None:
        """Start it, and do not wait. It is stopped when the test is over."""
        command = [str(_TWISTD), "-n", "--pidfile=", *self._twistd, "nnogw", *self._arguments]
        if "--listen" not in self._arguments and not self._listens_by_file:
            command += ["--listen", f"tcp:{self.port}:interface=127.0.0.1"]
        if "--admin" not in self._arguments and not self._listens_by_file:
            command += ["--admin", f"tcp:{self.admin_port}:interface=127.0.0.1"]
        variables = environment({"PYTHONPATH": str(PROJECT), **(self._environment or {})})
        self._process = reactor.spawnProcess(self._child, sys.executable, [sys.executable, *command], variables, str(PROJECT))
        self.pid = self._process.pid
        self._test.addCleanup(self.stop)

    def stop_reading(self, stream: int) -> int:
        """Read its standard output (1) or standard error (2) no further, until `read_on`; returns how many bytes the pipe still takes."""
        pipe = self._process.pipes[stream]
        pipe.pauseProducing()
        return fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, os.sysconf("SC_PAGE_SIZE"))

    def read_on(self, stream: int) -> None:
        """Read it again."""
        self._process.pipes[stream].resumeProducing()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when `condition` holds, for example of the output; fail the test with `what` if that does not come."""
        deadline = reactor.seconds() + PATIENCE
        while not condition():
            if reactor.seconds() > deadline:
                self._test.fail(f"{what}: it did not come.\n{self.output}")
            await deferLater(reactor, 0.02)

    def signal(self, name: str) -> None:
        """Send it a signal, such as ``"HUP"``; nothing happens if it has just ended."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(int(getattr(signal, f"SIG{name}")))

    async def stop(self) -> None:
        """Stop it with TERM, and look back: it must have ended with 0, and without a traceback."""
        if self._child.exit_code is None:
            self.signal("TERM")
        await self.ended()
        self._test.assertEqual(self._child.exit_code, -signal.SIGKILL if self._killed else 0, self.output)
        for alarm in _ALARMS:
            self._test.assertNotIn(alarm, self.output)

    async def kill(self) -> None:
        """Kill it, for which it may not be blamed when the test is over."""
        self._killed = True
        self.signal("KILL")
        await self.ended()

    async def ended(self) -> int:
        """Return its exit status when it has ended; one that does not end is killed, and fails the test."""
        waiting = self._child.ended().addTimeout(PATIENCE, reactor)
        try:
            return await waiting
        except defer.TimeoutError:
            self.signal("KILL")
            await self._child.ended()
            self._test.fail(f"The gateway did not end.\n{self.output}")

    async def _is_healthy(self, agent: Agent) -> bool:
        try:
            response = await agent.request(b"GET", f"{self.url}/health".encode())
            await readBody(response)
        except (ConnectError, ResponseFailed):
            return False
        return bool(response.code == 200)


class _Child(ProcessProtocol):
    """Keeps what the process writes, and how it ended."""

    def __init__(self) -> None:
        self.stdout = b""
        self.stderr = b""
        self.exit_code: int | None = None
        self._waiting: list[Deferred[int]] = []

    def ended(self) -> Deferred[int]:
        waiting: Deferred[int] = Deferred()
        if self.exit_code is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self.exit_code)
        return waiting

    def outReceived(self, data: bytes) -> None:
        self.stdout += data

    def errReceived(self, data: bytes) -> None:
        self.stderr += data

    def processEnded(self, reason: Failure) -> None:
        status = reason.value
        self.exit_code = status.exitCode if status.exitCode is not None else -status.signal
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(self.exit_code)
