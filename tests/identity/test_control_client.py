"""The gateway's own calls keep within their limits, and leave nothing behind."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.server import Request

from nnogw.errors import UpstreamFailed
from nnogw.identity.control_client import CallFailed, ControlClient, ControlResponse
from tests.identity.doubles import FreezableClock, ManualAgent, OpenEnded, ScriptedService, an_exchange


class CallTests(SynchronousTestCase):
    """A client whose service is in the test."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.service = ScriptedService()

    def client(self, agent: Any, base_url: str = "http://iam") -> ControlClient:
        return ControlClient(agent, base_url=base_url, clock=self.clock, connect_timeout=2, timeout=3, max_response=100)

    def call(
        self, agent: Any = None, method: str = "GET", path: str = "/x", body: bytes | None = None, **kw: Any
    ) -> Deferred[ControlResponse]:
        return self.client(agent or self.service.agent(), **kw).call(method, path, an_exchange(), {b"Authorization": b"Bearer t"}, body)

    def assertFails(self, answer: Deferred[ControlResponse], reason: str) -> None:
        failure = self.failureResultOf(answer, CallFailed)
        self.assertIn(reason, str(failure.value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    # -- what is sent --

    def test_the_ids_of_the_request_go_along(self) -> None:
        self.successResultOf(self.call())
        headers = self.service.asked[0].headers
        self.assertEqual(headers.getRawHeaders("X-Nno-Request-Id"), ["request-1"])
        self.assertEqual(headers.getRawHeaders("X-Nno-Trace-Id"), ["trace-1"])
        self.assertEqual(headers.getRawHeaders("Authorization"), ["Bearer t"])

    def test_a_body_is_json_and_has_a_length(self) -> None:
        self.successResultOf(self.call(method="POST", body=b'{"key":"k"}'))
        asked = self.service.asked[0]
        self.assertEqual((asked.method, asked.body), (b"POST", b'{"key":"k"}'))
        self.assertEqual(asked.headers.getRawHeaders("Content-Type"), ["application/json"])
        self.assertEqual(asked.headers.getRawHeaders("Content-Length"), ["11"])

    def test_paths_follow_the_base_path_as_they_are(self) -> None:
        agent = ManualAgent()
        self.call(agent, base_url="http://iam/base/", path="/a%2Fb%2e")
        self.assertEqual(agent.uris, [b"http://iam/base/a%2Fb%2e"])

    def test_compressed_answers_are_not_asked_for(self) -> None:
        self.successResultOf(self.call())
        self.assertEqual(self.service.asked[0].headers.getRawHeaders("Accept-Encoding"), ["identity"])

    # -- what comes back --

    def test_an_answer_is_its_status_and_its_bytes(self) -> None:
        self.service.status, self.service.body = 418, b"teapot"
        self.assertEqual(self.successResultOf(self.call()), ControlResponse(418, b"teapot"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_answers_bytes_are_not_in_its_repr(self) -> None:
        self.assertNotIn("ada", repr(ControlResponse(200, b"ada")))

    def test_a_redirect_is_an_answer_like_any_other(self) -> None:
        self.service.status, self.service.headers = 302, {b"Location": b"http://elsewhere/"}
        self.assertEqual(self.successResultOf(self.call()).status, 302)
        self.assertEqual(len(self.service.asked), 1)

    def test_a_cookie_is_neither_kept_nor_sent(self) -> None:
        """Else one caller's cookie would go out with the next caller's question."""
        self.service.headers = {b"Set-Cookie": b"session=ada; Path=/"}
        client = self.client(self.service.agent())
        for _ in range(2):
            self.successResultOf(client.call("GET", "/x", an_exchange(), {}))
        self.assertIsNone(self.service.asked[1].headers.getRawHeaders("Cookie"))

    def test_a_compressed_answer_is_not_unpacked(self) -> None:
        """What it may grow to has no bound."""
        bomb = gzip.compress(b"0" * 10_000)
        self.service.body, self.service.headers = bomb, {b"Content-Encoding": b"gzip"}
        self.assertEqual(self.successResultOf(self.call()).body, bomb)

    def test_retry_after_is_told_where_it_is_to_be_believed(self) -> None:
        for value, told in ((b"7", 7), (b"300", 300), (b"301", None), (b"0", None), (b"-1", None), (b"9" * 5000, None), (b"soon", None)):
            self.service.headers = {b"Retry-After": value}
            self.assertEqual(self.successResultOf(self.call()).retry_after, told, value[:9])

    def test_an_answer_at_the_bound_is_taken_and_one_beyond_is_not(self) -> None:
        self.service.body = b"x" * 100
        self.assertEqual(len(self.successResultOf(self.call()).body), 100)
        self.service.body = b"x" * 101
        self.assertFails(self.call(), "too large")

    def test_an_answer_without_end_is_cut_at_the_bound(self) -> None:
        """No more of it is read, whatever length it announced."""
        service = OpenEnded(lambda request: request.write(b"x" * 60))
        agent = RequestTraversalAgent(service)
        answer = self.call(agent)
        self.assertNoResult(answer)
        service.requests[0].write(b"x" * 60)
        agent.flush()
        self.assertFails(answer, "too large")
        agent.flush()
        self.assertEqual(service.ended, [True])

    # -- what goes wrong --

    def test_no_answer_within_the_time_is_given_up(self) -> None:
        service = OpenEnded()
        agent = RequestTraversalAgent(service)
        answer = self.call(agent)
        self.clock.advance(1.9)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertFails(answer, "no response within 2 s")
        agent.flush()
        self.assertEqual(service.ended, [True])

    def test_a_body_that_does_not_end_within_the_time_is_given_up(self) -> None:
        """However often a byte of it comes."""
        service = OpenEnded(lambda request: request.write(b"["))
        agent = RequestTraversalAgent(service)
        answer = self.call(agent)
        for _ in range(29):
            self.clock.advance(0.1)
            service.requests[0].write(b"1")
            agent.flush()
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertFails(answer, "no whole response within 3 s")
        agent.flush()
        self.assertEqual(service.ended, [True])

    def test_an_answer_that_comes_after_it_was_given_up_changes_nothing(self) -> None:
        agent = ManualAgent()
        answer = self.call(agent)
        self.clock.advance(2)
        self.assertFails(answer, "no response")
        self.assertEqual(agent.cancelled, 1)

    def test_an_answer_that_breaks_off_is_none(self) -> None:
        def cut(request: Request) -> None:
            request.setHeader(b"Content-Length", b"50")
            request.write(b'{"userId"')
            request.transport.loseConnection()  # type: ignore[union-attr]  # a request under way has one

        agent = RequestTraversalAgent(OpenEnded(cut))
        answer = self.call(agent)
        agent.flush()
        self.assertFails(answer, "ResponseFailed")

    def test_an_answer_that_ends_with_its_connection_is_whole(self) -> None:
        def close(request: Request) -> None:
            transport: Any = request.transport
            transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nnull")
            transport.loseConnection()

        agent = RequestTraversalAgent(OpenEnded(close))
        answer = self.call(agent)
        agent.flush()
        self.assertEqual(self.successResultOf(answer).body, b"null")

    def test_failures_are_told_by_name_and_never_quoted(self) -> None:
        """Their texts may hold what the service sent back, and that what it was asked."""
        lost = ResponseFailed([Failure(ConnectionLost("echoed token"))])
        for error, told in (
            (Refused("token"), "ConnectionRefusedError"),
            (lost, "ResponseFailed: ConnectionLost"),
            (UpstreamFailed(reason="cannot connect"), "cannot connect"),
            (UpstreamFailed(), "UPSTREAM_ERROR"),
        ):
            agent = ManualAgent()
            answer = self.call(agent)
            agent.requests[0].errback(error)
            failure = self.failureResultOf(answer, CallFailed)
            self.assertEqual(str(failure.value), told)

    def test_an_agent_that_fails_at_once_is_a_failed_call(self) -> None:
        agent = ManualAgent()
        agent.request = lambda *_: fail(Refused())  # type: ignore[method-assign]  # the shortest way to say it
        self.assertFails(self.call(agent), "ConnectionRefusedError")

    def test_after_a_freeze_a_response_that_waits_in_the_socket_counts(self) -> None:
        """Timers run before sockets are read: a late one looks again."""
        clock = FreezableClock()
        self.clock = clock
        agent = ManualAgent()
        answer = self.call(agent)
        self.service.body = b"null"
        clock.sockets.append(lambda: self.service.agent().request(b"GET", b"http://iam/x").chainDeferred(agent.requests[0]))
        clock.thaw(60)
        self.assertEqual(self.successResultOf(answer).body, b"null")
        self.assertEqual((agent.cancelled, clock.getDelayedCalls()), (0, []))

    def test_a_body_that_can_be_sent_again_says_so(self) -> None:
        """The connection's owner may repeat the request, a POST too."""
        bodies: list[Any] = []

        class Agent(ManualAgent):
            def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
                bodies.append(bodyProducer)
                return super().request(method, uri, headers)

        self.call(Agent(), method="POST", body=b"{}")
        written: list[bytes] = []
        consumer = SimpleNamespace(write=written.append)
        for _ in range(2):
            self.successResultOf(bodies[0].startProducing(consumer))
        self.assertEqual((bodies[0].repeatable, written), (True, [b"{}", b"{}"]))

    def test_a_call_can_be_cancelled(self) -> None:
        agent = ManualAgent()
        answer = self.call(agent)
        answer.cancel()
        self.assertFails(answer, CancelledError.__name__)
        self.assertEqual(agent.cancelled, 1)
