"""Draw a flame graph of a gateway under load, and print in which of its parts the CPU time goes.

py-spy looks 500 times a second where the gateway is. It has to be installed beside this Python (``pip install py-spy``), and allowed to
look into another process (as root, or with ``sysctl kernel.yama.ptrace_scope=0``).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine
from contenders import Running, backend, contender, tool
from load import WORK, Work, wrk
from processes import LOAD_CORE, output_of
from tables import print_table

#: The parts, and what the files begin with whose frames count for them: the first that matches decides.
PARTS = (
    ("reading from sockets (2 recv)", r"nnogw/wire/inlet"),
    ("writing to sockets (2 send)", r"nnogw/wire/writer"),
    ("the client's side: head in, head out", r"nnogw/wire/(server|site|request|request_head|known_section|phrases)\.py"),
    ("the upstream's side: head out, head in", r"nnogw/(wire/(client|pool|response|chunked)\.py|upstream/|fields)"),
    ("what goes on to the upstream and back", r"nnogw/(middleware/proxy|wire/headers)"),
    ("policies", r"nnogw/(middleware|identity|limiting|ids|credentials)"),
    ("request log and metrics", r"nnogw/observability"),
    ("root Resource, exchange, route", r"nnogw/(resource|exchange|routes)"),
    ("joining the steps: Deferreds", r"nnogw/pipeline|twisted/internet/defer"),
    ("the reactor: waiting, events, timers", r"twisted/|nnogw/(process|wire/deadline)"),
)
_RATE = 500  # samples a second
_MOMENT = 2.0  # seconds of load before and after the recording
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*')


def record(running: Running, work: Work, kind: str, target: Path, seconds: int) -> None:
    """Have py-spy write a recording of a gateway under load to `target`; `kind` is its format."""
    command = [tool(Path(sys.executable).with_name("py-spy")), "record", "--function", "--rate", f"{_RATE}", "--duration", f"{seconds}"]
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(wrk, running.port, work.path, connections=work.connections, seconds=seconds + 2 * _MOMENT, script=work.script)
        wrk(running.port, work.path, connections=1, seconds=_MOMENT, script=work.script)
        output_of([*command, "--pid", f"{running.pid}", "--format", kind, "--output", str(target)], LOAD_CORE)
        loading.result()


def shares(recording: str) -> Counter[str]:
    """Return how many samples of a recording fall to each part. What is not of any part counts for the part that has called it."""
    samples: Counter[str] = Counter()
    for line in recording.splitlines():
        stack, _, count = line.rpartition(" ")
        samples[_part(stack.split(";"))] += int(count)
    return samples


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for name, files in PARTS:
            if re.search(rf"\((?:{files})", frame):
                return name
    return "Python itself"


def main() -> None:
    """Make the recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, metavar="FILE", help="where the graph goes (SVG)")
    parser.add_argument("--work", choices=WORK, default="small")
    parser.add_argument("--seconds", type=int, default=20, help="of each of the two recordings (20)")
    options = parser.parse_args()
    work = WORK[options.work]
    with tempfile.TemporaryDirectory(prefix="nnogw-bench-") as temporary:
        folder = Path(temporary)
        with backend(folder / "backend") as behind, contender("gateway", folder / "gateway", behind) as running:
            record(running, work, "raw", folder / "raw", options.seconds)
            record(running, work, "flamegraph", options.target, options.seconds)
            samples = shares((folder / "raw").read_text())
    title = f"nnogw: {work.description}, {work.connections} connections"
    options.target.write_text(_TITLE.sub(rf"\g<1>{title}", options.target.read_text()))
    print(f"{machine.description()}; {samples.total()} samples\n")
    print_table(("part", "% of the CPU time"), [(name, f"{count / samples.total():.1%}"[:-1]) for name, count in samples.most_common()])


if __name__ == "__main__":
    main()
