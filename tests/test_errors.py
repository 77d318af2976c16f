"""Every failure has its status and code, and all are told in one envelope."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw import errors
from nnogw.errors import (
    UPSTREAM_FAILURE_KINDS,
    AuthUnavailable,
    BadRequest,
    ExpectationFailed,
    GatewayError,
    HeadersTooLarge,
    NotFound,
    NotImplementedHere,
    PayloadTooLarge,
    PlatformSuspended,
    RateLimited,
    RefusedTarget,
    RequestTimeout,
    ServiceUnavailable,
    Unauthorized,
    UpstreamFailed,
    UpstreamTimeout,
    UriTooLong,
)

TABLE = [
    (BadRequest(), 400, "BAD_REQUEST", "gateway"),
    (RefusedTarget(), 400, "BAD_REQUEST", "gateway"),
    (Unauthorized(), 401, "UNAUTHORIZED", "gateway"),
    (NotFound(), 404, "NOT_FOUND", "gateway"),
    (RequestTimeout(), 408, "REQUEST_TIMEOUT", "gateway"),
    (PayloadTooLarge(), 413, "PAYLOAD_TOO_LARGE", "gateway"),
    (UriTooLong(), 414, "URI_TOO_LONG", "gateway"),
    (ExpectationFailed(), 417, "EXPECTATION_FAILED", "gateway"),
    (RateLimited(1), 429, "RATE_LIMITED", "gateway"),
    (HeadersTooLarge(), 431, "HEADERS_TOO_LARGE", "gateway"),
    (PlatformSuspended(), 451, "PLATFORM_SUSPENDED", "gateway"),
    (GatewayError(), 500, "INTERNAL_ERROR", "gateway"),
    (NotImplementedHere(), 501, "NOT_IMPLEMENTED", "gateway"),
    (UpstreamFailed(), 502, "UPSTREAM_ERROR", "upstream"),
    (ServiceUnavailable(), 503, "SERVICE_UNAVAILABLE", "gateway"),
    (AuthUnavailable(), 503, "AUTH_UNAVAILABLE", "gateway"),
    (UpstreamTimeout(), 504, "UPSTREAM_TIMEOUT", "timeout:upstream"),
]


class TableTests(SynchronousTestCase):
    """The table of answers."""

    def test_every_failure_has_its_status_and_code_and_is_ended_by_somebody(self) -> None:
        for error, status, code, end in TABLE:
            self.assertEqual((error.status, error.code, error.end), (status, code, end))

    def test_the_table_is_complete(self) -> None:
        defined = {thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, GatewayError)}
        self.assertEqual({type(error) for error, *_ in TABLE}, defined)

    def test_every_failure_has_a_message_for_the_client(self) -> None:
        for error, _, code, _ in TABLE:
            told = orjson.loads(error.envelope("r"))["error"]
            self.assertEqual((told["code"], told["requestId"]), (code, "r"))
            self.assertTrue(told["message"].endswith("."), told)

    def test_what_went_wrong_with_a_service_has_a_kind(self) -> None:
        """A broken connection unless it is said otherwise; what takes too long is always a timeout."""
        self.assertEqual([UpstreamFailed().kind, UpstreamFailed(kind="tls").kind, UpstreamTimeout().kind], ["reset", "tls", "timeout"])
        self.assertEqual(set(UPSTREAM_FAILURE_KINDS), {"connect", "reset", "tls", "timeout", "malformed"})

    def test_a_suspended_platform_is_told_so(self) -> None:
        self.assertEqual(PlatformSuspended().message, "This platform has been suspended.")


class EnvelopeTests(SynchronousTestCase):
    """The JSON body of an error."""

    def test_code_message_and_request_id_are_always_there(self) -> None:
        self.assertEqual(
            NotFound("No such thing.").envelope("request-1"),
            b'{"error":{"code":"NOT_FOUND","message":"No such thing.","requestId":"request-1"}}',
        )

    def test_details_are_there_only_if_there_are_any(self) -> None:
        self.assertNotIn(b"details", BadRequest(details={}).envelope("r"))
        self.assertEqual(orjson.loads(ServiceUnavailable(details={"service": "iam"}).envelope("r"))["error"]["details"], {"service": "iam"})

    def test_a_reason_is_not_for_the_client(self) -> None:
        error = Unauthorized(reason="two Authorization headers")
        self.assertNotIn(b"two", error.envelope("r"))
        self.assertEqual(str(error), "401 UNAUTHORIZED: two Authorization headers")

    def test_without_a_reason_the_exception_speaks_as_the_envelope_does(self) -> None:
        self.assertEqual(str(NotFound()), "404 NOT_FOUND: No such route.")

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_text_comes_through(self, message: str, detail: str) -> None:
        told = orjson.loads(BadRequest(message, details={"what": detail}).envelope("r"))["error"]
        self.assertEqual((told["message"], told["details"]), (message, {"what": detail}))


class HeaderTests(SynchronousTestCase):
    """Header fields that belong to a failure."""

    def test_401_asks_for_a_bearer_token(self) -> None:
        self.assertEqual(Unauthorized().headers, ((b"WWW-Authenticate", b"Bearer"),))

    def test_what_passes_says_when_to_come_again(self) -> None:
        self.assertEqual(RateLimited(17).headers, ((b"Retry-After", b"17"),))
        self.assertEqual(AuthUnavailable().headers, ((b"Retry-After", b"5"),))
        self.assertEqual(ServiceUnavailable(retry_after=30).headers, ((b"Retry-After", b"30"),))
        self.assertEqual(ServiceUnavailable().headers, ())

    def test_an_answer_without_a_class_brings_its_own(self) -> None:
        error = GatewayError("Full.", status=507, code="FULL", headers=[(b"X-A", b"b")], end="timeout:disk")
        self.assertEqual(
            (error.status, error.code, error.message, error.headers, error.end), (507, "FULL", "Full.", [(b"X-A", b"b")], "timeout:disk")
        )
