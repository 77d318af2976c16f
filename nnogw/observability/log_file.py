"""The file behind the request log: written in batches, and never in the way of traffic."""

from __future__ import annotations

import os

from nnogw.interfaces import Clock, DegradedLedger
from nnogw.observability.line_writer import FLAGS, LineWriter, Opened, close_unless_standard, open_standard

#: Seconds that a reader may take nothing before it counts as trouble: one that is only slow for a moment is not worth a word.
PATIENCE = 5.0

_STANDARD_OUTPUT = 1  # the descriptor itself: twistd puts its own log in the place of sys.stdout


def open_log(path: str) -> Opened:
    """Open the file of a request log, which is created if it does not exist (mode 0640).

    Args:
        path: the file; ``"-"`` is standard output.

    Raises:
        OSError: it cannot be opened; for a named pipe, that nobody reads it.
    """
    return open_standard(_STANDARD_OUTPUT) if path == "-" else Opened(os.open(path, FLAGS, 0o640), may_wait=False)


class LogFile(LineWriter):
    """Takes lines, and writes them to a file or to standard output (a `nnogw.interfaces.LogSink`).

    While the file cannot be written, the ledger has an entry ``log-unwritable``. An entry ``log-not-reopened`` says that lines still go to
    the file that was moved away.

    A reader that has stopped (of a named pipe, of what standard output leads to) never makes the process wait. What cannot be helped is a
    disk that is slow to take a file's bytes.

    Detached from its terminal (``twistd`` without ``-n``), a process has ``/dev/null`` as its standard output.

    Args:
        path: the file; ``"-"`` is standard output.
        clock: calls later.
        ledger: told of ``log-unwritable`` and ``log-not-reopened``.
    """

    def __init__(self, path: str, clock: Clock, ledger: DegradedLedger) -> None:
        super().__init__(_name(path), clock)
        self._path = path
        self._ledger = ledger
        self._untaken_since: float | None = None  # monotonic seconds at which a reader took its last bytes

    def open(self) -> None:
        """Open the file, which is created if it does not exist (mode 0640).

        Raises:
            OSError: it cannot be opened; for a named pipe, that nobody reads it.
        """
        self.use(open_log(self._path))

    def reopen(self) -> None:
        """Write what there is, and open the file anew: it may have been moved away. If that fails, the old one is written on."""
        if self._descriptor < 0:
            return
        try:
            opened = open_log(self._path)
        except OSError as error:
            self.flush()
            self._ledger.begin("log-not-reopened", self._path, _why(error))
            return
        self._ledger.end("log-not-reopened", self._path)
        self._change(opened)

    def move(self, path: str, opened: Opened) -> None:
        """Write what there is, and from now on to the file at `path`, which is `opened`. Nothing more is known of the old file."""
        self._change(opened)
        self._untaken_since = None
        for state in ("log-unwritable", "log-not-reopened"):
            self._ledger.end(state, self._path)
        self._path = path
        self._name = _name(path)

    def _change(self, opened: Opened) -> None:
        self.flush()
        before = self._descriptor
        self.use(opened)
        if self._torn and not os.path.sameopenfile(before, opened.descriptor):  # a new file begins with a whole line
            self._rest = self._rest.partition(b"\n")[2]
            self._torn = False
            self.dropped += 1
        close_unless_standard(before)

    def _failed(self, failure: OSError, *, progress: bool) -> None:
        """Tell the ledger, unless a reader is behind by no more than what can wait."""
        if not isinstance(failure, BlockingIOError):
            self._ledger.begin("log-unwritable", self._path, _why(failure))
            return
        now = self._clock.seconds()
        if progress or self._untaken_since is None:
            self._untaken_since = now
        if self.dropped > self._dropped_and_told or now - self._untaken_since >= PATIENCE:
            self._ledger.begin("log-unwritable", self._path, "its reader does not keep up")

    def _recovered(self) -> None:
        """Tell the ledger."""
        self._untaken_since = None
        self._ledger.end("log-unwritable", self._path)


def _name(path: str) -> str:
    return f"the request log {path}"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
