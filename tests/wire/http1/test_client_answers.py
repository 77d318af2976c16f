"""What becomes of an upstream's answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed
from nnogw.wire.http1.client import UpstreamRequest
from nnogw.wire.response import UpstreamResponse
from tests.doubles import Collected
from tests.wire.upstream_connection import Upstreams

HEAD = b"HTTP/1.1 200 OK\r\n"


def answered(data: bytes, method: bytes = b"GET", sizes: list[int] | None = None) -> tuple[UpstreamResponse, Collected, Upstreams]:
    """Return the response that `data` is, its body as collected, and the upstream, which has sent it in segments of `sizes` bytes."""
    upstreams = Upstreams()
    waiting = upstreams.get(method)
    collected = Collected()
    responses: list[UpstreamResponse] = []

    def take(response: UpstreamResponse) -> None:
        responses.append(response)
        response.body.stream(collected)

    waiting.addCallback(take)
    for size in sizes or []:
        upstreams.line.answer(data[:size]) if data[:size] else None
        data = data[size:]
    if data:
        upstreams.line.answer(data)
    waiting.addErrback(lambda failure: failure.raiseException())
    return responses[0], collected, upstreams


class Framing(SynchronousTestCase):
    """RFC 9112 §6.3."""

    def test_heads_are_kept_as_they_came(self) -> None:
        """Reason phrase, order, spelling and repetition."""
        response, collected, upstreams = answered(
            b"HTTP/1.1 418 I am  a teapot\r\nSet-Cookie: a\r\nX-ODD: \t v \r\nset-cookie: b\r\nContent-Length: 2\r\n\r\nok"
        )
        self.assertEqual((response.status, response.reason), (418, b"I am  a teapot"))
        self.assertEqual([(n, v) for _, n, v in response.fields.raw[:3]], [(b"Set-Cookie", b"a"), (b"X-ODD", b"v"), (b"set-cookie", b"b")])
        self.assertEqual((collected.data, collected.ended, upstreams.pool.idle), (b"ok", True, 1))

    def test_bodies_end_where_they_say(self) -> None:
        """Sized, chunked, or where there is none."""
        for data, method, body in (
            (HEAD + b"Content-Length: 5\r\n\r\nhello", b"GET", b"hello"),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: dropped\r\n\r\n", b"GET", b"hello!"),
            (HEAD + b"Content-Length: 0\r\n\r\n", b"GET", b""),
            (HEAD + b"Content-Length: 5\r\n\r\n", b"HEAD", b""),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"HEAD", b""),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b""),
            (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"GET", b""),
        ):
            _, collected, upstreams = answered(data, method)
            self.assertEqual((collected.data, collected.ended, upstreams.pool.idle), (body, True, 1), data)

    def test_a_body_without_a_length_ends_with_its_connection(self) -> None:
        """If that ends in order; a connection that breaks breaks the body."""
        for head in (HEAD, b"HTTP/1.0 200 OK\r\n"):
            _, collected, upstreams = answered(head + b"\r\nsome")
            self.assertFalse(collected.ended)
            upstreams.line.answer(b" more")
            upstreams.line.lose()
            self.assertEqual((collected.data, collected.ended), (b"some more", True))
        _, collected, upstreams = answered(HEAD + b"\r\nsome")
        upstreams.line.lose(ConnectionResetError())
        self.assertIsInstance(collected.error, UpstreamFailed)

    def test_interim_answers_are_no_answers(self) -> None:
        """As many as come (RFC 9110 §15.2); what a 103 says is passed on, if somebody wants it."""
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        response, collected, _ = answered(interim + HEAD + b"Content-Length: 2\r\n\r\nok")
        self.assertEqual((response.status, collected.data, response.fields.get(b"link")), (200, b"ok", None))
        upstreams, hints = Upstreams(), []
        waiting = upstreams.send(UpstreamRequest(b"GET", b"/x", b"service", [], hinted=hints.append))
        upstreams.line.answer(interim + HEAD + b"Content-Length: 2\r\n\r\nok")
        self.assertEqual([fields.raw for fields in hints], [((b"link", b"Link", b"x"),)])
        self.assertEqual(self.successResultOf(waiting).status, 200)

    def test_an_answer_to_head_keeps_the_connection(self) -> None:
        """It has no body, whether it says a length or not."""
        for fields in (b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
            _, collected, upstreams = answered(HEAD + fields + b"\r\n", b"HEAD")
            self.assertEqual((collected.ended, upstreams.pool.idle), (True, 1), fields)
        _, _, upstreams = answered(HEAD + b"Connection: foo, Close\r\n\r\n", b"HEAD")
        self.assertEqual((upstreams.pool.idle, upstreams.line.lost), (0, True))

    def test_a_connection_that_is_not_to_be_kept_is_closed(self) -> None:
        """By the answer's word, or by its version's."""
        for head in (HEAD + b"Connection: close\r\n", b"HTTP/1.0 200 OK\r\n"):
            _, collected, upstreams = answered(head + b"Content-Length: 2\r\n\r\nok")
            self.assertEqual((collected.ended, upstreams.pool.idle, upstreams.line.lost), (True, 0, True))
        _, _, upstreams = answered(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
        self.assertEqual(upstreams.pool.idle, 1)

    def test_what_comes_behind_an_answer_is_nobodys(self) -> None:
        """The connection is never used again."""
        second = HEAD + b"Content-Length: 4\r\n\r\nevil"
        for data in (
            HEAD + b"Content-Length: 2\r\n\r\nok" + second,
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + second,
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\ngarbage",
        ):
            _, collected, upstreams = answered(data)
            self.assertEqual((collected.data, collected.ended, upstreams.pool.idle), (b"ok", True, 0), data)
        _, _, upstreams = answered(HEAD + b"Content-Length: 2\r\n\r\nok")
        upstreams.line.answer(b"late")
        self.assertEqual((upstreams.pool.idle, upstreams.line.aborted), (0, True))

    @settings(deadline=None, max_examples=60)
    @given(st.sampled_from([0, 1, 2]), st.lists(st.integers(1, 9), max_size=60))
    def test_it_is_the_same_in_whatever_segments_it_comes(self, which: int, sizes: list[int]) -> None:
        """Byte by byte, or all at once."""
        data = (
            HEAD + b"A: b\r\nContent-Length: 11\r\n\r\nhello world",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\nT: x\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 11\r\n\r\nhello world",
        )[which]
        response, collected, upstreams = answered(data, sizes=sizes)
        self.assertEqual((response.status, collected.data, collected.ended, upstreams.pool.idle), (200, b"hello world", True, 1))


class Malformed(SynchronousTestCase):
    """An answer that cannot be understood is none."""

    def test_each_kind_is_a_failure_and_the_end_of_the_connection(self) -> None:
        """The reason is for the log."""
        for data in (
            b"garbage\r\n\r\n",
            b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/0.9 200 OK\r\n\r\n",
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
            HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
            HEAD + b"Content-Length: +2\r\n\r\nok",
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HEAD + b"A: b\r\n folded\r\n\r\n",
            HEAD + b"A : b\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 O\x1b[2JK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            HEAD + b"A: " + b"a" * 70_000,
        ):
            upstreams = Upstreams()
            waiting = upstreams.get()
            upstreams.line.answer(data)
            failure = self.failureResultOf(waiting, UpstreamFailed)
            self.assertIn("malformed response", failure.value.reason)
            self.assertEqual(failure.value.kind, "malformed")
            self.assertTrue(upstreams.line.aborted, data[:60])

    def test_a_chunked_body_that_is_none_breaks_the_answer(self) -> None:
        """It is never taken for whole."""
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
        _, collected, upstreams = answered(head + b"zz\r\n", sizes=[len(head)])
        self.assertEqual((collected.data, collected.ended, upstreams.line.aborted), (b"ok", False, True))
        self.assertIsInstance(collected.error, UpstreamFailed)


class Backpressure(SynchronousTestCase):
    """Nothing is read that has nowhere to go."""

    def test_a_body_that_nobody_takes_is_not_read(self) -> None:
        """Until somebody does."""
        upstreams = Upstreams()
        response = self.successResultOf(self.started(upstreams))
        self.assertTrue(upstreams.line.paused)
        collected = Collected()
        response.body.stream(collected)
        self.assertEqual((upstreams.line.paused, collected.data), (False, b"ab"))

    def test_a_consumer_may_pause_and_resume_it(self) -> None:
        """Also while it takes what came along with the head."""

        class Pausing(Collected):
            def body_data(self, data: bytes) -> None:
                super().body_data(data)
                response.body.pauseProducing()

        upstreams = Upstreams()
        response = self.successResultOf(self.started(upstreams))
        collected = Pausing()
        response.body.stream(collected)
        self.assertTrue(upstreams.line.paused)
        response.body.resumeProducing()
        self.assertFalse(upstreams.line.paused)
        upstreams.line.answer(b"cd")
        response.body.resumeProducing()
        self.assertEqual((collected.data, collected.ended, upstreams.line.paused), (b"abcd", True, False))

    def test_a_body_that_is_not_wanted_closes_its_connection(self) -> None:
        """Its rest is never read."""
        upstreams = Upstreams()
        response = self.successResultOf(self.started(upstreams))
        response.body.stopProducing()
        response.body.pauseProducing()
        self.assertTrue(upstreams.line.aborted)

    def started(self, upstreams: Upstreams):
        """Return the answer of which half has come."""
        waiting = upstreams.get()
        upstreams.line.answer(HEAD + b"Content-Length: 4\r\n\r\nab")
        return waiting
