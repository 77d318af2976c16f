"""The request log's file never stops traffic, whatever becomes of it, and no line of it is torn."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.observability.line_writer import BATCH, FLUSH_INTERVAL, MAX_PENDING
from nnogw.observability.log_file import PATIENCE, LogFile, open_log
from tests.identity.doubles import ReadableLedger

LINE = b'{"status":200}\n'
LONG = b"x" * 999 + b"\n"
DEADLINE = 20  # seconds: what may not wait fails instead of waiting for ever


class LogFileTestCase(SynchronousTestCase):
    """What all tests of the file need."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = ReadableLedger()
        before = signal.signal(signal.SIGALRM, self._waits)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.alarm(DEADLINE)
        self.addCleanup(signal.alarm, 0)

    def _waits(self, number: int, frame: object) -> None:
        self.fail("the log has made the process wait")

    def opened(self, path: str | Path) -> LogFile:
        log = LogFile(str(path), self.clock, self.ledger)
        log.open()
        self.addCleanup(log.close)
        return log

    def path(self) -> Path:
        return Path(self.mktemp())

    def tick(self, seconds: float = FLUSH_INTERVAL) -> None:
        self.clock.pump([FLUSH_INTERVAL] * round(seconds / FLUSH_INTERVAL))

    def told(self, call: Callable[[], object]) -> list[str]:
        """Return what the program's log is told during `call`."""
        with capturedLogs() as events:
            call()
        return [event["log_format"].format(**event) for event in events]


