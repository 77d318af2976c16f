"""One Deferred a request: from its head to the last byte of its answer, and to its end if it ends before."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest, RefusedTarget, UpstreamFailed
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields, field
from nnogw.headers import TrustedProxies
from nnogw.resource import GatewayResource
from nnogw.wire.body import IncomingBody
from nnogw.wire.request import AlreadyResponded
from nnogw.wire.site import GatewaySite
from tests.doubles import BodyConnection, Collected, Rules, ScriptedBody
from tests.wire.client_connection import ClientConnection

Pipeline = Callable[[Exchange], "Deferred[Response]"]


class ResourceTestCase(SynchronousTestCase):
    """A client on a real channel before a scripted pipeline."""

    def connect(self, pipeline: Pipeline, trusted: tuple[str, ...] = ()) -> ClientConnection:
        """Return a client's connection; `self.ended` has the exchanges that have ended."""
        self.clock = Clock()
        self.ended: list[Exchange] = []
        resource = GatewayResource(monotonic=self.clock.seconds, now=lambda: 1000.0, observers=[self.ended.append])
        rules = Rules(pipeline=pipeline, trusted=TrustedProxies(trusted))
        return ClientConnection(site=GatewaySite(resource, self.clock, rules))

    def answered(self, response: Response, method: bytes = b"GET") -> bytes:
        """Return what a client receives when the pipeline's answer is `response`."""
        client = self.connect(lambda exchange: succeed(response))
        client.send(method + b" /api/v1/billing/x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        return client.received


class TheExchange(ResourceTestCase):
    """What the pipeline is given."""

    def exchange(self, request: bytes, **options: Any) -> Exchange:
        """Return the exchange of `request`."""
        seen: list[Exchange] = []

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            seen.append(exchange)
            return Deferred()

        self.connect(pipeline, **options).send(request)
        (exchange,) = seen
        return exchange

    def test_it_knows_the_request_its_route_and_the_client(self) -> None:
        """Before the body has come."""
        exchange = self.exchange(
            b"PUT /api/v1/billing/a%2Fb?x HTTP/1.1\r\nHost: gateway\r\nX-Forwarded-For: 203.0.113.9\r\nContent-Length: 3\r\n\r\n",
            trusted=("192.0.2.7",),
        )
        self.assertEqual((exchange.method, exchange.path, exchange.rest), (b"PUT", b"/api/v1/billing/a%2Fb", b"/a%2Fb?x"))
        self.assertEqual((exchange.route.service, exchange.peer, exchange.ip), ("billing", "192.0.2.7", "203.0.113.9"))
        self.assertEqual((exchange.body.length, exchange.started_at, exchange.refusal), (3, 1000.0, None))

    def test_a_refused_path_and_a_refused_head_come_as_refusals(self) -> None:
        """For the pipeline to answer, which can tell them apart: only of the first is the head well-formed."""
        for request, kind, reason in (
            (b"GET /a/../b HTTP/1.1\r\nHost: gateway\r\n\r\n", RefusedTarget, "dot segment"),
            (b"GET http://other/b HTTP/1.1\r\nHost: gateway\r\n\r\n", RefusedTarget, "target and Host differ"),
            (b"GET /a HTTP/1.1\r\n\r\n", BadRequest, "no Host"),
            (b"GET /a/../b HTTP/1.1\r\n\r\n", BadRequest, "no Host"),
        ):
            exchange = self.exchange(request)
            self.assertIs(type(exchange.refusal), kind)
            self.assertIn(reason, exchange.refusal.reason)
            self.assertIsNone(exchange.route)


class Answers(ResourceTestCase):
    """What is written."""

    def test_the_gateways_fields_win_and_additions_come_behind(self) -> None:
        """One value each for what is decided, and nothing said twice."""

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.set_field(b"X-Frame-Options", b"DENY")
            exchange.add_field(b"Vary", b"Origin")
            exchange.add_field(b"Server-Timing", b"total;dur=1")
            varies = field(b"Vary", exchange.fields.first[b"x-vary"])
            fields = [field(b"x-frame-options", b"ALLOW"), field(b"Set-Cookie", b"a"), varies, field(b"Set-Cookie", b"b")]
            return succeed(Response(200, [*fields, field(b"Server-Timing", b"db;dur=5")], b"ok"))

        for vary, ours in ((b"Accept", [b"Accept", b"Origin"]), (b"accept, ORIGIN", [b"accept, ORIGIN"]), (b"*", [b"*"])):
            client = self.connect(pipeline)
            client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\nX-Vary: %b\r\n\r\n" % vary)
            head = client.received.partition(b"\r\n\r\n")[0].split(b"\r\n")
            got = [tuple(line.split(b": ", 1)) for line in head[1:]]
            self.assertEqual([value for name, value in got if name == b"Vary"], ours)
            self.assertEqual([value for name, value in got if name.lower() == b"x-frame-options"], [b"DENY"])
            self.assertEqual([value for name, value in got if name == b"Set-Cookie"], [b"a", b"b"])
            self.assertEqual([value for name, value in got if name == b"Server-Timing"], [b"db;dur=5", b"total;dur=1"])
            self.assertIn((b"Content-Length", b"2"), got)

    def test_bodies_go_by_the_book(self) -> None:
        """HEAD has the length but not the body; 204 and 304 have neither."""
        whole = self.answered(Response(200, [], b"hello"), b"HEAD")
        self.assertIn(b"\r\nContent-Length: 5\r\n", whole)
        self.assertTrue(whole.endswith(b"\r\n\r\n"))
        for status in (204, 304):
            self.assertNotIn(b"Content-Length", self.answered(Response(status)))
        self.assertIn(b"\r\nContent-Length: 0\r\n", self.answered(Response(200)))

    def test_a_body_streams_as_it_comes(self) -> None:
        """Sized if its length is known, else chunked; the books are closed at its end."""
        body = ScriptedBody()
        client = self.connect(lambda exchange: succeed(Response(200, [], body)))
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        body.consumer.body_data(b"hello")
        self.assertTrue(client.received.endswith(b"\r\n\r\n5\r\nhello\r\n"))
        self.assertEqual(self.ended, [])
        body.consumer.body_ended()
        self.assertTrue(client.received.endswith(b"0\r\n\r\n"))
        (exchange,) = self.ended
        self.assertEqual((exchange.status, exchange.bytes_out, exchange.end, exchange.abandoned), (200, 5, "gateway", False))

    def test_a_body_that_must_not_be_sent_is_not_streamed(self) -> None:
        """HEAD, 204 and 304: whoever sends it is told."""
        for status, method in ((200, b"HEAD"), (204, b"GET"), (304, b"GET")):
            body = ScriptedBody()
            received = self.answered(Response(status, [], body), method)
            self.assertTrue(received.endswith(b"\r\n\r\n"))
            self.assertNotIn(b"Transfer-Encoding", received)
            self.assertEqual((body.calls, len(self.ended)), (["stop"], 1))

    def test_a_bug_in_the_outermost_middleware_is_a_500_all_the_same(self) -> None:
        """And is told in the log."""

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            return succeed(None).addCallback(lambda _: 1 / 0)

        client = self.connect(pipeline)
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        self.assertIn(b"INTERNAL_ERROR", client.received)
        self.assertEqual(client.statuses, [500])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Misuse(ResourceTestCase):
    """What a middleware may do wrong, or differently, leaves neither a connection paused nor a channel busy."""

    GET = b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n"

    def proxied(self, body: ScriptedBody, then: Callable[[Response], Any]) -> ClientConnection:
        """Return a client whose request was answered by an upstream with `body`, and `then` by a middleware further out."""

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.upstream_body = body
            return succeed(Response(200, [], body)).addCallback(then).addErrback(lambda failure: Response(500))

        return self.connect(pipeline).send(self.GET)

    def test_a_response_that_is_replaced_is_stopped(self) -> None:
        """Or one behind which somebody raises; the client has the other one, and the next request is served."""
        for then, status in ((lambda response: Response(203, [], b"instead"), 203), (lambda response: 1 / 0, 500)):
            body = ScriptedBody()
            client = self.proxied(body, then)
            self.assertEqual((client.statuses, body.calls), ([status], ["stop"]))
            client.send(self.GET)
            self.assertEqual(client.statuses, [status, status])

    def test_a_response_that_is_sent_is_not_stopped(self) -> None:
        """Neither as it is, nor within another body, which takes it."""

        class Wrapped(ScriptedBody):
            def __init__(self, inner: ScriptedBody) -> None:
                super().__init__()
                self.inner = inner

            def stream(self, consumer: Any) -> None:
                self.inner.stream(consumer)

        for then in (lambda response: response, lambda response: Response(200, [], Wrapped(response.body))):
            body = ScriptedBody()
            client = self.proxied(body, then)
            body.consumer.body_data(b"hello")
            self.assertEqual(body.calls, [])
            self.assertIn(b"hello", client.received)

    def test_a_response_that_cannot_be_written_is_a_500(self) -> None:
        """The next request is served; where the response of the gateway itself cannot be written, the connection is cut."""
        body = ScriptedBody()
        wrong: Any = (b"x-wrong", "X-Wrong", b"text where bytes are due")
        client = self.connect(lambda exchange: succeed(Response(200, [wrong], body))).send(self.GET + self.GET)
        self.assertEqual((client.statuses, body.calls, client.channel.busy), ([500, 500], ["stop", "stop"], False))

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.response_additions.append(wrong)
            return succeed(Response(200, [], b"ok"))

        client = self.connect(pipeline).send(self.GET)
        self.assertEqual((client.received, client.channel.busy, len(self.ended)), (b"", False, 1))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 4)

    def test_a_callback_at_the_end_that_fails_is_logged_and_nothing_else(self) -> None:
        """The others are called, and the connection serves the next request."""

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.on_end.append(lambda ended: 1 / 0)
            return succeed(Response(200, [], b"ok"))

        client = self.connect(pipeline).send(self.GET + self.GET)
        self.assertEqual((client.statuses, len(self.ended)), ([200, 200], 2))
        self.assertFalse(client.channel.busy)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_the_fields_of_a_request_do_not_change(self) -> None:
        """The connection keeps them for the next request."""
        seen: list[tuple[Any, ...]] = []

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            seen.append(exchange.fields.raw)
            self.assertRaises(AttributeError, getattr, exchange.fields.raw, "append")
            with self.assertRaises(TypeError):
                exchange.fields.first[b"x-added"] = b"1"  # type: ignore[index]  # what must not be possible
            return succeed(Response(200))

        self.connect(pipeline).send(self.GET + self.GET)
        self.assertEqual(seen, [((b"host", b"Host", b"gateway"),)] * 2)

    def test_an_exchange_shows_no_secret(self) -> None:
        """It may stand in somebody's log."""
        shown: list[str] = []

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.request_id = "request-1"
            shown.append(repr(exchange))
            return succeed(Response(200, [field(b"Set-Cookie", b"secret")], b"secret"))

        self.connect(pipeline).send(b"GET /api/v1/billing/x?key=secret HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer secret\r\n\r\n")
        self.assertEqual(shown, ["<Exchange request-1: GET /api/v1/billing/x>"])
        self.assertNotIn("secret", repr(Response(200, [field(b"Set-Cookie", b"secret")], b"secret")))

    def test_the_consumer_of_a_request_body_hears_that_the_rest_will_not_come(self) -> None:
        """A middleware has answered while its upload is under way: the upstream's connection must not wait for it for ever."""
        taking = Collected()

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            assert exchange.body is not None
            exchange.body.stream(taking)
            return succeed(Response(200, [], b"ok"))

        client = self.connect(pipeline).send(b"POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\nabc")
        self.assertEqual(client.statuses, [200])
        self.assertIsInstance(taking.error, AlreadyResponded)


