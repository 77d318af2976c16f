"""The file behind the request log: written in batches, and never in the way of traffic."""

from __future__ import annotations

import os
import select
import stat

from twisted.logger import Logger

from nnogw.interfaces import Clock, DegradedLedger, DelayedCall

log = Logger()

#: Seconds that lines are collected before they are written together: one system call for hundreds of them.
FLUSH_INTERVAL = 0.1
#: Bytes that are written at once, without waiting for the interval.
BATCH = 64 * 1024
#: Bytes that are kept while the file cannot be written. What comes then is dropped, and counted.
MAX_PENDING = 1024 * 1024
#: What a pipe takes without waiting, once it says that it takes anything (POSIX: at least 512; Linux: 4096).
_PIPE_PIECE = select.PIPE_BUF
_NEWLINE = ord("\n")


class LogFile:
    """Takes lines, and writes them to a file or to standard output (a `nnogw.interfaces.LogSink`).

    A line is written whole or not at all. A file that cannot be written is tried again with every batch; the ledger has an entry
    ``log-unwritable`` for so long.

    A pipe or a terminal whose reader has stopped would stop the process with it: it is asked first whether it takes anything. Its
    descriptor is left as it is, because it is shared with other processes.

    Args:
        path: the file; ``"-"`` is standard output.
        clock: calls later.
        ledger: told of ``log-unwritable``.

    Attributes:
        dropped: lines that were lost because the file could not be written.
    """

    def __init__(self, path: str, clock: Clock, ledger: DegradedLedger) -> None:
        self.dropped = 0
        self._path = path
        self._clock = clock
        self._ledger = ledger
        self._descriptor = -1
        self._waits = False  # writing may have to wait for a reader
        self._lines: list[bytes] = []
        self._size = 0
        self._rest = b""  # of a batch that was not written whole
        self._torn = False  # it begins within a line
        self._timer: DelayedCall | None = None
        self._dropped_before = 0  # at the time when the trouble began

    def open(self) -> None:
        """Open the file, which is created if it does not exist (mode 0640).

        Raises:
            OSError: it cannot be opened.
        """
        self._descriptor = 1 if self._path == "-" else os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        kind = os.fstat(self._descriptor).st_mode
        self._waits = stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISSOCK(kind)

    def reopen(self) -> None:
        """Write what there is, and open the file anew: it may have been moved away. If that fails, the old one is written on."""
        self.flush()
        before = self._descriptor
        try:
            self.open()
        except OSError as error:
            self._ledger.begin("log-unwritable", self._path, f"cannot reopen: {error.strerror}")
            return
        if before > 1:
            os.close(before)
            if self._torn:  # the new file begins with a whole line
                self._rest = self._rest.partition(b"\n")[2]
                self._torn = False

    def close(self) -> None:
        """Write what there is, and close the file."""
        if self._descriptor < 0:
            return
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._descriptor > 1:
            os.close(self._descriptor)
        self._descriptor = -1

    def write(self, line: bytes) -> None:
        """Take a line, its newline included. Never raises, never waits."""
        if self._size >= MAX_PENDING:
            self.dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BATCH and not self._rest:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_later)

    def flush(self) -> None:
        """Write what there is, as far as the file takes it."""
        data = self._rest + b"".join(self._lines)
        self._lines.clear()
        error = ""
        written = 0
        try:
            while written < len(data):
                written += self._write_some(data[written:] if written else data)
        except OSError as failure:
            error = failure.strerror or type(failure).__name__
        if written:
            self._torn = data[written - 1] != _NEWLINE
        self._rest = data[written:]
        self._size = len(self._rest)
        if error:
            self._ledger.begin("log-unwritable", self._path, error)
        elif data:
            self._well()

    def _write_some(self, data: bytes) -> int:
        if not self._waits:
            return os.write(self._descriptor, data)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(0, "its reader does not read")
        return os.write(self._descriptor, data[:_PIPE_PIECE])

    def _flush_later(self) -> None:
        self._timer = None
        self.flush()
        if self._rest:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_later)

    def _well(self) -> None:
        self._ledger.end("log-unwritable", self._path)
        if self.dropped > self._dropped_before:
            log.warn("{count} lines of the request log were lost", count=self.dropped - self._dropped_before)
            self._dropped_before = self.dropped
