"""The file behind the request log: written in batches, and never in the way of traffic."""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import suppress

from twisted.logger import Logger

from nnogw.interfaces import Clock, DegradedLedger, DelayedCall

log = Logger()

#: Seconds that lines are collected before they are written together: one system call for hundreds of them.
FLUSH_INTERVAL = 0.1
#: Bytes that are written at once, without waiting for the interval.
BATCH = 64 * 1024
#: Bytes that are kept while the file cannot be written. What comes then is dropped, and counted.
MAX_PENDING = 1024 * 1024
#: Seconds that a reader may take nothing before it counts as trouble: one that is only slow for a moment is not worth a word.
PATIENCE = 5.0

#: What a pipe takes without waiting, once it says that it takes anything (POSIX: at least 512; Linux: 4096).
_PIPE_PIECE = select.PIPE_BUF
_STANDARD_OUTPUT = 1  # the descriptor itself: twistd puts its own log in the place of sys.stdout
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_NEWLINE = ord("\n")


class LogFile:
    """Takes lines, and writes them to a file or to standard output (a `nnogw.interfaces.LogSink`).

    A batch that was written in part is continued where it stopped: no line ends up within another. A file that cannot be written is tried
    again every `FLUSH_INTERVAL`; the ledger has an entry ``log-unwritable`` for so long. An entry ``log-not-reopened`` says that lines
    still go to the file that was moved away.

    A reader that has stopped (of a named pipe, of what standard output leads to) never makes the process wait. A named pipe and a terminal
    are opened anew as non-blocking. Any other standard output is left as it is, because it is shared with other processes: it is asked
    before each small piece whether it takes anything. What cannot be helped is a disk that is slow to take a file's bytes.

    Detached from its terminal (``twistd`` without ``-n``), a process has ``/dev/null`` as its standard output.

    Args:
        path: the file; ``"-"`` is standard output.
        clock: calls later.
        ledger: told of ``log-unwritable`` and ``log-not-reopened``.

    Attributes:
        dropped: lines that were lost, because the file could not be written or was closed.
    """

    def __init__(self, path: str, clock: Clock, ledger: DegradedLedger) -> None:
        self.dropped = 0
        self._path = path
        self._clock = clock
        self._ledger = ledger
        self._descriptor = -1
        self._may_wait = False  # writing waits for a reader, unless it is asked before
        self._lines: list[bytes] = []
        self._size = 0  # bytes of the lines and the rest
        self._rest = b""  # of a batch that was not written whole
        self._torn = False  # the rest begins within a line
        self._timer: DelayedCall | None = None
        self._untaken_since: float | None = None  # monotonic seconds at which a reader took its last bytes
        self._dropped_and_told = 0

    def open(self) -> None:
        """Open the file, which is created if it does not exist (mode 0640).

        Raises:
            OSError: it cannot be opened; for a named pipe, that nobody reads it.
        """
        if self._path == "-":
            self._descriptor, self._may_wait = _standard_output()
        else:
            self._descriptor = os.open(self._path, _FLAGS, 0o640)

    def reopen(self) -> None:
        """Write what there is, and open the file anew: it may have been moved away. If that fails, the old one is written on."""
        if self._descriptor < 0:
            return
        self.flush()
        before = self._descriptor
        try:
            self.open()
        except OSError as error:
            self._ledger.begin("log-not-reopened", self._path, _why(error))
            return
        self._ledger.end("log-not-reopened", self._path)
        if self._torn and not os.path.sameopenfile(before, self._descriptor):  # a new file begins with a whole line
            self._rest = self._rest.partition(b"\n")[2]
            self._torn = False
            self.dropped += 1
        _close(before)

    def close(self) -> None:
        """Write what there is, and close the file. Lines that come later are lost."""
        if self._descriptor < 0:
            return
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.dropped += self._rest.count(b"\n")
        self._rest = b""
        self._tell_dropped()
        _close(self._descriptor)
        self._descriptor = -1

    def write(self, line: bytes) -> None:
        """Take a line, its newline included. Never raises, never waits."""
        if self._size >= MAX_PENDING or self._descriptor < 0:
            self.dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BATCH and not self._rest:
            self.flush()
        elif self._timer is None:
            self._schedule()

    def flush(self) -> None:
        """Write what there is, as far as the file takes it."""
        data = self._rest + b"".join(self._lines)
        self._lines.clear()
        view = memoryview(data)
        failure: OSError | None = None
        written = 0
        try:
            while written < len(data):
                written += self._write_some(view[written:])
        except OSError as error:
            failure = error
        if written:
            self._torn = data[written - 1] != _NEWLINE
        self._rest = data[written:]
        self._size = len(self._rest)
        if failure is not None:
            self._note(failure, progress=written > 0)
            self._schedule()
        elif data:
            self._untaken_since = None
            self._ledger.end("log-unwritable", self._path)
            self._tell_dropped()

    def _write_some(self, data: memoryview) -> int:
        if not self._may_wait:
            return os.write(self._descriptor, data)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, "it takes nothing")
        return os.write(self._descriptor, data[:_PIPE_PIECE])

    def _note(self, failure: OSError, *, progress: bool) -> None:
        """Tell the ledger, unless a reader is behind by no more than what can wait."""
        if not isinstance(failure, BlockingIOError):
            self._ledger.begin("log-unwritable", self._path, _why(failure))
            return
        now = self._clock.seconds()
        if progress or self._untaken_since is None:
            self._untaken_since = now
        if self.dropped > self._dropped_and_told or now - self._untaken_since >= PATIENCE:
            self._ledger.begin("log-unwritable", self._path, "its reader does not keep up")

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_later)

    def _flush_later(self) -> None:
        self._timer = None
        self.flush()

    def _tell_dropped(self) -> None:
        count = self.dropped - self._dropped_and_told
        if count:
            log.warn("{count} lines of the request log {path} were lost", count=count, path=self._path)
            self._dropped_and_told = self.dropped


def _standard_output() -> tuple[int, bool]:
    """Return a descriptor for standard output, and whether writing to it may have to wait for a reader.

    Raises:
        OSError: it is closed.
    """
    kind = os.fstat(_STANDARD_OUTPUT).st_mode
    if os.isatty(_STANDARD_OUTPUT):
        with suppress(OSError):  # a terminal of another container has no name here
            return os.open(os.ttyname(_STANDARD_OUTPUT), _FLAGS & ~os.O_CREAT), False
    return _STANDARD_OUTPUT, not stat.S_ISREG(kind)


def _close(descriptor: int) -> None:
    if descriptor != _STANDARD_OUTPUT:
        with suppress(OSError):  # its last bytes may be late: a quota, a network file system
            os.close(descriptor)


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
