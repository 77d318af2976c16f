"""The program's own log, on a standard stream that may be read or not."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from nnogw.observability import line_writer
from nnogw.observability.line_writer import FLUSH_INTERVAL, MAX_PENDING
from nnogw.observability.log_file import LogFile
from nnogw.observability.program_log import STANDARD_ERROR, STANDARD_OUTPUT, ProgramLog
from tests.identity.doubles import ReadableLedger

LONG = "x" * 999


class Reactor(Clock):
    """Makes calls from other threads when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: list[Callable[[], object]] = []

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002  Twisted's name
        """Keep a call."""
        self.from_threads.append(lambda: callable(*args))


class ProgramLogTests(SynchronousTestCase):
    """Events of `twisted.logger`, as text."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.publisher = LogPublisher()
        self.say = Logger(namespace="test", observer=self.publisher)
        self.patch(line_writer, "log", Logger(namespace="nnogw", observer=self.publisher))

    def pipe_as(self, stream: int) -> int:
        """Let a pipe be the standard stream until the end of the test; returns the end to read from."""
        reader, writer = os.pipe()
        before = os.dup(stream)
        os.dup2(writer, stream)
        os.close(writer)
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, before)
        self.addCleanup(os.dup2, before, stream)
        os.set_blocking(reader, False)
        return reader

    def logging(self, stream: int = STANDARD_ERROR) -> ProgramLog:
        """Return a log that gets the events."""
        log = ProgramLog(stream, self.reactor)
        self.publisher.addObserver(log)
        return log

    def read_all(self, reader: int) -> bytes:
        """Return everything that can be read, also what is written meanwhile."""
        got = b""
        while more := _read(reader):
            got += more
            self.reactor.advance(FLUSH_INTERVAL)
        return got

    def test_each_event_is_there_at_once(self) -> None:
        """With its time, its origin and its level; an event without a text is none."""
        reader = self.pipe_as(STANDARD_ERROR)
        self.logging()
        self.say.warn("{what} happened", what="it")
        self.assertRegex(_read(reader), rb"^\d{4}-\d\d-\d\dT\S+ \[test#warn\] it happened\n$")
        self.publisher({"log_format": None})
        self.assertEqual((_read(reader), self.reactor.getDelayedCalls()), (b"", []))

    def test_a_traceback_stands_below_its_event(self) -> None:
        """And text that is no text does not break the log."""
        reader = self.pipe_as(STANDARD_ERROR)
        self.logging()
        try:
            raise ValueError("\udce4")
        except ValueError:
            self.say.failure("broken")
        said = _read(reader)
        self.assertIn(b"broken", said)
        self.assertIn(b"\n\tbuiltins.ValueError: \\udce4\n", said)

    def test_a_reader_that_has_stopped_costs_lines_and_nothing_else(self) -> None:
        """They are bounded and counted; when it reads on, the log itself tells how many are lost."""
        reader = self.pipe_as(STANDARD_ERROR)
        log = self.logging()
        for _ in range(2 * MAX_PENDING // len(LONG)):
            self.say.info(LONG)
        self.assertGreater(log.dropped, 0)
        said = self.read_all(reader)
        self.assertIn(f"{log.dropped} lines of this log were lost\n".encode(), said)
        whole = [line for line in said.split(b"\n") if line.endswith(LONG.encode())]
        self.assertEqual(len(whole) + log.dropped, 2 * MAX_PENDING // len(LONG))
        self.say.info("later")
        self.assertIn(b"later", _read(reader))

    def test_an_event_that_comes_while_another_is_written_waits_for_it(self) -> None:
        """The garbage collector may find an unhandled error at any moment."""
        reader = self.pipe_as(STANDARD_ERROR)
        log = self.logging()
        write_some = log._write_some

        def interrupted(data: memoryview) -> int:
            self.patch(log, "_write_some", write_some)
            self.say.error("found meanwhile")
            return write_some(data[:10])

        self.patch(log, "_write_some", interrupted)
        self.say.info("the first")
        self.assertRegex(_read(reader), rb"^\S+ \[test#info\] the first\n$")
        self.reactor.advance(FLUSH_INTERVAL)
        self.assertRegex(_read(reader), rb"^\S+ \[test#error\] found meanwhile\n$")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_process_that_goes_to_the_background_keeps_no_terminal(self) -> None:
        """What is the stream when the first word is said is what is written to."""
        log = self.logging()
        before = os.listdir("/dev/fd")
        reader = self.pipe_as(STANDARD_ERROR)
        self.say.info("from the background")
        self.assertIn(b"from the background", _read(reader))
        self.assertEqual((len(before) + 2, log.dropped), (len(os.listdir("/dev/fd")), 0))

    def test_a_thread_hands_its_events_over(self) -> None:
        """The writer belongs to the reactor's thread."""
        reader = self.pipe_as(STANDARD_ERROR)
        self.logging()
        thread = threading.Thread(target=self.say.info, args=["from a thread"])
        thread.start()
        thread.join()
        self.assertEqual(_read(reader), b"")
        for call in self.reactor.from_threads:
            call()
        self.assertIn(b"from a thread", _read(reader))

    def test_a_stream_that_is_closed_is_no_trouble(self) -> None:
        """There is nobody to tell."""
        self.pipe_as(STANDARD_ERROR)
        os.close(STANDARD_ERROR)
        log = self.logging()
        self.say.info("into the void")
        self.assertEqual(log.dropped, 1)

    def test_so_is_one_that_was_closed_when_the_process_began(self) -> None:
        """What has its number by then is a socket or a pipe of the reactor, in which no log may end up."""
        reader = self.pipe_as(STANDARD_ERROR)
        self.patch(sys, "__stderr__", None)
        log = self.logging()
        self.say.info("into the void")
        self.assertEqual(log.dropped, 1)
        self.assertRaises(BlockingIOError, os.read, reader, 1)

    def test_on_a_pipe_with_the_request_log_no_line_stands_within_another(self) -> None:
        """As with ``2>&1``, however slowly it is read."""
        reader = self.pipe_as(STANDARD_OUTPUT)
        self.logging(STANDARD_OUTPUT)
        requests = LogFile("-", self.reactor, ReadableLedger())
        requests.open()
        for number in range(300):
            requests.write(b"r" * (number * 7 % 990) + b"\n")
            self.say.info("p" * (number * 5 % 990 + 1))
        got = b""
        while more := _read(reader, 1777):
            got += more
            self.reactor.advance(FLUSH_INTERVAL)
        lines = got.split(b"\n")[:-1]
        self.assertEqual(len(lines), 600)
        for line in lines:
            self.assertRegex(line, rb"^(r*|\d{4}-\S+ \[test#info\] p+)$")


def _read(descriptor: int, size: int = 100_000) -> bytes:
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return b""
