"""The request goes to its service, and the service's answer comes back."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.bodies import Body
from nnogw.errors import NotFound, PayloadTooLarge, ServiceUnavailable, UpstreamFailed, UpstreamTimeout
from nnogw.exchange import Exchange, Identity, Response
from nnogw.fields import Field, HeaderFields, field
from nnogw.headers import TrustedProxies
from nnogw.middleware.proxy import Proxy
from tests.doubles import BILLING, Further, ScriptedBody, exchange


class Service:
    """A service that remembers what it was sent (a `nnogw.interfaces.ServiceClient`)."""

    name = "billing"
    address = "tcp:billing:80"

    def __init__(self, *, preserve_host: bool = False, forward_credentials: bool = True) -> None:
        self.preserve_host = preserve_host
        self.forward_credentials = forward_credentials
        self.sent: list[tuple[bytes, bytes, Body | None, bytes | None]] = []
        self.fields: list[Field] = []
        self.answer: Deferred[Any] = Deferred()

    def forward(
        self, method: bytes, target: bytes, fields: list[Field], body: Body | None, host: bytes | None, hinted: object = None
    ) -> Deferred[Any]:
        """Take note, and wait for the test."""
        self.hinted = hinted
        self.sent.append((method, target, body, host))
        self.fields = fields
        return self.answer


class Answer:
    """An answer of a service."""

    def __init__(self, body: ScriptedBody, *pairs: tuple[bytes, bytes]) -> None:
        self.status = 203
        self.reason = b"Odd Reason"
        self.fields = HeaderFields(pairs)
        self.body = body


class ProxyTests(SynchronousTestCase):
    """The innermost step."""

    def setUp(self) -> None:
        self.clock = Clock()

    def proxied(self, request: Exchange, service: Service | None, trusted: TrustedProxies | None = None) -> Deferred[Response]:
        """Start `request` on its way."""
        return Proxy({"billing": service}, trusted or TrustedProxies(), self.clock.seconds)(request, Further())

    def sent(self, request: Exchange, service: Service) -> dict[bytes, bytes]:
        """Return the fields that `service` gets of `request`: name → value."""
        self.proxied(request, service)
        return {name: value for _, name, value in service.fields}

    def test_the_service_gets_the_rest_of_the_path_and_who_is_calling(self) -> None:
        """The client's own word on that is gone."""
        service, request = Service(), exchange(b"PUT", fields=[(b"Host", b"api"), (b"X-Nno-Role", b"root"), (b"Accept", b"*/*")])
        request.identity = Identity("session", fields=(field(b"X-Nno-User-Id", b"u1"),))
        request.body = body = ScriptedBody(3)
        fields = self.sent(request, service)
        self.assertEqual(service.sent, [(b"PUT", b"/x", body, None)])
        self.assertEqual(fields[b"X-Nno-User-Id"], b"u1")
        self.assertEqual((fields[b"X-Nno-Request-Id"], fields[b"X-Nno-Trace-Id"]), (b"request-1", b"trace-1"))
        self.assertEqual((fields[b"Accept"], fields[b"X-Forwarded-For"], fields[b"Via"]), (b"*/*", b"192.0.2.1", b"1.1 nnogw"))
        self.assertNotIn(b"X-Nno-Role", fields)
        self.assertEqual(request.upstream, "tcp:billing:80")

    def test_settings_of_the_service_and_of_the_route_are_kept(self) -> None:
        """preserve_host, forward_credentials, upstream_path; and trusted proxies are added to."""
        service = Service(preserve_host=True, forward_credentials=False)
        request = exchange(fields=[(b"Host", b"api"), (b"Authorization", b"Bearer x"), (b"X-Forwarded-For", b"203.0.113.9")])
        request.route = evolve(BILLING, upstream_path=b"/base")
        self.proxied(request, service, TrustedProxies(["192.0.2.1"]))
        fields = {name: value for _, name, value in service.fields}
        self.assertEqual(service.sent[0][1:], (b"/base/x", None, b"api"))
        self.assertNotIn(b"Authorization", fields)
        self.assertEqual(fields[b"X-Forwarded-For"], b"203.0.113.9, 192.0.2.1")

    def test_the_answer_comes_back_as_it_is(self) -> None:
        """Without its hop-by-hop fields, with a Via; how long it took is noted."""
        service, request, body = Service(), exchange(), ScriptedBody()
        answer = self.proxied(request, service)
        self.clock.advance(0.5)
        service.answer.callback(Answer(body, (b"Set-Cookie", b"a"), (b"Keep-Alive", b"5"), (b"Set-Cookie", b"b")))
        response = self.successResultOf(answer)
        self.assertEqual((response.status, response.reason, response.body), (203, b"Odd Reason", body))
        self.assertEqual([name for _, name, _ in response.fields], [b"Set-Cookie", b"Set-Cookie", b"Via"])
        self.assertEqual((request.upstream_time, request.end), (0.5, "upstream"))

    def test_a_body_that_came_whole_is_not_streamed(self) -> None:
        """It goes out with the head."""
        service = Service()
        answer = self.proxied(exchange(), service)
        service.answer.callback(Answer(ScriptedBody(complete=b"whole")))
        self.assertEqual(self.successResultOf(answer).body, b"whole")

    def test_fields_that_middlewares_add_go_before_the_clients(self) -> None:
        """Of the same name, whatever its spelling."""
        service, request = Service(), exchange(fields=[(b"X-Tenant", b"forged"), (b"Accept", b"*/*")])
        request.add_upstream_field(b"x-tenant", b"acme")
        fields = self.sent(request, service)
        self.assertEqual((fields[b"x-tenant"], fields[b"Accept"]), (b"acme", b"*/*"))
        self.assertNotIn(b"X-Tenant", fields)

    def test_a_body_that_comes_when_something_else_has_been_sent_is_stopped(self) -> None:
        """A middleware did not wait for it."""
        service, request, body = Service(), exchange(), ScriptedBody()
        self.proxied(request, service)
        request.status = 504
        service.answer.callback(Answer(body))
        self.assertEqual(body.calls, ["stop"])

    def test_a_failure_passes_and_its_time_is_noted(self) -> None:
        """For Server-Timing and the log."""
        service, request = Service(), exchange()
        answer = self.proxied(request, service)
        self.clock.advance(2)
        service.answer.errback(UpstreamFailed())
        self.failureResultOf(answer, UpstreamFailed)
        self.assertEqual(request.upstream_time, 2)

    def test_what_went_wrong_with_the_service_is_noted(self) -> None:
        """Not what went wrong with the client's own body, nor that the client has left."""
        for error, kind in (
            (UpstreamFailed(), "reset"),
            (UpstreamFailed(kind="connect"), "connect"),
            (UpstreamFailed(kind="tls"), "tls"),
            (UpstreamFailed(kind="malformed"), "malformed"),
            (UpstreamTimeout(), "timeout"),
            (PayloadTooLarge(), ""),
            (CancelledError(), ""),
        ):
            service, request = Service(), exchange()
            answer = self.proxied(request, service)
            service.answer.errback(error)
            self.failureResultOf(answer, type(error))
            self.assertEqual(request.upstream_failure, kind, repr(error))

    def test_without_a_route_there_is_nothing(self) -> None:
        """404."""
        self.assertRaises(NotFound, self.proxied, exchange(route=None), None)

    def test_a_service_that_is_not_configured_is_named(self) -> None:
        """503."""
        error = self.assertRaises(ServiceUnavailable, self.proxied, exchange(), None)
        self.assertIn("billing", error.message)
        self.assertEqual(error.details, {"service": "billing"})
