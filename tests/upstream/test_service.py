"""A service: where it is, and how a request gets there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nnogw.bodies import BodyConsumer
from nnogw.errors import RequestTimeout, UpstreamFailed, UpstreamTimeout
from nnogw.settings import ServiceSettings
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.service import Service, service_for
from nnogw.wire.http1.client import UpstreamConnection, UpstreamRequest
from nnogw.wire.transport.write_batch import WriteBatch
from tests.doubles import ScriptedBody
from tests.identity.doubles import ReadableLedger
from tests.upstream.doubles import Names
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def service(reactor: Any = None, **settings: Any) -> Service | None:
    """Return the service that `settings` describe."""
    reactor = reactor or MemoryReactorClock()
    return service_for("billing", ServiceSettings(**settings), Addresses(reactor, WriteBatch(reactor), Names(reactor).resolver))


class Places(SynchronousTestCase):
    """From a binding or a URL to where it is."""

    def described(self, **settings: Any) -> tuple[str, bytes, bytes]:
        """Return label, Host and base path of a service."""
        found = service(**settings)
        assert found is not None
        return found.label, found.host, found.base_path

    def test_a_binding_is_an_endpoint_string(self) -> None:
        """Host has the port where it is not the scheme's own; what is a file is localhost."""
        for binding, host in (
            ("tcp:10.0.0.4:8080", b"10.0.0.4:8080"),
            ("tcp:host=billing.internal:port=80", b"billing.internal"),
            (r"tcp:host=2001\:db8\:\:1:port=81", b"[2001:db8::1]:81"),
            ("tls:registry.internal:443", b"registry.internal"),
            ("tls:registry.internal:8443", b"registry.internal:8443"),
            ("tls:bücher.example:8443", b"xn--bcher-kva.example:8443"),
            (r"tls:registry.internal:443:endpoint=unix\:/run/tls.sock", b"registry.internal"),
            ("unix:/run/nno/billing.sock", b"localhost"),
        ):
            self.assertEqual(self.described(binding=binding), (binding, host, b""))

    def test_a_url_may_have_a_base_path(self) -> None:
        """Without its trailing slash."""
        for url, expected in (
            ("http://127.0.0.1:8788/api/v1/onboarding/", ("http://127.0.0.1:8788", b"127.0.0.1:8788", b"/api/v1/onboarding")),
            ("http://localhost", ("http://localhost", b"localhost", b"")),
            ("https://billing.example", ("https://billing.example", b"billing.example", b"")),
            ("https://[::1]:8443/x", ("https://[::1]:8443", b"[::1]:8443", b"/x")),
        ):
            self.assertEqual(self.described(url=url), expected)

    def test_a_binding_goes_before_a_url_and_without_either_there_is_nothing(self) -> None:
        """The URL is for development."""
        self.assertEqual(self.described(binding="tcp:a:1", url="http://b")[0], "tcp:a:1")
        self.assertIsNone(service())


class Refusals(SynchronousTestCase):
    """Nobody listens where the service should be."""

    def test_an_address_that_refuses_is_known_at_once(self) -> None:
        """No time passes: an outage is not to keep every request waiting."""
        for host in ("127.0.0.1", "[::1]"):
            reactor: Any = MemoryReactorClock()
            found = service(reactor, url=f"http://{host}:8788")
            assert found is not None
            answer = found.send(UpstreamRequest(b"GET", b"/", b"billing", [], None))
            (address, port, factory, _, _) = reactor.tcpClients[0]
            self.assertEqual((address, port), (host.strip("[]"), 8788))
            factory.clientConnectionFailed(None, Failure(Refused()))
            self.failureResultOf(answer, UpstreamFailed)


