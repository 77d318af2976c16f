"""``make test``: every test under coverage, children included, and a plain last line that says how it went."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.programs import ALLOW_MISSING, PACKAGES, missing

PROJECT = Path(__file__).resolve().parents[1]

#: Set where nothing may be left out: a program that is missing fails the tests that need it.
REQUIRE_ALL = "NNOGW_REQUIRE_ALL"

_SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$", re.MULTILINE)
_FAILED = ("failures", "errors", "unexpectedSuccesses")
_BUG = "Unhandled error in Deferred"


def main(arguments: list[str]) -> int:
    """Run the tests named in `arguments`, all by default; returns the exit status.

    It is 0 only if every test passed and, where all were run, the coverage is what it should be. Where a program that tests need cannot be
    had, those tests are left out and named at the end, unless ``NNOGW_REQUIRE_ALL`` is set.
    """
    if missing() and os.geteuid() == 0 and shutil.which("apt-get"):
        install([PACKAGES[name] for name in missing()])
    left_out = [] if os.environ.get(REQUIRE_ALL) else missing()
    environment = {**os.environ, **({ALLOW_MISSING: "1"} if left_out else {})}
    _coverage("erase")
    trial = [sys.executable, "-u", "-m", "coverage", "run", "-m", "twisted.trial", *(arguments or ["tests"])]
    output, status = _shown(trial, environment)
    _coverage("combine", "--quiet")
    covered = _coverage("report", *(["--fail-under=0"] if arguments else [])) == 0
    complaints, line = verdict(output, left_out)
    for program in left_out:
        print(f"LEFT OUT: the tests that need {program}, which is not installed; on Debian: apt-get install {PACKAGES[program]}")
    for complaint in [*complaints, *([] if covered else ["the branch coverage is too low"])]:
        print(f"FAILED: {complaint}.")
    print(line)
    return int(bool(status or complaints or not covered))


def verdict(output: str, left_out: list[str]) -> tuple[list[str], str]:
    """Judge a run of trial by its `output`.

    Args:
        output: everything that it wrote.
        left_out: programs whose tests may be skipped.

    Returns:
        What is wrong beside failed tests, and one line such as ``"12 passed, 0 failed"``.
    """
    summaries = _SUMMARY.findall(output)
    if not summaries:
        return ["trial broke off, it gave no summary"], "0 passed, 1 failed"
    counts = {name: int(number) for name, number in (part.split("=") for part in summaries[-1].split(", ") if part)}
    passed, failed, skipped = counts.get("successes", 0), sum(counts.get(name, 0) for name in _FAILED), counts.get("skips", 0)
    complaints = []
    if _BUG in output:
        complaints.append(f"the output has an '{_BUG}'")
    if not passed and not failed:
        complaints.append("no test was run")
    if skipped and not left_out:
        complaints.append(f"{skipped} tests were skipped")
    return complaints, f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def install(packages: list[str]) -> None:
    """Install Debian's `packages`, and say so; without a network they stay missing."""
    print(f"Installing {' '.join(packages)} with apt-get, for the tests that need it ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qqy", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)


def _shown(command: list[str], environment: dict[str, str]) -> tuple[str, int]:
    """Run `command` and show its output as it comes; returns the output and the exit status."""
    lines = []
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            print(line, end="", flush=True)
    return "".join(lines), process.returncode


def _coverage(*arguments: str) -> int:
    """Run one of coverage's commands; returns its exit status."""
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=PROJECT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
