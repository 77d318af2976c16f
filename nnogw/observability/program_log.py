"""The program's own log, on a standard stream: what is written there never waits for whoever reads it."""

from __future__ import annotations

import threading
from contextlib import suppress

from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText
from zope.interface import implementer

from nnogw.interfaces import ReactorThread
from nnogw.observability.line_writer import LineWriter, open_standard

STANDARD_OUTPUT = 1  # the descriptors themselves: twistd puts its log in the place of sys.stdout and sys.stderr
STANDARD_ERROR = 2


@implementer(ILogObserver)
class ProgramLog(LineWriter):
    """Writes the program's log to a standard stream, in the form in which twistd writes it to a file.

    Each event is written at once, as far as the stream takes it. The stream is opened for the first of them: a process that goes to the
    background before has another one by then, and must not keep its terminal.

    Args:
        stream: `STANDARD_OUTPUT` or `STANDARD_ERROR`.
        reactor: calls later, and from other threads.
    """

    def __init__(self, stream: int, reactor: ReactorThread) -> None:
        super().__init__("this log", reactor, batch=1)
        self._reactor = reactor
        self._stream = stream
        self._opened = False

    def __call__(self, event: LogEvent) -> None:
        """Take an event of `twisted.logger`, in whatever thread it happened."""
        text = formatEventAsClassicLogText(event)
        if text is not None:
            self.show(text)

    def write(self, line: bytes) -> None:
        """Take a line, or several, in the reactor's thread."""
        if not self._opened:
            self._opened = True
            with suppress(OSError):  # it is closed: then there is nobody to tell
                self.use(open_standard(self._stream))
        super().write(line)

    def show(self, text: str) -> None:
        """Write `text`, which ends with a newline, as it is."""
        line = text.encode("utf-8", "backslashreplace")
        if threading.current_thread() is threading.main_thread():
            self.write(line)
        else:
            self._reactor.callFromThread(self.write, line)
