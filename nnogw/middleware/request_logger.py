"""The request log: a line for every request when it has ended, whatever ended it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.interfaces import LogSink, Proceed


class RequestLogger:
    """Has the line of every request written.

    Args:
        log: takes the lines.
        format_line: makes the line of an exchange that has ended.
    """

    def __init__(self, log: LogSink, format_line: Callable[[Exchange], bytes]) -> None:
        self._log = log
        self._format_line = format_line

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Go on; the line follows at the end, when the exchange knows how it went."""
        exchange.on_end.append(self._write)
        return proceed()

    def _write(self, exchange: Exchange) -> None:
        self._log.write(self._format_line(exchange))
