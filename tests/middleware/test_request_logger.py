"""A line for every request, when it has ended."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.exchange import Exchange
from nnogw.middleware.request_logger import RequestLogger
from tests.doubles import Further, exchange


class Lines:
    """A log in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Keep `line`."""
        self.lines.append(line)


def _line(request: Exchange) -> bytes:
    return b"%d\n" % request.status


class RequestLoggerTests(SynchronousTestCase):
    """Not before the end, whatever comes of it."""

    def test_the_line_is_written_at_the_end_with_what_is_known_then(self) -> None:
        """And not when the answer comes back."""
        log, request, further = Lines(), exchange(), Further()
        self.assertIs(RequestLogger(log, _line)(request, further), further.waiting)
        self.assertEqual(log.lines, [])
        request.status = 499
        for call in request.on_end:
            call(request)
        self.assertEqual(log.lines, [b"499\n"])
