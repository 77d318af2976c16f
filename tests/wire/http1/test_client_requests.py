"""What an upstream receives."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import field
from nnogw.wire.http1.client import UpstreamRequest
from tests.doubles import ScriptedBody
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Heads(SynchronousTestCase):
    """Byte for byte."""

    def test_a_head_is_what_it_was_given_with_host_first(self) -> None:
        """Target, order and spelling."""
        upstreams = Upstreams()
        fields = [field(b"CoOkie", b"a=1"), field(b"Accept", b"x"), field(b"cookie", b"b=2")]
        upstreams.send(UpstreamRequest(b"GET", b"/a%2Fb//c?q=%zz", b"service:81", fields))
        self.assertEqual(
            upstreams.line.received, b"GET /a%2Fb//c?q=%zz HTTP/1.1\r\nHost: service:81\r\nCoOkie: a=1\r\nAccept: x\r\ncookie: b=2\r\n\r\n"
        )

    def test_a_request_that_could_have_a_body_says_that_it_has_none(self) -> None:
        """RFC 9110 §8.6."""
        for method, says in ((b"POST", True), (b"PUT", True), (b"PATCH", True), (b"GET", False), (b"DELETE", False)):
            upstreams = Upstreams()
            upstreams.get(method)
            self.assertEqual(b"\r\nContent-Length: 0\r\n" in upstreams.line.received, says, method)


class Bodies(SynchronousTestCase):
    """They stream as they come."""

    def setUp(self) -> None:
        self.upstreams = Upstreams()

    def posted(self, body: ScriptedBody) -> bytes:
        """Return what comes of a POST with `body`, behind its head."""
        self.answer = self.upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], body))
        return self.upstreams.line.received.partition(b"\r\n\r\n")[2]

    def test_a_body_of_known_length_is_sent_as_it_is(self) -> None:
        """Under the length that it announces."""
        body = ScriptedBody(6)
        self.posted(body)
        for piece in (b"abc", b"def"):
            body.consumer.body_data(piece)
        body.consumer.body_ended()
        self.assertTrue(self.upstreams.line.received.endswith(b"\r\nContent-Length: 6\r\n\r\nabcdef"))

    def test_any_other_is_chunked(self) -> None:
        """With an end of its own."""
        body = ScriptedBody(None)
        self.posted(body)
        body.consumer.body_data(b"x" * 17)
        self.assertTrue(self.upstreams.line.received.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n" + b"x" * 17 + b"\r\n"))
        body.consumer.body_ended()
        self.assertTrue(self.upstreams.line.received.endswith(b"\r\n0\r\n\r\n"))

    def test_a_body_that_breaks_off_cuts_the_connection(self) -> None:
        """The upstream must not take the half for the whole; whoever waits gets the reason."""
        body = ScriptedBody(6)
        self.posted(body)
        body.consumer.body_data(b"abc")
        body.consumer.body_failed(ValueError("the client has left"))
        self.failureResultOf(self.answer, ValueError)
        self.assertTrue(self.upstreams.line.aborted)

    def test_an_upstream_that_does_not_read_pauses_the_body(self) -> None:
        """And resumes it when it does."""
        body = ScriptedBody(None)
        self.posted(body)
        producer = self.upstreams.line.producer
        producer.pauseProducing()
        producer.resumeProducing()
        self.assertEqual(body.calls, ["pause", "resume"])

    def test_an_early_answer_is_handed_over_and_the_rest_of_the_body_not_wanted(self) -> None:
        """The connection is not used again."""
        body = ScriptedBody(6)
        self.posted(body)
        body.consumer.body_data(b"abc")
        self.upstreams.line.answer(OK)
        self.assertEqual(self.successResultOf(self.answer).status, 200)
        self.assertEqual((body.calls, self.upstreams.line.aborted, self.upstreams.pool.idle), (["stop"], True, 0))
        body.consumer.body_data(b"def")
        body.consumer.body_ended()
        body.consumer.body_failed(ValueError())

    def test_an_answer_that_streams_goes_on_beside_the_body(self) -> None:
        """Both ways at once; and the connection serves again when both are through."""
        body = ScriptedBody(3)
        self.posted(body)
        self.upstreams.line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        response = self.successResultOf(self.answer)
        body.consumer.body_data(b"abc")
        body.consumer.body_ended()
        self.upstreams.line.answer(b"k")
        self.assertEqual(response.body.whole(), b"ok")
        self.assertEqual(self.upstreams.pool.idle, 1)
