"""Measure what the gateway's cost depends on: connections, tokens, rate limit keys, routes, header fields; memory, start and latency.

The cost is the CPU time of a small request, as in side_by_side.py. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import filling
import machine
from attrs import frozen
from contenders import Backend, Running, backend, contender, starting
from load import PREFIX, Load, idle_connections, paced, rotating_paths, rotating_tokens, wrk
from processes import LOAD_CORE, TOKEN, cpu_seconds, first_answer, resident_mib
from tables import print_table

_PATH = f"{PREFIX}/abc"
_BUSY = 32  # connections
_SPARE_FILES = 1000  # descriptors of a process beside those of idle connections
_STARTS = 5
_MOST_WARM_UP = 10_000  # requests
_MANY = (1, 100, 10_000, 1_000_000)  # tokens, keys


@frozen
class Bench:
    """What every measurement needs.

    Attributes:
        folder: for whatever a contender writes.
        behind: the backend.
        seconds: of every run of wrk.
        repeat: runs for each figure.
    """

    folder: Path
    behind: Backend
    seconds: float
    repeat: int

    def gateway(self, name: str, extra: str = "") -> AbstractContextManager[Running]:
        """Run a gateway in a folder `name`; `extra` is what its configuration file has besides."""
        return contender("gateway", self.folder / name, self.behind, extra=extra)


class Loading(Protocol):
    """Puts load on a contender."""

    def __call__(self, *, seconds: float) -> Load:
        """Do it for so many seconds."""


def small(port: int, *, script: str = "", headers: Sequence[str] = (), token: str = TOKEN) -> Loading:
    """Return the load of small requests; what may be given besides is as `wrk` has it."""
    return partial(wrk, port, _PATH, connections=_BUSY, script=script, headers=headers, token=token)


class Rotating:
    """The load of small requests that differ: a run goes on where the one before it has stopped.

    Args:
        port: where.
        script: returns wrk's, for the number of different requests and of those that were sent.
        number: of different requests.
        token: as `wrk` has it.
    """

    def __init__(self, port: int, script: Callable[[int, int], str], number: int, token: str = TOKEN) -> None:
        self._port = port
        self._script = script
        self._number = number
        self._token = token
        self._sent = 0

    def __call__(self, *, seconds: float) -> Load:
        """Send requests for so many seconds."""
        script = self._script(self._number, self._sent)
        done = wrk(self._port, _PATH, connections=_BUSY, seconds=seconds, script=script, token=self._token)
        self._sent += done.requests + _BUSY
        return done


def cost(pid: int, bench: Bench, load: Loading, *, warm_up: int = 0) -> float:
    """Return the CPU time that a request of `load` costs the process `pid`, in µs: the least of several runs.

    Args:
        pid: the process.
        bench: says how many runs, and how long.
        load: the requests.
        warm_up: how many are sent before it counts; at least those of a second.
    """
    sent = load(seconds=1).requests
    while sent < min(warm_up, _MOST_WARM_UP):
        sent += load(seconds=1).requests
    costs = []
    for _ in range(bench.repeat):
        before = cpu_seconds(pid)
        done = load(seconds=bench.seconds)
        costs.append((cpu_seconds(pid) - before) / done.requests * 1e6)
        if done.failures:
            print(f"beware, a figure of the table to come is not to be trusted: {done.failures}", file=sys.stderr)
    return min(costs)


def connections(bench: Bench) -> None:
    """Connections that are idle, beside the 32 busy ones."""
    rows = []
    with bench.gateway("connections") as running:
        load = small(running.port)
        empty = 0.0
        for number in (0, 10, 100, 1000, 10_000):
            with idle_connections(running.port, _PATH, number):
                micros = cost(running.pid, bench, load)
                memory = resident_mib(running.pid)
            empty = empty or memory
            each = f"{(memory - empty) / number * 1024:.1f}" if number >= 1000 else ""
            rows.append((f"{number}", f"{micros:.1f}", f"{memory:.0f}", each))
    print_table(("idle keep-alive connections", "CPU µs/request", "RSS MiB", "KiB each"), rows)


def tokens(bench: Bench) -> None:
    """Tokens in rotation: with a million of them, every request has one that the gateway has not seen."""
    rows = []
    for number in _MANY:
        with bench.gateway(f"tokens-{number}") as running:
            micros = cost(running.pid, bench, Rotating(running.port, rotating_tokens, number, token=""), warm_up=number)
            rows.append((f"{number}", f"{micros:.1f}", f"{resident_mib(running.pid):.0f}"))
    print_table(("distinct tokens", "CPU µs/request", "RSS MiB"), rows)
    print()
    filling.report("tokens in the verdict cache", filling.verdicts, _MANY)


def keys(bench: Bench) -> None:
    """Paths in rotation, each of which is a key of the rate limiter."""
    rows = []
    for number in _MANY:
        with bench.gateway(f"keys-{number}") as running:
            micros = cost(running.pid, bench, Rotating(running.port, rotating_paths, number), warm_up=number)
            rows.append((f"{number}", f"{micros:.1f}", f"{resident_mib(running.pid):.0f}"))
    print_table(("distinct rate limit keys", "CPU µs/request", "RSS MiB"), rows)
    print()
    filling.report("keys in the rate limiter", filling.windows, _MANY)


def routes(bench: Bench) -> None:
    """Routes in the configuration."""
    rows = []
    for number in (7, 100, 1000):
        prefixes = [PREFIX, *(f"/api/v1/service-{place}" for place in range(1, number))]
        extra = "".join(f'\n[[routes]]\nprefix = "{prefix}"\nservice = "registry"\n' for prefix in prefixes)
        with bench.gateway(f"routes-{number}", extra) as running:
            load = small(running.port)
            rows.append((f"{number}", f"{cost(running.pid, bench, load):.1f}"))
    print_table(("routes", "CPU µs/request"), rows)


def headers(bench: Bench) -> None:
    """Header fields of a request; Host and Authorization count."""
    rows = []
    with bench.gateway("headers") as running:
        for number in (5, 20, 40, 80):
            load = small(running.port, headers=[f"X-Field-{place}: the value of field {place}" for place in range(number - 2)])
            rows.append((f"{number}", f"{cost(running.pid, bench, load):.1f}"))
    print_table(("header fields", "CPU µs/request"), rows)


def start(bench: Bench) -> None:
    """From the start of the process to its first answer from the backend: the median of five."""
    rows = []
    for name in ("gateway", "nginx"):
        times = []
        for number in range(_STARTS):
            with starting(name, bench.folder / f"start-{name}-{number}", bench.behind) as (process, port):
                began = time.monotonic()
                first_answer(process, port, _PATH, pause=0.002)
                times.append(time.monotonic() - began)
        rows.append((name, f"{statistics.median(times) * 1000:.0f}"))
    print_table(("contender", "ms to the first answer"), rows)


def latency(bench: Bench) -> None:
    """Latency at a fixed rate, half of what the gateway can: through it, through nginx, and without either; three times as long."""
    with bench.gateway("capacity") as running:
        small(running.port)(seconds=1)
        rate = small(running.port)(seconds=bench.seconds).rate / 2
    direct = _at(rate, bench.behind.services, bench)
    rows = [("backend alone", *direct)]
    for name in ("nginx", "gateway"):
        with contender(name, bench.folder / f"latency-{name}", bench.behind) as running:
            rows.append((name, *_at(rate, running.port, bench)))
    print_table(("through", "requests/s", "p50 ms", "p99 ms"), rows)


def _at(rate: float, port: int, bench: Bench) -> tuple[str, str, str]:
    load = small(port, script=paced(rate, _BUSY))
    load(seconds=1)
    done = load(seconds=bench.seconds * 3)
    return f"{done.rate:.0f}", f"{done.p50:.2f}", f"{done.p99:.2f}"


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    measurement.__name__: measurement for measurement in (connections, tokens, keys, routes, headers, start, latency)
}


def main() -> None:
    """Run every measurement, or those that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; without any, all are made")
    parser.add_argument("--seconds", type=float, default=2, help="of every run of wrk (2)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs, of which the least counts (3)")
    options = parser.parse_args()
    unknown = set(options.names).difference(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the contenders inherit it
    if most < 10_000 + _SPARE_FILES:
        parser.error(f"10 000 connections need more files than the {most} that `ulimit -Hn` allows")
    os.sched_setaffinity(0, {LOAD_CORE})
    print(machine.description(), flush=True)
    with tempfile.TemporaryDirectory(prefix="nnogw-bench-") as temporary:
        folder = Path(temporary)
        with backend(folder / "backend") as behind:
            for name in options.names or MEASUREMENTS:
                print(f"\n{MEASUREMENTS[name].__doc__}\n")
                MEASUREMENTS[name](Bench(folder, behind, options.seconds, options.repeat))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
