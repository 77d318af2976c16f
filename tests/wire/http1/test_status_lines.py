"""The lines of a head that are the same for many answers."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.http1 import status_lines
from nnogw.wire.http1.status_lines import date_line, status_line


class StatusLines(SynchronousTestCase):
    """`status_line`."""

    def test_standard_phrases(self) -> None:
        """For every status that has one."""
        self.assertEqual(status_line(451, None), b"HTTP/1.1 451 Unavailable For Legal Reasons\r\n")
        for status in HTTPStatus:
            self.assertEqual(status_line(status.value, None), b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()))

    def test_an_unknown_status_has_an_empty_phrase(self) -> None:
        """The space before it has to be there (RFC 9112 §4)."""
        self.assertEqual(status_line(599, None), b"HTTP/1.1 599 \r\n")

    def test_a_phrase_of_the_upstream_is_kept(self) -> None:
        """Even an empty one."""
        self.assertEqual(status_line(200, b"Very Well"), b"HTTP/1.1 200 Very Well\r\n")
        self.assertEqual(status_line(200, b""), b"HTTP/1.1 200 \r\n")


class Dates(SynchronousTestCase):
    """`date_line`."""

    def at(self, seconds: float) -> bytes:
        """Return the line at a time of the wall."""
        self.patch(status_lines.time, "time", lambda: seconds)
        return date_line()

    def test_the_date_is_in_the_form_of_the_standard(self) -> None:
        """RFC 9110 §5.6.7."""
        self.assertEqual(self.at(784111777.9), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")

    def test_the_date_is_made_once_a_second(self) -> None:
        """And anew in the next one, or when the clock was set back."""
        first = self.at(784111777.0)
        self.assertIs(self.at(784111777.5), first)
        self.assertIn(b"08:49:38", self.at(784111778.0))
        self.assertEqual(self.at(784111777.0), first)

    def test_the_date_is_now(self) -> None:
        """As the machine's clock says."""
        before = int(time.time())
        line = date_line()
        said = parsedate_to_datetime(line.decode().strip().removeprefix("Date: ")).timestamp()
        self.assertTrue(before <= said <= time.time())
