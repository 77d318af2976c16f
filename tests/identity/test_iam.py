"""IAM's response is an identity, a refusal or an outage; never one taken for another."""

from __future__ import annotations

from typing import Any

import orjson
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import AuthUnavailable
from nnogw.exchange import Identity
from nnogw.identity.iam import Iam, IamSilent
from nnogw.settings import AuthSettings
from tests.identity.doubles import ManualAgent, OpenEnded, ScriptedService, an_exchange

NOW = 1_700_000_000.0
TOKEN = b"secret-token-of-ada"
KEY = b"nno_secret-key"


class IamTests(SynchronousTestCase):
    """Questions to an IAM that answers as the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.service = ScriptedService()
        self.iam = self.ask_through(self.service.agent())

    def ask_through(self, agent: Any) -> Iam:
        return Iam(agent, AuthSettings(), clock=self.clock, now=lambda: NOW, base_url="http://iam/base")

    def session(self) -> Deferred[Identity | None]:
        return self.iam.session(TOKEN, an_exchange())

    def api_key(self) -> Deferred[Identity | None]:
        return self.iam.api_key(KEY, an_exchange())

    def assertOutage(self, judgement: Deferred[Identity | None], reason: str) -> AuthUnavailable:
        """Check for a 503 that says why, but not of whom."""
        failure = self.failureResultOf(judgement, AuthUnavailable)
        error = failure.value
        assert isinstance(error, AuthUnavailable)
        self.assertIn(reason, error.reason)
        self.assertEqual((error.status, error.code), (503, "AUTH_UNAVAILABLE"))
        told = repr(error) + str(error) + failure.getTraceback() + repr(error.headers) + error.envelope("id").decode()
        for secret in (TOKEN, KEY):
            self.assertNotIn(secret.decode(), told)
        return error

    # -- questions --

    def test_a_session_is_asked_for_with_its_own_authorization(self) -> None:
        self.successResultOf(self.session())
        asked = self.service.asked[0]
        self.assertEqual((asked.method, asked.url), (b"GET", "http://iam/base/api/nno/session"))
        self.assertEqual(asked.headers.getRawHeaders("Authorization"), ["Bearer secret-token-of-ada"])
        self.assertEqual(asked.headers.getRawHeaders("X-Nno-Request-Id"), ["request-1"])
        self.assertEqual(asked.headers.getRawHeaders("X-Nno-Trace-Id"), ["trace-1"])

    def test_an_api_key_is_asked_for_in_the_body_and_the_header(self) -> None:
        self.service.answers({"valid": False})
        self.successResultOf(self.api_key())
        asked = self.service.asked[0]
        self.assertEqual((asked.method, asked.url), (b"POST", "http://iam/base/api/nno/apikey/validate"))
        self.assertEqual(orjson.loads(asked.body), {"key": "nno_secret-key"})
        self.assertEqual(asked.headers.getRawHeaders("x-api-key"), ["nno_secret-key"])
        self.assertIsNone(asked.headers.getRawHeaders("Authorization"))

    # -- identities --

    def test_an_object_is_an_identity(self) -> None:
        self.service.answers({"userId": "u1", "role": "admin", "platformId": "p1", "expiresAt": NOW + 1})
        identity = self.successResultOf(self.session())
        assert identity is not None
        self.assertEqual((identity.kind, identity.user_id, identity.platform_id), ("session", "u1", "p1"))

    def test_an_api_key_that_is_not_said_to_be_invalid_is_valid(self) -> None:
        for validity in ({}, {"valid": True}):
            self.service.answers({**validity, "platformId": "p1", "role": "ci"})
            identity = self.successResultOf(self.api_key())
            assert identity is not None
            self.assertEqual((identity.kind, identity.platform_id, identity.user_id), ("apikey", "p1", None))

    # -- refusals --

    def test_null_is_a_refusal(self) -> None:
        self.service.answers(None)
        self.assertIsNone(self.successResultOf(self.session()))
        self.assertIsNone(self.successResultOf(self.api_key()))

    def test_401_403_and_404_are_refusals_whatever_they_say(self) -> None:
        for status in (401, 403, 404):
            self.service.answers({"userId": "u1", "valid": True, "platformId": "p1"}, status)
            self.assertIsNone(self.successResultOf(self.session()))
            self.assertIsNone(self.successResultOf(self.api_key()))

    def test_an_invalid_api_key_is_a_refusal(self) -> None:
        self.service.answers({"valid": False, "platformId": "p1"})
        self.assertIsNone(self.successResultOf(self.api_key()))

    def test_a_session_that_has_ended_is_a_refusal(self) -> None:
        self.service.answers({"userId": "u1", "expiresAt": NOW})
        self.assertIsNone(self.successResultOf(self.session()))

    # -- outages --

    def test_every_other_status_is_an_outage(self) -> None:
        """A redirect and an empty success too: neither says who the caller is."""
        for status in (201, 202, 204, 206, 301, 302, 303, 307, 400, 402, 405, 408, 418, 429, 500, 502, 503, 504):
            self.service.answers({"userId": "u1", "platformId": "p1"}, status)
            self.assertOutage(self.session(), str(status))
            self.assertOutage(self.api_key(), str(status))
        self.assertEqual(len(self.service.asked), 36)

    def test_what_is_not_a_json_object_is_an_outage(self) -> None:
        for body in (b"", b"<html>secret-token-of-ada</html>", b'{"userId": "u1"', b"nul", b'{"userId": NaN}', b"\xff", b"[" * 60_000):
            self.service.body = body
            self.assertOutage(self.session(), "not JSON")
        for body in (b"[]", b'"secret-token-of-ada"', b"1", b"true", b"false"):
            self.service.body = body
            self.assertOutage(self.session(), "not an object")
            self.assertOutage(self.api_key(), "not an object")

    def test_an_answer_over_64_kib_is_an_outage(self) -> None:
        """Also where its status alone would be a refusal: it is not the IAM that was agreed on."""
        filling = b" " * (64 * 1024 - 4)
        self.service.body = b"null" + filling
        self.assertIsNone(self.successResultOf(self.session()))
        self.service.body += b" "
        self.assertOutage(self.session(), "too large")
        self.service.status = 401
        self.assertOutage(self.session(), "too large")

    def test_silence_is_told_from_a_response_that_is_of_no_use(self) -> None:
        """Only silence says something of IAM as a whole; the rest may concern one token."""
        for self.service.status, self.service.body in ((500, b""), (200, b"x"), (200, b"[]"), (200, b"{}"), (200, b" " * 70_000)):
            self.assertNotIsInstance(self.failureResultOf(self.session()).value, IamSilent)
        self.iam = self.ask_through(ManualAgent())
        judgement = self.session()
        self.clock.advance(2)
        self.failureResultOf(judgement, IamSilent)

    def test_a_broken_contract_is_an_outage(self) -> None:
        for facts in ({}, {"user": None}, {"userId": ["u1"]}, {"userId": "u1", "role": "a\r\nb"}, {"userId": "u1", "platformId": "п"}):
            self.service.answers(facts)
            self.assertOutage(self.session(), "IAM answered with a")

    def test_a_valid_api_key_without_a_platform_is_an_outage(self) -> None:
        for facts in ({"valid": True}, {"valid": True, "userId": "u1", "platformId": None}, {"platformId": ""}, {}):
            self.service.answers(facts)
            self.assertOutage(self.api_key(), "without a platform id")

    def test_a_validity_that_is_neither_true_nor_false_is_an_outage(self) -> None:
        for valid in ("false", 0, 1, None, []):
            self.service.answers({"valid": valid, "platformId": "p1"})
            self.assertOutage(self.api_key(), "validity")

    def test_an_iam_that_cannot_be_reached_is_an_outage(self) -> None:
        agent = ManualAgent()
        judgement = self.ask_through(agent).session(TOKEN, an_exchange())
        agent.requests[0].errback(Refused())
        self.assertOutage(judgement, "IAM: ConnectionRefusedError")

    def test_an_iam_that_does_not_answer_is_an_outage_after_two_seconds(self) -> None:
        judgement = self.ask_through(ManualAgent()).session(TOKEN, an_exchange())
        self.clock.advance(2)
        self.assertOutage(judgement, "no response within 2 s")

    def test_an_iam_that_does_not_come_to_an_end_is_an_outage_after_three_seconds(self) -> None:
        judgement = self.ask_through(RequestTraversalAgent(OpenEnded(lambda request: request.write(b"{")))).api_key(KEY, an_exchange())
        self.clock.pump([1.0, 1.0, 0.9])
        self.assertNoResult(judgement)
        self.clock.advance(0.1)
        self.assertOutage(judgement, "no whole response within 3 s")

    def test_iams_retry_after_is_passed_on(self) -> None:
        self.service.answers({}, 429, Retry_After="17")
        self.assertEqual(self.assertOutage(self.session(), "429").headers, ((b"Retry-After", b"17"),))
        self.service.answers({}, 503, Retry_After="never")
        self.assertEqual(self.assertOutage(self.session(), "503").headers, ((b"Retry-After", b"5"),))
