"""Random identifiers: UUIDs for requests, trace ids."""

from __future__ import annotations

import os
from collections.abc import Callable

#: Bytes of randomness that are drawn at a time: one system call for 256 identifiers.
_BATCH = 4096
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # RFC 9562 §4.1


class IdSource:
    """Makes identifiers of 128 random bits.

    Args:
        random: returns as many random bytes as it is asked for.
    """

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._digits = ""
        self._next = 0

    def trace_id(self) -> str:
        """Return 32 hexadecimal digits, as W3C Trace Context has them."""
        start = self._next
        if start >= len(self._digits):
            self._digits = self._random(_BATCH).hex()
            start = 0
        self._next = start + 32
        return self._digits[start : start + 32]

    def request_id(self) -> str:
        """Return a UUID of version 4 (RFC 9562 §5.4)."""
        digits = self.trace_id()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
