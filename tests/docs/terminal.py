"""A terminal, as a reader has it: bash, with the commands of a page typed into it one after the other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration.gateway_process import PROJECT, environment
from tests.integration.sockets import PATIENCE

_DONE = "@@ that was it @@"


class Terminal:
    """A shell whose variables and background jobs last until the test is over.

    Args:
        test: the test that it is for.
        folder: the current directory.
    """

    def __init__(self, test: TestCase | SynchronousTestCase, folder: Path) -> None:
        self._test = test
        self._screen = Path(test.mktemp()).absolute()
        scripts = Path(sys.executable).parent  # of the environment that runs the tests, as if it had been activated
        variables = environment({"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)})
        with self._screen.open("wb") as screen:
            self._shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=folder,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        test.addCleanup(self.close)

    @property
    def screen(self) -> str:
        """Everything that was shown so far."""
        return self._screen.read_text(encoding="utf-8", errors="replace")

    def type(self, line: str) -> None:
        """Type a command, and do not wait for its end."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(line.encode() + b"\n")
        self._shell.stdin.flush()

    def run(self, command: str) -> str:
        """Type a command, and return what it shows when it has ended."""
        before = len(self.screen)
        self.type(f"{command}\necho '{_DONE}'")
        wait_until(lambda: _DONE in self.screen[before:], f"the end of {command}", lambda: self.screen)
        return self.screen[before:].partition(_DONE)[0]

    def close(self) -> None:
        """End everything that was started here."""
        assert self._shell.stdin is not None
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.stdin.close()  # bash ends here once what runs in the foreground has ended
        try:
            self._shell.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
            self._test.fail(f"What was started in a terminal did not end.\n{self.screen}")


def wait_for_listeners(ports: Iterable[int], terminal: Terminal) -> None:
    """Return when somebody listens on each of the loopback `ports`."""
    for port in ports:
        wait_until(lambda port=port: _is_open(port), f"a listener on port {port}", lambda: terminal.screen)  # type: ignore[misc]


def wait_until(condition: Callable[[], bool], what: str, context: Callable[[], str]) -> None:
    """Return when `condition` holds.

    Raises:
        AssertionError: it does not come; `what` was waited for, and `context` says how far it has come.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: it did not come.\n{context()}")
        time.sleep(0.02)


def _is_open(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
        return True
    return False
