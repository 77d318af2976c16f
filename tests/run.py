"""``make test``: every test under coverage, children included, and a plain last line that says how it went."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.programs import ALLOW_MISSING, missing

PROJECT = Path(__file__).resolve().parents[1]
_SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$", re.MULTILINE)
_BUGS = "Unhandled error in Deferred"


def main(arguments: list[str]) -> int:
    """Run the tests named in `arguments`, all by default; returns the exit status.

    It is 0 only if every test passed and the coverage is what it should be. Tests whose program (nginx, curl) is not installed are left
    out and named at the end, unless ``NNOGW_REQUIRE_ALL`` is set, which makes them fail.
    """
    left_out = missing() if not os.environ.get("NNOGW_REQUIRE_ALL") else []
    environment = {**os.environ, **({ALLOW_MISSING: "1"} if left_out else {})}
    _coverage("erase")
    trial = [sys.executable, "-m", "coverage", "run", "-m", "twisted.trial", *(arguments or ["tests"])]
    output, status = _shown(trial, environment)
    _coverage("combine", "--quiet")
    covered = _coverage("report") == 0 or bool(arguments)
    passed, others = _counts(output)
    for program in left_out:
        print(f"LEFT OUT: the tests that need {program}, which is not installed.")
    if _BUGS in output:
        print(f"FAILED: the output has an '{_BUGS}'.")
    print(f"{passed} passed, {others['failures'] + others['errors']} failed, {others['skips']} skipped")
    bad = status or not covered or _BUGS in output or (others["skips"] and not left_out)
    return 1 if bad else 0


def _shown(command: list[str], environment: dict[str, str]) -> tuple[str, int]:
    """Run `command` and show its output as it comes; returns the output and the exit status."""
    lines = []
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            sys.stdout.write(line)
    return "".join(lines), process.returncode


def _coverage(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=PROJECT, check=False).returncode


def _counts(output: str) -> tuple[int, dict[str, int]]:
    """Return how many tests passed, and how many did otherwise, by trial's own summary."""
    summary = _SUMMARY.search(output)
    told = dict(part.split("=") for part in summary.group(1).split(", ")) if summary and summary.group(1) else {}
    return int(told.get("successes", 0)), {name: int(told.get(name, 0)) for name in ("failures", "errors", "skips")}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
