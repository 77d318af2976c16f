"""The load: wrk on a core of its own, what it says, and the scripts that it runs."""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
from collections.abc import Iterator, Sequence

from attrs import frozen
from processes import LOAD_CORE, TOKEN, output_of

PREFIX = "/api/v1/platforms"

_UPLOAD = """
wrk.method = "POST"
wrk.body = string.rep("x", 1048576)
wrk.headers["Content-Type"] = "application/octet-stream"
"""
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_ROTATING_TOKENS = """
local sent = %d
request = function()
  sent = sent + 1
  return wrk.format("GET", nil, {["Authorization"] = "Bearer session-" .. string.format("%%022d", sent %% %d)})
end
"""
_ROTATING_PATHS = """
local sent = %d
request = function()
  sent = sent + 1
  return wrk.format("GET", wrk.path .. string.format("%%08d", sent %% %d))
end
"""
# The pauses of independent callers, in whole milliseconds: exponential, and rounded at random, so that the mean is kept.
_PACED = """
delay = function()
  return math.floor(-math.log(1 - math.random()) * %f + math.random())
end
"""


@frozen
class Work:
    """A kind of request that contenders are measured with."""

    name: str
    description: str
    path: str
    connections: int
    script: str = ""  # wrk's, in Lua


WORK = {
    work.name: work
    for work in (
        Work("small", "a JSON answer of 300 bytes", f"{PREFIX}/abc", 32),
        Work("mid", "an answer of 64 KiB", f"{PREFIX}/f/mid.bin", 16),
        Work("big", "an answer of 10 MiB", f"{PREFIX}/f/big.bin", 4),
        Work("upload", "a POST of 1 MiB", f"{PREFIX}/upload", 8, _UPLOAD),
    )
}


@frozen
class Load:
    """What one run of wrk came to."""

    requests: int
    rate: float  # requests a second
    p50: float  # milliseconds
    p99: float  # milliseconds
    failures: str  # answers that were not 2xx or 3xx, and errors of connections; empty if there were none


def wrk(
    port: int, path: str, *, connections: int, seconds: float, script: str = "", headers: Sequence[str] = (), token: str = TOKEN
) -> Load:  # fmt: skip
    """Send as many requests as are answered within `seconds`.

    Args:
        port: where, on 127.0.0.1.
        path: the target of every request, unless `script` makes others.
        connections: how many are kept busy.
        seconds: for how long; wrk counts whole ones.
        script: in Lua, as wrk has it.
        headers: more header fields, ``"Name: value"``.
        token: the session's; with an empty one, it is left to `script`.

    Raises:
        RuntimeError: no request was answered.
    """
    fields = [*headers, *([f"Authorization: Bearer {token}"] if token else [])]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s", "--latency"]
    command += [part for line in fields for part in ("-H", line)]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        if script:
            lua.write(script)
            lua.flush()
            command += ["-s", lua.name]
        done = _parsed(output_of([*command, f"http://127.0.0.1:{port}{path}"], LOAD_CORE))
    if not done.requests:
        raise RuntimeError(f"nothing was answered: {done.failures}")
    return done


def rotating_tokens(number: int, first: int) -> str:
    """Return the script of requests with `number` session tokens in turn, from the one behind `first`."""
    return _ROTATING_TOKENS % (first, number)


def rotating_paths(number: int, first: int) -> str:
    """Return the script of requests for `number` paths in turn, from the one behind `first`."""
    return _ROTATING_PATHS % (first, number)


def paced(rate: float, connections: int) -> str:
    """Return the script of requests that come at `rate` a second over all connections, as long as their answers take little of a pause."""
    return _PACED % (connections / rate * 1000)


@contextlib.contextmanager
def idle_connections(port: int, path: str, number: int) -> Iterator[None]:
    """Keep `number` connections open, each of which has had an answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(request)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a connection that was to be idle was not answered with 200")
        yield


def _parsed(text: str) -> Load:
    failures = re.findall(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)
    return Load(
        requests=int(_found(r"(\d+) requests in", text)),
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        p50=_milliseconds(_found(r"\n +50% +(\S+)", text)),
        p99=_milliseconds(_found(r"\n +99% +(\S+)", text)),
        failures=", ".join(failures),
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"wrk said nothing of {pattern!r}: {text}")
    return found[1]


def _milliseconds(text: str) -> float:
    number = text.rstrip("smu")
    return float(number) * _MILLISECONDS[text.removeprefix(number)]
