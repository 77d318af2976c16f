"""The lines of a head that are the same for many responses."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}

_date_second = 0
_date_line = b""


def status_line(status: int, reason: bytes | None) -> bytes:
    """Return the status line, with the standard reason phrase if `reason` is None."""
    if reason is not None:
        return b"HTTP/1.1 %d %b\r\n" % (status, reason)
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def date_line() -> bytes:
    """Return the ``Date`` field of this second (RFC 9110 §6.6.1); it is made once a second."""
    global _date_second, _date_line
    second = int(time.time())
    if second != _date_second:
        _date_second = second
        _date_line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
    return _date_line
