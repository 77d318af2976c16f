"""Processes under measurement: each started on one core, and read from ``/proc``."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_CORES = sorted(os.sched_getaffinity(0))
CONTENDER_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]  # wrk and the backend

TOKEN = "bench-session-0123456789abcdef"  # noqa: S105  the backend's IAM accepts any
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_START_TIMEOUT = 20.0  # seconds


@contextlib.contextmanager
def running(
    command: Sequence[str], core: int, output: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` on `core` for as long as the context lasts; what it prints goes to the file `output`."""
    pinned = ["taskset", "-c", str(core), *command]
    variables = {**os.environ, **(environment or {})}
    with output.open("ab") as out:
        process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=variables)  # noqa: S603  ours
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(command: Sequence[str], core: int | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run `command` to its end, on `core` if that is given, and return what it prints."""
    pinned = [*([] if core is None else ["taskset", "-c", str(core)]), *command]
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(pinned, check=True, stdout=subprocess.PIPE, text=True, env=variables).stdout  # noqa: S603  ours


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str, timeout: float = 5) -> http.client.HTTPResponse:
    """Return the answer to one GET, its body not read yet.

    Raises:
        OSError, http.client.HTTPException: there is none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", "Connection": "close"})
    return connection.getresponse()


def first_answer(process: subprocess.Popen[bytes], port: int, path: str, *, pause: float = 0.05) -> bytes:
    """Wait until `process` answers on `port`, and return the body of that answer.

    Raises:
        RuntimeError: it ended, or does not answer with 200 in time.
    """
    until = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            with get(port, path) as answer:
                if answer.status == 200:
                    return answer.read()
                problem = f"status {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"did not come up ({problem}): {process.args!r}")
        time.sleep(pause)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process and its children have used."""
    ticks = 0
    for member in _family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and its children, in MiB."""
    kib = 0
    for member in _family(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
            kib += int(found[1]) if found else 0
    return kib / 1024


def _family(pid: int) -> list[int]:
    """Return `pid` and all its descendants."""
    members: list[int] = []
    waiting = [pid]
    while waiting:
        member = waiting.pop()
        members.append(member)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{member}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return members