class DeadConnections(SynchronousTestCase):
    """A kept connection that turns out to be closed."""

    def setUp(self) -> None:
        self.upstreams = Upstreams()
        self.service = self.upstreams.service("billing", b"billing")
        self.send(b"GET")
        self.upstreams.line.answer(OK)

    def send(self, method: bytes, body: ScriptedBody | None = None):
        """Send a request."""
        return self.service.send(UpstreamRequest(method, b"/", b"billing", [], body))

    def test_it_is_replaced_silently_for_what_may_be_repeated(self) -> None:
        """Once, by a new one; if that dies too, it is a failure."""
        for method in (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"):
            answer = self.send(method)
            lines = len(self.upstreams.endpoint.lines)
            self.upstreams.line.lose()
            self.assertEqual(len(self.upstreams.endpoint.lines), lines + 1)
            self.upstreams.line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(self.successResultOf(answer).status, 200)
        answer = self.send(b"GET")
        self.upstreams.line.lose()
        self.upstreams.line.lose()
        self.failureResultOf(answer, UpstreamFailed)

    def test_what_may_not_be_repeated_fails(self) -> None:
        """A POST, and anything whose body has begun to flow."""
        for method, body in ((b"POST", None), (b"PATCH", None), (b"PUT", ScriptedBody(3))):
            answer = self.send(method, body)
            lines = len(self.upstreams.endpoint.lines)
            self.upstreams.line.lose()
            self.assertIn("closed before it answered", self.failureResultOf(answer, UpstreamFailed).value.reason)
            self.assertEqual(len(self.upstreams.endpoint.lines), lines)
            self.send(b"GET")
            self.upstreams.line.answer(OK)

    def test_what_may_not_be_repeated_is_not_written_to_a_connection_whose_end_has_arrived(self) -> None:
        """It is known before a byte is sent; anything else finds out by itself."""
        for method, body, sent_anew in ((b"POST", None, True), (b"PUT", ScriptedBody(3), True), (b"GET", None, False)):
            self.setUp()
            kept = self.upstreams.line
            self.patch(UpstreamConnection, "quiet", False)
            self.send(method, body)
            self.assertEqual(len(self.upstreams.endpoint.lines) == 2, sent_anew)
            self.assertEqual(kept.disconnecting, sent_anew)

    def test_a_connection_that_broke_within_an_answer_is_not_replaced(self) -> None:
        """The request may have been carried out."""
        answer = self.send(b"GET")
        self.upstreams.line.answer(b"HTTP/1.1 2")
        self.upstreams.line.lose()
        self.failureResultOf(answer, UpstreamFailed)
        self.assertEqual(len(self.upstreams.endpoint.lines), 1)

    def test_what_says_that_it_is_repeatable_is_repeated_with_its_body(self) -> None:
        """A POST of the gateway's own."""
        body = RepeatableBody(b"key")
        answer = self.service.send(UpstreamRequest(b"POST", b"/", b"iam", [], body, repeatable=True))
        self.assertTrue(self.upstreams.line.received.endswith(b"\r\n\r\nkey"))
        self.upstreams.line.lose()
        self.assertTrue(self.upstreams.line.received.endswith(b"\r\n\r\nkey"))
        self.assertEqual(len(self.upstreams.endpoint.lines), 2)
        self.upstreams.line.answer(OK)
        self.assertEqual(self.successResultOf(answer).status, 200)


class TimeLimits(SynchronousTestCase):
    """Two generations of the configuration have a service at one address."""

    def test_a_request_has_those_of_its_own_service(self) -> None:
        """On a kept connection and on a new one, whoever has used it before."""
        for kept in (True, False):
            upstreams = Upstreams()
            before = upstreams.service("billing", b"billing", response_timeout=30)
            after = upstreams.service("billing", b"billing", response_timeout=5)
            for service, seconds in ((before, 30), (after, 5), (before, 30)):
                if kept:
                    upstreams.pool.released(self.successResultOf(upstreams.connect()))
                answer = service.send(UpstreamRequest(b"GET", b"/", b"billing", []))
                upstreams.advance(seconds - 1)
                self.assertNoResult(answer)
                upstreams.advance(1)
                self.failureResultOf(answer, UpstreamTimeout)

    def test_a_new_connection_may_take_as_long_as_the_service_says(self) -> None:
        """For each request by itself."""
        upstreams = Upstreams(connect_timeout=60)
        for seconds in (3, 1):
            upstreams.endpoint.outcome = Deferred()
            service = upstreams.service("billing", b"billing", connect_timeout=seconds)
            answer = service.send(UpstreamRequest(b"GET", b"/", b"billing", []))
            upstreams.advance(seconds - 0.1)
            self.assertNoResult(answer)
            upstreams.advance(0.1)
            self.assertEqual(self.failureResultOf(answer, UpstreamTimeout).value.end, "timeout:connect")


class RepeatableBody(ScriptedBody):
    """A body that is there at once, as often as it is asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data

    def stream(self, consumer: BodyConsumer) -> None:
        """Send it."""
        consumer.body_data(self._data)
        consumer.body_ended()


class Failing(SynchronousTestCase):
    """A service that fails for a while is a degraded state."""

    def setUp(self) -> None:
        self.ledger = ReadableLedger()
        self.upstreams = Upstreams(connect_timeout=3, response_timeout=30)
        self.service = self.upstreams.service("billing", b"billing", ledger=self.ledger)

    def send(self, body: ScriptedBody | None = None) -> Deferred[Any]:
        return self.service.send(UpstreamRequest(b"PUT", b"/", b"billing", [], body))

    def refused(self) -> None:
        """Send a request to where nobody listens."""
        self.upstreams.endpoint.outcome = fail(Refused())
        self.failureResultOf(self.send(), UpstreamFailed)
        self.upstreams.endpoint.outcome = None

    def broken(self) -> None:
        """Send a request whose connection breaks."""
        answer = self.send()
        self.upstreams.line.answer(b"HTTP/1.1 2")
        self.upstreams.line.lose()
        self.failureResultOf(answer, UpstreamFailed)

    def silent(self) -> None:
        """Send a request that gets no response."""
        answer = self.send()
        self.upstreams.clock.advance(30)
        self.failureResultOf(answer, UpstreamTimeout)

    def answered(self, response: bytes = LAST) -> None:
        """Send a request that gets a response."""
        answer = self.send()
        self.upstreams.line.answer(response)
        self.successResultOf(answer)

    def test_one_that_refuses_breaks_or_is_silent_for_a_while_is_in_the_ledger_until_it_responds(self) -> None:
        for failing in (self.refused, self.broken, self.silent):
            self.upstreams.clock.advance(3600)
            failing()
            self.assertEqual(self.ledger.current, {})
            failing()
            failing()
            self.assertEqual(set(self.ledger.current), {("service-failing", "billing")})
            self.answered()
            self.assertEqual(self.ledger.current, {})

    def test_single_failures_among_responses_are_not(self) -> None:
        for _ in range(20):
            self.refused()
            self.broken()
            self.answered()
        self.assertEqual(self.ledger.current, {})

    def test_an_error_that_the_service_responds_with_is_a_response(self) -> None:
        """It passes through."""
        for _ in range(20):
            self.answered(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.ledger.current, {})

    def test_a_client_that_leaves_is_no_failure_of_the_service(self) -> None:
        """Nor one whose body breaks off."""
        for _ in range(20):
            answer = self.send()
            answer.cancel()
            self.failureResultOf(answer)
            body = ScriptedBody(10)
            answer = self.send(body)
            assert body.consumer is not None
            body.consumer.body_failed(RequestTimeout(reason="the body stopped coming"))
            self.failureResultOf(answer, RequestTimeout)
            self.upstreams.clock.advance(1)
        self.assertEqual(self.ledger.current, {})