class Hints(ResourceTestCase):
    """What an upstream says in a 103 reaches the client (RFC 8297)."""

    def test_end_to_end_fields_are_passed_on(self) -> None:
        """Before the response."""

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            assert exchange.hinted is not None
            exchange.hinted(HeaderFields([(b"Link", b"</a.css>"), (b"Connection", b"x"), (b"X", b"1")]))
            return succeed(Response(200))

        client = self.connect(pipeline).send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        self.assertTrue(client.received.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"))


class Garbage(ResourceTestCase):
    """A request that has ended leaves nothing for the garbage collector, which would hold up everybody."""

    def test_an_exchange_is_gone_when_its_request_has_ended(self) -> None:
        """Whether its body was whole, or streamed, or its client left."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for end in ("whole", "streamed", "left"):
            seen: list[weakref.ref[Exchange]] = []
            bodies: list[IncomingBody] = []

            def pipeline(exchange: Exchange, end: str = end, seen: Any = seen, bodies: Any = bodies) -> Deferred[Response]:
                seen.append(weakref.ref(exchange))
                if end == "whole":
                    return succeed(Response(200, [], b"ok"))
                exchange.upstream_body = body = IncomingBody(BodyConnection(), None)
                bodies.append(body)
                return succeed(Response(200, [], body))

            client = self.connect(pipeline).send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
            if end == "streamed":
                bodies.pop().end()
            elif end == "left":
                client.leave()
                bodies.clear()
            self.ended.clear()
            client.turn()
            self.assertIsNone(seen[0](), end)


class Ends(ResourceTestCase):
    """Whoever ends it, the books are closed once."""

    def test_an_exchange_goes_with_its_request(self) -> None:
        """No cycle of references waits for the garbage collector."""
        client = self.connect(lambda _: succeed(Response(200)))
        gc.disable()
        self.addCleanup(gc.enable)
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        self.assertEqual(client.statuses, [200])
        exchange = weakref.ref(self.ended.pop())
        self.assertIsNone(exchange())

    def test_a_client_that_leaves_before_the_answer_cancels_the_pipeline(self) -> None:
        """It is marked first, so that nobody takes the echo for a failure."""
        marks: list[bool] = []
        waiting: Deferred[Response] = Deferred(lambda _: marks.append(self.ended[0].abandoned))
        calls: list[str] = []

        def pipeline(exchange: Exchange) -> Deferred[Response]:
            exchange.on_end.append(lambda ended: calls.append(ended.end))
            return waiting

        client = self.connect(pipeline)
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        client.leave()
        (exchange,) = self.ended
        self.assertEqual((exchange.status, exchange.end, marks, calls), (499, "client", [True], ["client"]))
        self.assertEqual(self.flushLoggedErrors(CancelledError), [])

    def test_an_answer_that_comes_too_late_is_let_go_of(self) -> None:
        """Its upstream has nothing more to send."""
        body, waiting = ScriptedBody(), Deferred(lambda _: None)
        late: Deferred[Response] = Deferred()
        waiting.addErrback(lambda _: late)
        client = self.connect(lambda exchange: waiting)
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        client.leave()
        late.callback(Response(200, [], body))
        self.assertEqual((body.calls, len(self.ended)), (["stop"], 1))

    def test_a_client_that_leaves_within_the_body_stops_the_upstream(self) -> None:
        """At once."""
        body = ScriptedBody()
        client = self.connect(lambda exchange: succeed(Response(200, [], body)))
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        body.consumer.body_data(b"hel")
        client.leave()
        (exchange,) = self.ended
        self.assertEqual((body.calls[-1], exchange.status, exchange.end, exchange.bytes_out), ("stop", 200, "client", 3))

    def test_an_upstream_that_dies_within_the_body_cuts_the_client(self) -> None:
        """Nothing is finished that is not whole."""
        body = ScriptedBody()
        client = self.connect(lambda exchange: succeed(Response(200, [], body)))
        client.send(b"GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
        body.consumer.body_data(b"hel")
        body.consumer.body_failed(UpstreamFailed(reason="the connection broke"))
        (exchange,) = self.ended
        self.assertTrue(client.transport.aborted)
        self.assertFalse(client.received.endswith(b"0\r\n\r\n"))
        self.assertEqual((exchange.status, exchange.end, exchange.reason), (200, "upstream", "the connection broke"))
