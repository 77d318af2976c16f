"""The machine that the figures are from."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def description() -> str:
    """Return processor, cores, kernel and Python in one line."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    processor = model[1] if model else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
