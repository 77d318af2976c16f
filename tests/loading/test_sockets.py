"""Which sockets server endpoints bind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading.sockets import overlap, socket_path


class PathTests(SynchronousTestCase):
    """Where a unix socket is."""

    def test_it_is_the_first_argument_or_the_one_of_that_name(self) -> None:
        """With its escapes undone."""
        self.assertEqual(socket_path("unix:/run/a.sock:mode=660"), "/run/a.sock")
        self.assertEqual(socket_path("unix:mode=660:address=/run/a\\:b.sock"), "/run/a:b.sock")

    def test_other_endpoints_have_none(self) -> None:
        """Nor has one that systemd has bound."""
        for description in ("tcp:80", "systemd:domain=UNIX:index=0"):
            self.assertEqual(socket_path(description), "")


class OverlapTests(SynchronousTestCase):
    """What cannot be bound twice."""

    def test_the_same_socket_and_all_addresses_overlap(self) -> None:
        """However it is written."""
        for one, other in (
            ("tcp:80:interface=127.0.0.1", "tcp:port=80:interface=127.0.0.1:backlog=9"),
            ("tcp:80", "tcp:80:interface=127.0.0.1"),
            ("tcp:80:interface=0.0.0.0", "ssl:80:interface=10.0.0.1"),
            ("tcp6:80", "tcp6:80:interface=\\:\\:1"),
            ("unix:/a", "unix:address=/a:mode=660"),
        ):
            self.assertTrue(overlap(one, other), f"{one} {other}")
            self.assertTrue(overlap(other, one), f"{other} {one}")

    def test_different_sockets_do_not(self) -> None:
        """Nor what the system chooses, or systemd has bound."""
        for one, other in (
            ("tcp:80:interface=127.0.0.1", "tcp:81:interface=127.0.0.1"),
            ("tcp:80:interface=127.0.0.1", "tcp:80:interface=127.0.0.2"),
            ("tcp:80:interface=127.0.0.1", "tcp6:80:interface=\\:\\:1"),
            ("tcp:0", "tcp:0"),
            ("unix:/a", "unix:/b"),
            ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1"),
        ):
            self.assertFalse(overlap(one, other), f"{one} {other}")
