"""Failures become answers: those that have one get it, and bugs are told to the log alone."""

from __future__ import annotations

import orjson
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import GatewayError, NotFound, RateLimited, UpstreamFailed, UpstreamTimeout
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.middleware.error_handler import ErrorHandler


class ErrorHandlerTests(SynchronousTestCase):
    """A request whose further way is a script."""

    def setUp(self) -> None:
        self.exchange = Exchange(b"GET", b"/api/x?token=s3cret", HeaderFields(), "192.0.2.1", path=b"/api/x", request_id="request-1")
        self.handle = ErrorHandler()

    def answer_to(self, error: Exception) -> Response:
        """Return what becomes of `error`."""
        answer = self.handle(self.exchange, lambda: fail(error))
        assert isinstance(answer, Deferred)
        return self.successResultOf(answer)

    def error_in(self, response: Response) -> object:
        assert isinstance(response.body, bytes)
        return orjson.loads(response.body)["error"]

    def test_an_answer_passes_as_it_is(self) -> None:
        """Also an upstream's own error."""
        response = Response(502, [], b"theirs")
        answer = self.handle(self.exchange, lambda: succeed(response))
        self.assertIs(self.successResultOf(answer), response)
        self.assertEqual((self.exchange.reason, self.exchange.end), ("", ""))

    def test_a_gateway_error_becomes_its_envelope(self) -> None:
        response = self.answer_to(NotFound(details={"path": "/api/x"}))
        self.assertEqual(response.status, 404)
        self.assertEqual(response.fields, [(b"content-type", b"Content-Type", b"application/json")])
        self.assertEqual(
            self.error_in(response),
            {"code": "NOT_FOUND", "message": "No such route.", "details": {"path": "/api/x"}, "requestId": "request-1"},
        )

    def test_an_errors_own_header_fields_are_on_the_answer(self) -> None:
        response = self.answer_to(RateLimited(17))
        self.assertEqual(response.fields[1:], [(b"retry-after", b"Retry-After", b"17")])

    def test_the_request_log_is_told_why_and_who_ended_it(self) -> None:
        for error, expected in (
            (UpstreamFailed(reason="connection refused"), ("connection refused", "upstream")),
            (UpstreamTimeout(reason="no head", end="timeout:response"), ("no head", "timeout:response")),
            (NotFound(), ("No such route.", "gateway")),
        ):
            self.answer_to(error)
            self.assertEqual((self.exchange.reason, self.exchange.end), expected)

    def test_a_reason_is_never_sent(self) -> None:
        self.assertNotIn(b"10.0.0.4", self.answer_to(UpstreamFailed(reason="no route to 10.0.0.4")).body)

    def test_a_gateway_error_is_nothing_for_the_programs_log(self) -> None:
        self.answer_to(GatewayError(status=507, code="FULL", message="Full."))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_bug_is_a_500_that_says_nothing_about_itself(self) -> None:
        response = self.answer_to(KeyError("s3cret"))
        self.assertEqual(response.status, 500)
        self.assertEqual(
            self.error_in(response),
            {"code": "INTERNAL_ERROR", "message": "The gateway failed to handle this request.", "requestId": "request-1"},
        )
        self.assertEqual((self.exchange.reason, self.exchange.end), ("bug: KeyError", "gateway"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_the_traceback_of_a_bug_is_in_the_log_under_the_requests_id_and_without_its_query(self) -> None:
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)

        def further_in() -> Deferred[Response]:
            try:
                raise ZeroDivisionError
            except ZeroDivisionError:
                return fail()

        answer = self.handle(self.exchange, further_in)
        assert isinstance(answer, Deferred)
        self.successResultOf(answer)
        (event,) = events
        self.assertEqual(formatEvent(event), "a bug in GET /api/x, request request-1")
        self.assertIn("further_in", event["log_failure"].getTraceback())
        self.assertNotIn("s3cret", repr(event))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_bug_before_there_is_a_request_id_is_answered_as_well(self) -> None:
        self.exchange.request_id = ""
        self.assertEqual(self.error_in(self.answer_to(ValueError()))["requestId"], "")
        self.flushLoggedErrors(ValueError)

    def test_whatever_comes_of_a_request_whose_client_has_left_ends_quietly(self) -> None:
        """A request that was given up fails in many ways, none of which is news."""
        self.exchange.abandoned = True
        self.exchange.end = "client"
        for error in (CancelledError(), UpstreamFailed(reason="cancelled"), RuntimeError()):
            self.assertEqual(self.answer_to(error).status, 499)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual((self.exchange.reason, self.exchange.end), ("", "client"))

    def test_a_cancellation_that_nobody_asked_for_is_a_bug(self) -> None:
        self.assertEqual(self.answer_to(CancelledError()).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)
