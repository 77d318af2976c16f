"""Every request has its line in the log, when it has ended."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import NotFound
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.middleware.request_logger import RequestLogger


class Lines(list):
    """A log that keeps its lines."""

    write = list.append


class RequestLoggerTests(SynchronousTestCase):
    """The line follows at the end."""

    def setUp(self) -> None:
        self.lines = Lines()
        self.logger = RequestLogger(self.lines, lambda exchange: b"%d\n" % exchange.status)
        self.exchange = Exchange(b"GET", b"/", HeaderFields([]), "192.0.2.1")

    def end(self, status: int) -> None:
        self.exchange.status = status
        for call in self.exchange.on_end:
            call(self.exchange)

    def test_the_line_is_written_when_the_request_ends(self) -> None:
        """Not when there is an answer: its body may take hours, or break off."""
        answer: Deferred[Response] = Deferred()
        self.assertIs(self.logger(self.exchange, lambda: answer), answer)
        answer.callback(Response(200))
        self.assertEqual(self.lines, [])
        self.end(200)
        self.assertEqual(self.lines, [b"200\n"])

    def test_a_request_that_fails_has_its_line(self) -> None:
        """Its failure goes on to whom it concerns."""
        self.failureResultOf(self.logger(self.exchange, lambda: fail(NotFound())), NotFound)
        self.end(404)
        self.assertEqual(self.lines, [b"404\n"])

    def test_a_client_that_leaves_has_its_line(self) -> None:
        """Although there never was an answer."""
        self.logger(self.exchange, Deferred)
        self.end(499)
        self.assertEqual(self.lines, [b"499\n"])
