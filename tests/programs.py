"""The programs beside Python that tests need: curl and nginx as users have them, and wrk for load."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SkipTest

#: Set by whoever knows that a program is missing, and will say so at the end (`tests.run` does).
ALLOW_MISSING = "NNOGW_ALLOW_MISSING"

#: The Debian package of each program.
PACKAGES = {"curl": "curl", "nginx": "nginx-light", "wrk": "wrk"}

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"  # where servers are; few users have it in their path


def program(name: str) -> Path:
    """Return where the program `name` is.

    Raises:
        AssertionError: it is not installed.
        SkipTest: it is not installed, and ``NNOGW_ALLOW_MISSING`` is ``1``.
    """
    found = find(name)
    if found is not None:
        return found
    missing = f"{name} is not installed; on Debian: apt-get install {PACKAGES[name]}"
    if os.environ.get(ALLOW_MISSING) == "1":
        raise SkipTest(missing)
    raise AssertionError(missing)


def find(name: str) -> Path | None:
    """Return where the program `name` is, or None."""
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    return None if found is None else Path(found)


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in PACKAGES if find(name) is None]
