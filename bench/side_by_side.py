"""Measure the gateway beside its peers, on the same work and in the same run.

The figure is the CPU time that a contender's processes spend on a request. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import machine
from attrs import asdict, frozen
from contenders import CONTENDERS, Running, backend, contender, versions
from load import WORK, Work, wrk
from processes import cpu_seconds, resident_mib
from tables import print_table

_WARM_UP = 1.0  # seconds


@frozen
class Figures:
    """What a contender came to with one kind of work."""

    cpu: float  # µs a request
    rate: float  # requests a second
    p99: float  # milliseconds
    resident: float  # MiB
    failures: str


def measure(running: Running, work: Work, seconds: float) -> Figures:
    """Return the figures of one round."""
    wrk(running.port, work.path, connections=work.connections, seconds=_WARM_UP, script=work.script)
    before = cpu_seconds(running.pid)
    load = wrk(running.port, work.path, connections=work.connections, seconds=seconds, script=work.script)
    spent = cpu_seconds(running.pid) - before
    return Figures(spent / load.requests * 1e6, load.rate, load.p99, resident_mib(running.pid), load.failures)


def median(rounds: list[Figures]) -> Figures:
    """Return the median of several rounds, each figure for itself; failures are those of all of them."""
    return Figures(
        cpu=statistics.median(figures.cpu for figures in rounds),
        rate=statistics.median(figures.rate for figures in rounds),
        p99=statistics.median(figures.p99 for figures in rounds),
        resident=statistics.median(figures.resident for figures in rounds),
        failures="; ".join(figures.failures for figures in rounds if figures.failures),
    )


def compare(names: list[str], works: list[Work], *, repeat: int, seconds: float) -> dict[str, dict[str, Figures]]:
    """Return the medians: work → contender → figures. In every round, each contender runs by itself."""
    rounds: dict[tuple[str, str], list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="nnogw-bench-") as temporary:
        folder = Path(temporary)
        with backend(folder / "backend") as behind:
            for number in range(1, repeat + 1):
                for name in names:
                    with contender(name, folder / f"{name}-{number}", behind) as running:
                        for work in works:
                            rounds.setdefault((work.name, name), []).append(measure(running, work, seconds))
                print(f"round {number} of {repeat} is done", file=sys.stderr)
    return {work.name: {name: median(rounds[work.name, name]) for name in names} for work in works}


def report(result: dict[str, dict[str, Figures]]) -> None:
    """Print the tables."""
    for work, figures in result.items():
        base = next(iter(figures.values())).cpu
        rows = [(name, *_cells(one, base)) for name, one in figures.items()]
        print(f"\n{work}: {WORK[work].description}, {WORK[work].connections} connections")
        print_table(("contender", "CPU µs/request", "ratio", "requests/s", "p99 ms", "RSS MiB", "failures"), rows)


def _cells(figures: Figures, base: float) -> tuple[str, ...]:
    ratio = figures.cpu / base if base else 0.0
    numbers = (f"{figures.cpu:.1f}", f"{ratio:.2f}", f"{figures.rate:.0f}", f"{figures.p99:.1f}", f"{figures.resident:.0f}")
    return (*numbers, figures.failures or "none")


def _chosen(text: str, known: list[str]) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = set(names).difference(known)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return names


def main() -> None:
    """Run the comparison that the command line asks for."""
    peers = list(CONTENDERS)[1:]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=lambda text: _chosen(text, peers), default=peers, help=f"of {','.join(peers)}; empty for none")
    parser.add_argument("--work", type=lambda text: _chosen(text, list(WORK)), default=list(WORK), help=f"of {','.join(WORK)}")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds, of which the median counts (3)")
    parser.add_argument("--seconds", type=float, default=4, help="of every measurement (4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE, too")
    options = parser.parse_args()
    result = compare(["gateway", *options.peers], [WORK[name] for name in options.work], repeat=options.repeat, seconds=options.seconds)
    where = {"machine": machine.description(), "versions": versions(), "rounds": options.repeat, "seconds": options.seconds}
    print(f"{where['machine']}; median of {options.repeat}")
    report(result)
    if options.json:
        work = {name: {who: asdict(figures) for who, figures in of_work.items()} for name, of_work in result.items()}
        options.json.write_text(json.dumps({**where, "work": work}, indent=1) + "\n")


if __name__ == "__main__":
    main()