class Writing(LogFileTestCase):
    """Lines go to a file in batches."""

    def test_lines_are_written_together_after_a_moment(self) -> None:
        """One system call for all of them."""
        log = self.opened(path := self.path())
        for number in range(3):
            log.write(b"%d\n" % number)
        self.assertEqual(path.read_bytes(), b"")
        self.tick()
        self.assertEqual(path.read_bytes(), b"0\n1\n2\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_full_batch_is_written_at_once(self) -> None:
        """Before its time."""
        log = self.opened(path := self.path())
        for _ in range(BATCH // len(LONG)):
            log.write(LONG)
        self.assertEqual(path.read_bytes(), b"")
        log.write(LONG)
        self.assertEqual(path.stat().st_size, (BATCH // len(LONG) + 1) * len(LONG))
        self.tick()
        self.assertEqual(log.dropped, 0)

    def test_a_file_is_appended_to_and_others_may_not_read_it(self) -> None:
        """It tells who did what."""
        path = self.path()
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        for _ in range(2):
            log = self.opened(path)
            log.write(LINE)
            log.close()
        self.assertEqual(path.read_bytes(), LINE * 2)
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)

    def test_closing_writes_what_is_left(self) -> None:
        """A second time does nothing; a line that comes too late is counted."""
        log = self.opened(path := self.path())
        log.write(LINE)
        log.close()
        log.close()
        log.write(LINE)
        self.assertEqual(path.read_bytes(), LINE)
        self.assertEqual(log.dropped, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_file_that_cannot_be_opened_stops_the_start(self) -> None:
        """Its operator sees at once what is wrong."""
        for path in (self.path() / "absent" / "log", Path()):
            with self.assertRaises(OSError):
                self.opened(path)


class Reopening(LogFileTestCase):
    """A file that was moved away is opened anew."""

    def test_lines_from_before_go_to_the_old_file(self) -> None:
        """And later ones to the new: none is lost."""
        log = self.opened(path := self.path())
        log.write(b"before\n")
        moved = path.rename(path.with_suffix(".1"))
        log.write(b"between\n")
        log.reopen()
        log.write(b"after\n")
        self.tick()
        self.assertEqual((moved.read_bytes(), path.read_bytes()), (b"before\nbetween\n", b"after\n"))

    def test_the_old_file_is_closed(self) -> None:
        """A process that lives for years must not keep all of them."""
        log = self.opened(self.path())
        before = os.listdir("/dev/fd")
        log.reopen()
        self.assertEqual(len(os.listdir("/dev/fd")), len(before))

    def test_a_file_that_cannot_be_opened_again_leaves_the_old_one_in_use(self) -> None:
        """The ledger says so until it succeeds."""
        folder = self.path()
        folder.mkdir()
        log = self.opened(folder / "log")
        moved = folder.rename(folder.with_suffix(".1"))
        log.reopen()
        log.write(LINE)
        self.tick()
        self.assertEqual((moved / "log").read_bytes(), LINE)
        self.assertEqual(list(self.ledger.current), [("log-not-reopened", str(folder / "log"))])
        folder.mkdir()
        log.reopen()
        self.assertEqual(self.ledger.current, {})

    def test_a_log_that_is_not_open_is_not_reopened(self) -> None:
        """USR1 may come before the start and after the end."""
        path = self.path()
        LogFile(str(path), self.clock, self.ledger).reopen()
        self.assertFalse(path.exists())

    def test_a_torn_line_is_not_continued_in_a_new_file(self) -> None:
        """That begins with a whole line; the torn one is counted."""
        log = self.opened(path := self.path())
        log.write(b"whole\n")
        log.write(b"torn\n")
        log.write(b"next\n")
        with _largest_file(8):
            log.flush()
        self.assertEqual(path.read_bytes(), b"whole\nto")
        self.assertIn(("log-unwritable", str(path)), self.ledger.current)
        path.rename(path.with_suffix(".1"))
        with _largest_file(8):
            log.reopen()
        self.tick()
        self.assertEqual(path.read_bytes(), b"next\n")
        self.assertEqual(log.dropped, 1)
        self.assertEqual(self.ledger.current, {})


class Moving(LogFileTestCase):
    """The configuration names another file."""

    def moved(self, log: LogFile, path: Path) -> Path:
        log.move(str(path), open_log(str(path)))
        return path

    def test_lines_from_before_go_to_the_old_file_and_later_ones_to_the_new(self) -> None:
        log = self.opened(old := self.path())
        log.write(b"before\n")
        new = self.moved(log, self.path())
        log.write(b"after\n")
        self.tick()
        self.assertEqual((old.read_bytes(), new.read_bytes()), (b"before\n", b"after\n"))

    def test_the_old_file_is_closed_and_the_new_one_is_opened_anew_from_then_on(self) -> None:
        log = self.opened(old := self.path())
        before = os.listdir("/dev/fd")
        new = self.moved(log, self.path())
        self.assertEqual(len(os.listdir("/dev/fd")), len(before))
        old.unlink()
        new.rename(new.with_suffix(".1"))
        log.reopen()
        self.assertEqual((old.exists(), new.exists()), (False, True))

    def test_standard_output_stays_open(self) -> None:
        """Others share it."""
        log = self.opened("-")
        self.moved(log, self.path())
        os.fstat(1)

    def test_what_the_old_file_did_not_take_goes_to_the_new_one(self) -> None:
        """And the trouble with the old one is over."""
        (full := self.path()).symlink_to("/dev/full")
        log = self.opened(full)
        log.write(LINE)
        self.tick()
        self.assertEqual(list(self.ledger.current), [("log-unwritable", str(full))])
        new = self.moved(log, self.path())
        self.assertEqual(self.ledger.current, {})
        self.tick()
        self.assertEqual((new.read_bytes(), log.dropped, self.ledger.current), (LINE, 0, {}))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_that_the_old_file_could_not_be_opened_anew_is_of_no_interest_any_more(self) -> None:
        (folder := self.path()).mkdir()
        log = self.opened(folder / "log")
        folder.rename(folder.with_suffix(".1"))
        log.reopen()
        self.assertEqual(list(self.ledger.current), [("log-not-reopened", str(folder / "log"))])
        self.moved(log, self.path())
        self.assertEqual(self.ledger.current, {})

    def test_a_torn_line_is_not_continued_in_another_file(self) -> None:
        log = self.opened(old := self.path())
        log.write(b"whole\n")
        log.write(b"torn\n")
        log.write(b"next\n")
        with _largest_file(8):
            new = self.moved(log, self.path())
        self.tick()
        self.assertEqual((old.read_bytes(), new.read_bytes(), log.dropped), (b"whole\nto", b"next\n", 1))

    def test_trouble_with_the_new_file_is_told_by_its_name(self) -> None:
        log = self.opened(self.path())
        (full := self.path()).symlink_to("/dev/full")
        self.moved(log, full)
        log.write(LINE)
        self.tick()
        self.assertEqual(list(self.ledger.current), [("log-unwritable", str(full))])
        self.assertEqual(self.told(log.close), [f"1 lines of the request log {full} were lost"])


class Trouble(LogFileTestCase):
    """A file that cannot be written costs lines, and nothing else."""

    def test_lines_are_kept_up_to_a_bound_then_counted(self) -> None:
        """What was kept is written when there is room again, and the program's log tells how many are lost."""
        log, path = self.on_full_disk()
        for _ in range(MAX_PENDING // len(LONG) + 1):
            log.write(LONG)
        self.assertEqual(log.dropped, 0)
        for _ in range(7):
            log.write(LONG)
        self.assertEqual(log.dropped, 7)
        self.tick()
        self.assertEqual(self.ledger.current, {("log-unwritable", str(path)): "No space left on device"})
        self.make_room(path)
        log.reopen()
        said = self.told(self.tick)
        self.assertEqual(said, [f"7 lines of the request log {path} were lost"])
        self.assertEqual(path.read_bytes(), LONG * (MAX_PENDING // len(LONG) + 1))
        self.assertEqual(self.ledger.current, {})

    def test_it_is_tried_again_although_no_line_comes(self) -> None:
        """Else the last lines before a quiet night would wait for the morning."""
        log, path = self.on_full_disk()
        for _ in range(BATCH // len(LONG) + 1):
            log.write(LONG)
        self.assertIn(("log-unwritable", str(path)), self.ledger.current)
        self.make_room(path)
        log.reopen()
        self.tick()
        self.assertEqual(path.stat().st_size, (BATCH // len(LONG) + 1) * len(LONG))

    def test_it_is_not_tried_again_with_every_line(self) -> None:
        """Trouble must not make requests dear."""
        log, _ = self.on_full_disk()
        tries: list[str] = []
        self.patch(self.ledger, "begin", lambda state, subject, reason: tries.append(reason))
        for _ in range(3 * BATCH // len(LONG)):
            log.write(LONG)
        self.assertEqual(len(tries), 2)  # once for each whole batch
        self.tick()
        self.assertEqual(len(tries), 3)

    def test_lines_that_cannot_be_written_at_the_end_are_told(self) -> None:
        """They are lost with the process."""
        log, path = self.on_full_disk()
        log.write(LINE)
        log.write(LINE)
        self.assertEqual(self.told(log.close), [f"2 lines of the request log {path} were lost"])
        self.assertEqual(log.dropped, 2)

    def test_a_line_that_was_written_in_part_is_continued(self) -> None:
        """When there is room again in the same file."""
        log = self.opened(path := self.path())
        log.write(b"whole\n")
        log.write(b"torn\n")
        with _largest_file(8):
            log.flush()
        self.tick()
        self.assertEqual(path.read_bytes(), b"whole\ntorn\n")
        self.assertEqual((log.dropped, self.ledger.current), (0, {}))

    def on_full_disk(self) -> tuple[LogFile, Path]:
        path = self.path()
        path.symlink_to("/dev/full")
        return self.opened(path), path

    def make_room(self, path: Path) -> None:
        path.unlink()


class Readers(LogFileTestCase):
    """A reader that stops does not stop the process."""

    def test_a_named_pipe_that_nobody_reads_stops_the_start(self) -> None:
        """Waiting for a reader would stop it without a word."""
        path = self.path()
        os.mkfifo(path)
        with self.assertRaisesRegex(OSError, "No such device or address"):
            self.opened(path)

    def test_a_slow_reader_gets_every_line_whole(self) -> None:
        """A pipe takes 64 KiB; the rest waits where it was torn, also when the pipe is opened anew."""
        path = self.path()
        os.mkfifo(path)
        reader = self.reader(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        self.reads_slowly(self.opened(path), reader, reopens=True)

    def test_a_slow_reader_of_standard_output_gets_every_line_whole(self) -> None:
        """The pipe is shared: it is not made non-blocking."""
        reader, writer = os.pipe()
        self.as_standard_output(writer)
        self.reads_slowly(self.opened("-"), self.reader(reader), reopens=True)
        self.assertTrue(os.get_blocking(1))

    def test_a_reader_that_is_behind_for_a_moment_loses_nothing(self) -> None:
        """It is tried again with the next batch: who reads megabytes a second need not wait for the interval."""
        reader, writer = os.pipe()
        self.as_standard_output(writer)
        log = self.opened("-")
        reader = self.reader(reader)
        got = wrote = 0
        while wrote < 4 * MAX_PENDING:
            for _ in range(BATCH // len(LONG) + 1):
                log.write(LONG)
                wrote += len(LONG)
            got += len(_read(reader, MAX_PENDING))
        for _ in range(MAX_PENDING // BATCH):
            self.tick()
            got += len(_read(reader, MAX_PENDING))
        self.assertEqual((log.dropped, got), (0, wrote))

    def test_a_slow_terminal_gets_every_line_whole(self) -> None:
        """It is opened anew, so that a shell that shares it does not notice."""
        reader, terminal = pty.openpty()
        self.as_standard_output(terminal)
        self.reads_slowly(self.opened("-"), self.reader(reader), reopens=False, line_end=b"\r\n")
        self.assertTrue(os.get_blocking(1))

    def reads_slowly(self, log: LogFile, reader: int, *, reopens: bool, line_end: bytes = b"\n") -> None:
        """Write far more than a pipe takes, and read it bit by bit for longer than a stop may last: as long as it reads, all is well."""
        for number in range(3000):
            log.write(b"%04d" % number * 16 + b"\n")
        got = b""
        for _ in range(200):
            self.tick()
            if reopens:
                log.reopen()
            got += _read(reader, 1500)
            self.assertEqual(self.ledger.current, {})
        while more := _read(reader, 100_000):
            got += more
            self.tick()
        self.assertEqual(got, b"".join(b"%04d" % number * 16 + line_end for number in range(3000)))
        self.assertEqual((log.dropped, self.ledger.current), (0, {}))

    def test_a_reader_that_has_stopped_is_trouble_after_a_while(self) -> None:
        """And it is over as soon as it reads on."""
        reader, writer = os.pipe()
        self.as_standard_output(writer)
        log = self.opened("-")
        for _ in range(100):
            log.write(LONG)
        self.tick(PATIENCE - 1)
        self.assertEqual(self.ledger.current, {})
        self.tick(2)
        self.assertEqual(self.ledger.current, {("log-unwritable", "-"): "its reader does not keep up"})
        got = 0
        while more := _read(self.reader(reader), 100_000):
            got += len(more)
            self.tick()
        self.assertEqual(got, 100 * len(LONG))
        self.assertEqual(self.ledger.current, {})

    def test_each_stop_has_to_last_to_be_trouble(self) -> None:
        """One that was over does not count towards the next."""
        reader, writer = os.pipe()
        capacity = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
        self.as_standard_output(writer)
        log = self.opened("-")
        for _ in range(2):
            log.write(b"x" * (capacity - 1) + b"\n")
            self.tick()
            log.write(LINE)
            self.tick(PATIENCE - 1)
            self.assertEqual(self.ledger.current, {})
            while _read(self.reader(reader), 100_000):
                self.tick()

    def test_a_reader_that_costs_lines_is_trouble_at_once(self) -> None:
        """However much it reads."""
        reader, writer = os.pipe()
        self.as_standard_output(writer)
        log = self.opened("-")
        for _ in range(MAX_PENDING // len(LONG) + 100):
            log.write(LONG)
        _read(self.reader(reader), 10_000)
        self.tick()
        self.assertGreater(log.dropped, 0)
        self.assertEqual(self.ledger.current, {("log-unwritable", "-"): "its reader does not keep up"})

    def test_a_reader_that_has_gone_is_trouble_at_once(self) -> None:
        """Traffic goes on."""
        reader, writer = os.pipe()
        self.as_standard_output(writer)
        os.close(reader)
        log = self.opened("-")
        log.write(LINE)
        self.tick()
        self.assertEqual(self.ledger.current, {("log-unwritable", "-"): "Broken pipe"})

    def test_standard_output_may_be_a_file(self) -> None:
        """It is written whole, and stays open for others."""
        path = self.path()
        self.as_standard_output(os.open(path, os.O_WRONLY | os.O_CREAT))
        log = self.opened("-")
        log.write(LINE)
        log.reopen()
        log.close()
        self.assertEqual(path.read_bytes(), LINE)
        self.assertEqual(os.write(1, b"+"), 1)

    def test_a_terminal_without_a_name_is_asked_like_a_pipe(self) -> None:
        """It is that of a container which has no /dev/pts."""
        reader, terminal = pty.openpty()
        self.as_standard_output(terminal)
        self.patch(os, "ttyname", _has_no_name)
        log = self.opened("-")
        log.write(LINE)
        self.tick()
        self.assertEqual(_read(self.reader(reader), 100), LINE.replace(b"\n", b"\r\n"))

    def as_standard_output(self, descriptor: int) -> None:
        """Let `descriptor` be the process's standard output until the end of the test."""
        sys.stdout.flush()
        before = os.dup(1)
        os.dup2(descriptor, 1)
        os.close(descriptor)
        self.addCleanup(os.close, before)
        self.addCleanup(os.dup2, before, 1)

    def reader(self, descriptor: int) -> int:
        os.set_blocking(descriptor, False)
        if descriptor not in self.readers:
            self.readers.add(descriptor)
            self.addCleanup(os.close, descriptor)
        return descriptor

    def setUp(self) -> None:
        super().setUp()
        self.readers: set[int] = set()


def _read(descriptor: int, size: int) -> bytes:
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return b""


def _has_no_name(descriptor: int) -> str:
    raise FileNotFoundError(2, "No such file or directory")


@contextmanager
def _largest_file(size: int):
    """Let no file of this process grow beyond `size` bytes: what comes then is refused as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
