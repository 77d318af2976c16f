"""The request log: a line for every request when it has ended, whatever ended it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.interfaces import LogSink, Proceed
from nnogw.patterns import RequestPatterns


class RequestLogger:
    """Has the line of every request written.

    Requests that `skip` names are left out, but only while all is well with them: one that failed (5xx, or a response that the service
    broke off) or ran into a time limit has its line all the same, as with HAProxy's ``option dontlog-normal``.

    Args:
        log: takes the lines.
        format_line: makes the line of an exchange that has ended.
        skip: the patterns of the requests that are left out, as `nnogw.patterns.RequestPatterns` takes them.
    """

    def __init__(self, log: LogSink, format_line: Callable[[Exchange], bytes], *, skip: Sequence[str] = ()) -> None:
        self._log = log
        self._format_line = format_line
        self._skipped = RequestPatterns(skip)
        self._on_end = self._write_unless_skipped if skip else self._write

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Go on; the line follows at the end, when the exchange knows how it went."""
        exchange.on_end.append(self._on_end)
        return proceed()

    def _write(self, exchange: Exchange) -> None:
        self._log.write(self._format_line(exchange))

    def _write_unless_skipped(self, exchange: Exchange) -> None:
        if exchange.failed or exchange.end.startswith("timeout:") or not self._skipped.match(exchange.method, exchange.path):
            self._write(exchange)
