"""A program that tests need is found, or its absence is loud."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import programs
from tests.programs import ALLOW_MISSING, program


class Programs(SynchronousTestCase):
    """A folder that is all of the path, with or without a curl in it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(programs, "_SBIN", str(self.folder / "sbin"))
        self.patch(programs.os, "environ", {"PATH": str(self.folder)})

    def test_one_in_the_path_is_found(self) -> None:
        """As the shell would."""
        (self.folder / "curl").touch(0o755)
        self.assertEqual(program("curl"), self.folder / "curl")

    def test_a_server_in_sbin_is_found(self) -> None:
        """Without it being in the path."""
        (self.folder / "sbin").mkdir()
        (self.folder / "sbin" / "nginx").touch(0o755)
        self.assertEqual(program("nginx"), self.folder / "sbin" / "nginx")

    def test_a_missing_one_fails_the_test_and_says_what_to_install(self) -> None:
        """A test that is not run must not look like one that passed."""
        error = self.assertRaises(AssertionError, program, "nginx")
        self.assertIn("apt-get install nginx-light", str(error))

    def test_who_will_say_so_may_skip_it(self) -> None:
        """By setting a variable."""
        programs.os.environ[ALLOW_MISSING] = "1"
        self.assertRaises(SkipTest, program, "nginx")
        self.assertEqual(programs.missing(), ["curl", "nginx", "wrk"])
