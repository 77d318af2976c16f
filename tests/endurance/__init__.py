"""What has to hold for long, and under load: each test has a short form, and a long one (``make endurance``)."""

from __future__ import annotations

import os

#: Whether the long forms are asked for.
LONG = os.environ.get("NNOGW_ENDURANCE") == "long"
