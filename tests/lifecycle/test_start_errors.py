"""Why a gateway does not start: what is wrong, what would be right. In one line."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from nnogw.lifecycle.start_errors import not_bound, not_opened


def error(number: int) -> OSError:
    """Return the system's error of that number."""
    return OSError(number, os.strerror(number))


class Listeners(SynchronousTestCase):
    """A listener that cannot be bound."""

    def said(self, endpoint: str, cause: object) -> str:
        """Return what is said when Twisted cannot listen on `endpoint` because of `cause`."""
        return not_bound(endpoint, CannotListenError(None, "…", cause))

    def test_a_port_that_is_in_use_is_told(self) -> None:
        """The most frequent reason."""
        self.assertEqual(self.said("tcp:80:interface=127.0.0.1", error(errno.EADDRINUSE)), "Address already in use")

    def test_a_port_for_root_only_is_told_with_the_way_out(self) -> None:
        """Another port, or the right."""
        line = self.said("tcp:80", error(errno.EACCES))
        self.assertIn("only root may use this port; use one from 1024 on", line)
        self.assertIn("CAP_NET_BIND_SERVICE", line)

    def test_an_address_of_another_machine_is_told(self) -> None:
        """It is the interface that is wrong, not the port."""
        self.assertIn("this machine has no such address", self.said("tcp:80:interface=10.9.9.9", error(errno.EADDRNOTAVAIL)))

    def test_any_other_reason_is_the_systems_own(self) -> None:
        """In its words."""
        self.assertIn(os.strerror(errno.ENOBUFS), self.said("tcp:80", error(errno.ENOBUFS)))
        self.assertIn("a reason", not_bound("tcp:80", ValueError("a reason")))
        self.assertIn("KeyError", not_bound("tcp:80", KeyError()))

    def test_a_missing_folder_of_a_socket_is_told_with_what_to_do(self) -> None:
        """Not with the lock file that could not be made in it."""
        line = not_bound("unix:/nowhere/run/a.sock:mode=660", error(errno.ENOENT))
        self.assertEqual(
            line,
            f"the folder of the socket does not exist; make it (mkdir -p /nowhere/run), and let user {os.geteuid()} write to it",
        )

    def test_a_folder_that_may_not_be_written_to_is_told(self) -> None:
        """Who may not, and what."""
        line = self.said("unix:/proc/a.sock", error(errno.EACCES))
        self.assertIn(f"user {os.geteuid()} may not write to folder /proc; change its owner or its mode", line)
        self.assertIn("/proc is on a file system that is read-only", self.said("unix:/proc/a.sock", error(errno.EROFS)))
        self.assertIn("/etc/hosts is not a folder", self.said("unix:/etc/hosts/a.sock", error(errno.ENOTDIR)))

    def test_a_socket_that_is_in_use_is_told(self) -> None:
        """Twisted's lock has no number."""
        path = f"/tmp/nnogw-test-{os.getpid()}.sock"
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(path)
            self.addCleanup(os.unlink, path)
            for cause in (error(errno.EADDRINUSE), "Cannot acquire lock"):
                self.assertIn("another process listens there", self.said(f"unix:{path}", cause))

    def test_what_is_no_socket_is_not_in_use(self) -> None:
        """Nobody has to be stopped."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "file").write_text("")
        self.assertIn(f"{folder} is a folder, expected a socket", self.said(f"unix:{folder}", error(errno.EADDRINUSE)))
        self.assertIn("file is a file, expected a socket", self.said(f"unix:{folder}/file", error(errno.EADDRINUSE)))

    def test_a_path_that_is_too_long_is_told_in_the_systems_words(self) -> None:
        """Python's error has no number."""
        self.assertIn("AF_UNIX path too long", self.said("unix:/a", OSError("AF_UNIX path too long")))


class Logs(SynchronousTestCase):
    """A request log that cannot be opened."""

    def test_a_missing_folder_is_told_with_what_to_do(self) -> None:
        """As for a socket."""
        self.assertEqual(
            not_opened("/nowhere/log/a", error(errno.ENOENT)),
            f"the folder of the log does not exist; make it (mkdir -p /nowhere/log), and let user {os.geteuid()} write to it",
        )

    def test_a_folder_is_no_file(self) -> None:
        """It is told which is expected."""
        self.assertIn("it is a folder, expected a file", not_opened("/tmp", error(errno.EISDIR)))

    def test_what_may_not_be_written_to_is_named(self) -> None:
        """The file, or its folder."""
        path = Path(self.mktemp()).absolute()
        self.assertIn(f"may not write to folder {path.parent}", not_opened(str(path), error(errno.EACCES)))

    def test_a_pipe_without_a_reader_is_told(self) -> None:
        """ENXIO says nothing of it."""
        self.assertIn("a named pipe that nobody reads", not_opened("/tmp/pipe", error(errno.ENXIO)))

    def test_a_closed_standard_output_is_told(self) -> None:
        """It has no folder."""
        self.assertIn("standard output is closed", not_opened("-", error(errno.EBADF)))
