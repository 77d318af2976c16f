"""Every request has its line in the log, when it has ended."""

from __future__ import annotations

from typing import Any

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


class Skipped(SynchronousTestCase):
    """Requests that the settings leave out of the log."""

    def logged(self, *skip: str, method: bytes = b"GET", path: bytes = b"/health", **end: Any) -> bool:
        """Return whether a request that ended with `end` has a line."""
        lines = Lines()
        exchange = Exchange(method, path, HeaderFields([]), "192.0.2.1", path=path)
        RequestLogger(lines, lambda exchange: b"a line\n", skip=skip)(exchange, Deferred)
        for name, value in {"status": 200, "end": "gateway", **end}.items():
            setattr(exchange, name, value)
        for call in exchange.on_end:
            call(exchange)
        self.assertIn(lines, ([], [b"a line\n"]))
        return bool(lines)

    def test_a_request_that_a_pattern_names_is_left_out(self) -> None:
        """All others have their lines."""
        self.assertTrue(self.logged())
        self.assertFalse(self.logged("GET /health"))
        self.assertFalse(self.logged("GET /api/v1/docs/*", "GET /health"))
        for method, path in ((b"HEAD", b"/health"), (b"GET", b"/health/"), (b"GET", b"/healthy"), (b"GET", b"/api")):
            self.assertTrue(self.logged("GET /health", method=method, path=path), path)

    def test_an_asterisk_stands_for_anything_at_the_end(self) -> None:
        """For one method."""
        self.assertFalse(self.logged("GET /api/v1/docs/*", path=b"/api/v1/docs/a/b"))
        self.assertTrue(self.logged("GET /api/v1/docs/*", path=b"/api/v1/docs"))
        self.assertTrue(self.logged("GET /api/v1/docs/*", path=b"/api/v1/docs/a", method=b"POST"))

    def test_what_failed_is_logged_all_the_same(self) -> None:
        """5xx, responses that a service broke off, and time limits: the log is where somebody looks for those."""
        for end in (
            {"status": 500},
            {"status": 502, "end": "upstream"},
            {"status": 503},
            {"status": 504, "end": "timeout:response"},
            {"abandoned": True, "end": "upstream"},
            {"abandoned": True, "end": "timeout:idle"},
            {"abandoned": True, "end": "timeout:drain"},
            {"status": 408, "end": "timeout:body"},
        ):
            self.assertTrue(self.logged("GET /*", **end), end)

    def test_what_a_client_did_is_not(self) -> None:
        """A refusal, or leaving: an event stream always ends so."""
        for end in (
            {"status": 401},
            {"status": 404},
            {"abandoned": True, "end": "client"},
            {"status": 499, "abandoned": True, "end": "client"},
        ):
            self.assertFalse(self.logged("GET /*", **end), end)

    def test_a_refused_target_is_never_left_out(self) -> None:
        """It has no canonical path that a pattern could name."""
        self.assertTrue(self.logged("GET /*", path=b"", status=400))
