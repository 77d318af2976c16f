"""Lines to a file or a standard stream: written in batches, bounded, and never in the way of traffic."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from contextlib import suppress
from typing import NamedTuple

from twisted.logger import Logger

from nnogw.interfaces import Clock, DelayedCall

log = Logger()

#: Seconds that lines are collected before they are written together: one system call for hundreds of them.
FLUSH_INTERVAL = 0.1
#: Bytes that are written at once, without waiting for the interval.
BATCH = 64 * 1024
#: Bytes that are kept while the descriptor cannot be written. What comes then is dropped, and counted.
MAX_PENDING = 1024 * 1024

#: How a file, a named pipe or a terminal is opened.
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
#: What a pipe takes without waiting, once it says that it takes anything (POSIX: at least 512; Linux: 4096).
_PIPE_PIECE = select.PIPE_BUF
_NEWLINE = ord("\n")
_STANDARD_STREAMS = 3


class Opened(NamedTuple):
    """What lines can be written to.

    Attributes:
        descriptor: where they go.
        may_wait: writing waits for a reader, unless it is asked before.
    """

    descriptor: int
    may_wait: bool


def open_standard(stream: int) -> Opened:
    """Open the standard output (1) or the standard error (2).

    A reader that has stopped must not make the process wait. A terminal is opened anew as non-blocking. Anything else that has a reader is
    left as it is, because it is shared with other processes: it is asked before each small piece whether it takes anything.

    Raises:
        OSError: it is closed, or was when the process began.
    """
    if (sys.__stdout__, sys.__stderr__)[stream - 1] is None:  # what has its number now is something else
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    kind = os.fstat(stream).st_mode
    if os.isatty(stream):
        with suppress(OSError):  # a terminal of another container has no name here
            return Opened(os.open(os.ttyname(stream), FLAGS & ~os.O_CREAT), may_wait=False)
    return Opened(stream, may_wait=not stat.S_ISREG(kind))


class LineWriter:
    """Takes lines, and writes them to a descriptor without ever waiting for its reader.

    A batch that was written in part is continued where it stopped: no line ends up within another. A descriptor that cannot be written is
    tried again every `FLUSH_INTERVAL`, and whenever another batch has come: a reader that only was behind for a moment loses nothing.
    Meanwhile `MAX_PENDING` bytes are kept, what comes beyond is dropped and counted, and the program's log says how much that was when the
    descriptor can be written again.

    Args:
        name: what is written, for the program's log.
        clock: calls later.
        batch: bytes that are written at once; fewer wait for the interval.

    Attributes:
        dropped: lines that were lost, because the descriptor could not be written or was closed.
    """

    def __init__(self, name: str, clock: Clock, batch: int = BATCH) -> None:
        self.dropped = 0
        self._name = name
        self._clock = clock
        self._batch = batch
        self._descriptor = -1
        self._may_wait = False
        self._lines: list[bytes] = []
        self._size = 0  # bytes of the lines and the rest
        self._write_at = batch  # so many of them are written at once
        self._rest = b""  # of a batch that was not written whole
        self._torn = False  # the rest begins within a line
        self._flushing = False
        self._timer: DelayedCall | None = None
        self._dropped_and_told = 0

    def use(self, opened: Opened) -> None:
        """Write to what was opened; what was written to before stays open."""
        self._descriptor, self._may_wait = opened

    def close(self) -> None:
        """Write what there is, and close the descriptor. Lines that come later are lost."""
        if self._descriptor < 0:
            return
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.dropped += self._rest.count(b"\n")
        self._rest = b""
        self._tell_dropped()
        close_unless_standard(self._descriptor)
        self._descriptor = -1

    def write(self, line: bytes) -> None:
        """Take a line, its newline included. Never raises, never waits."""
        if self._size >= MAX_PENDING or self._descriptor < 0:
            self.dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= self._write_at and not self._flushing:
            self.flush()
        elif self._timer is None:
            self._schedule()

    def flush(self) -> None:
        """Write what there is, as far as the descriptor takes it."""
        self._flushing = True  # a line that comes meanwhile waits: the garbage collector may find an error to log at any moment
        lines, self._lines = self._lines, []
        data = self._rest + b"".join(lines)
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
        self._size = len(self._rest) + sum(map(len, self._lines))
        self._write_at = self._size + self._batch
        self._flushing = False
        if failure is not None:
            self._failed(failure, progress=written > 0)
            self._schedule()
        elif data:
            self._recovered()
            self._tell_dropped()

    def _failed(self, failure: OSError, *, progress: bool) -> None:
        """Take note that not everything could be written, and whether some of it was."""

    def _recovered(self) -> None:
        """Take note that everything is written."""

    def _write_some(self, data: memoryview) -> int:
        if not self._may_wait:
            return os.write(self._descriptor, data)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, "it takes nothing")
        return os.write(self._descriptor, _whole_lines(data))

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_later)

    def _flush_later(self) -> None:
        self._timer = None
        self.flush()

    def _tell_dropped(self) -> None:
        count = self.dropped - self._dropped_and_told
        if count:
            self._dropped_and_told = self.dropped
            log.warn("{count} lines of {name} were lost", count=count, name=self._name)


def close_unless_standard(descriptor: int) -> None:
    """Close a descriptor; one of the standard streams stays open, as others share it."""
    if descriptor >= _STANDARD_STREAMS:
        with suppress(OSError):  # its last bytes may be late: a quota, a network file system
            os.close(descriptor)


def _whole_lines(data: memoryview) -> memoryview:
    """Return what to write of `data` to a pipe: as many whole lines as fit into a piece, else the piece.

    The standard output and the standard error may be one pipe: lines of the one must not stand within lines of the other.
    """
    piece = data[:_PIPE_PIECE]
    end = bytes(piece).rfind(b"\n") + 1
    return piece[:end] if end else piece
