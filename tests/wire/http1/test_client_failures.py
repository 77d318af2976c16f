"""Upstreams that are late or leave, and requests that are given up."""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.wire.http1.client import DiedUnused, UpstreamRequest
from nnogw.wire.http1.limits import CLOSE_TIMEOUT
from nnogw.wire.response import UpstreamResponse
from tests.doubles import Collected, ScriptedBody
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"


class Late(SynchronousTestCase):
    """Each wait has its limit."""

    def setUp(self) -> None:
        self.upstreams = Upstreams(response_timeout=30, idle_timeout=60, keepalive_timeout=90)
        self.clock = self.upstreams.clock

    def test_an_answer_that_does_not_come(self) -> None:
        """Within `response_timeout`, however slowly its head drips in."""
        waiting = self.upstreams.get()
        self.upstreams.advance(29)
        self.upstreams.line.answer(b"HTTP/1.1 200")
        self.assertNoResult(waiting)
        self.upstreams.advance(1)
        self.assertEqual(self.failureResultOf(waiting, UpstreamTimeout).value.end, "timeout:response")
        self.assertTrue(self.upstreams.line.aborted)

    def test_a_request_that_is_not_taken(self) -> None:
        """Within `idle_timeout`."""
        waiting = self.upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], ScriptedBody(10)))
        self.upstreams.line.producer.pauseProducing()
        self.upstreams.advance(60)
        self.assertEqual(self.failureResultOf(waiting, UpstreamTimeout).value.end, "timeout:request")

    def test_the_time_for_the_answer_begins_when_the_request_is_through(self) -> None:
        """A slow client is not the upstream's fault."""
        body = ScriptedBody(3)
        waiting = self.upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], body))
        self.upstreams.advance(1000)
        body.consumer.body_data(b"abc")
        body.consumer.body_ended()
        self.upstreams.line.producer.pauseProducing()
        self.upstreams.line.producer.resumeProducing()
        self.upstreams.advance(29)
        self.assertNoResult(waiting)
        self.upstreams.advance(1)
        self.failureResultOf(waiting, UpstreamTimeout)

    def test_a_body_that_stops_coming(self) -> None:
        """Within `idle_timeout` of its last byte; while its consumer pauses it, it may take as long as it likes."""
        waiting = self.upstreams.get()
        self.upstreams.line.answer(HALF)
        response, collected = self.successResultOf(waiting), Collected()
        self.upstreams.advance(59)
        response.body.stream(collected)
        response.body.pauseProducing()
        self.upstreams.advance(1000)
        response.body.resumeProducing()
        self.upstreams.advance(59)
        self.upstreams.line.answer(b"c")
        self.upstreams.advance(59)
        self.assertIsNone(collected.error)
        self.upstreams.advance(1)
        self.assertEqual((collected.error.end, self.upstreams.line.aborted), ("timeout:idle", True))

    def uploading(self) -> tuple[Deferred[UpstreamResponse], ScriptedBody]:
        """Return the response to an upload of which 3 of 10 bytes are sent, and its body."""
        body = ScriptedBody(10)
        waiting = self.upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], body))
        body.consumer.body_data(b"abc")
        return waiting, body

    def test_silence_behind_an_early_head(self) -> None:
        """The upstream has begun its response, taken the rest of the upload, and says nothing more."""
        waiting, body = self.uploading()
        self.upstreams.line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        collected = Collected()
        self.successResultOf(waiting).body.stream(collected)
        body.consumer.body_data(b"defghij")
        body.consumer.body_ended()
        self.upstreams.advance(59)
        self.assertIsNone(collected.error)
        self.upstreams.advance(1)
        self.assertEqual((collected.error.end, self.upstreams.line.aborted), ("timeout:idle", True))

    def test_an_upload_that_goes_on_is_not_cut_by_an_early_response(self) -> None:
        """Neither its head nor a first byte of its body begins a wait: the upstream is at work."""
        waiting, body = self.uploading()
        self.upstreams.line.answer(HALF)
        collected = Collected()
        self.successResultOf(waiting).body.stream(collected)
        self.upstreams.line.answer(b"c")
        for _ in range(5):
            self.upstreams.advance(59)
            body.consumer.body_data(b"d")
        self.assertIsNone(collected.error)
        self.upstreams.line.producer.pauseProducing()
        self.upstreams.advance(60)
        self.assertEqual((collected.error.end, self.upstreams.line.aborted), ("timeout:request", True))

    def test_a_consumer_that_is_full_from_the_start(self) -> None:
        """It is waited for as long as it likes, too: its own limit counts."""
        waiting = self.upstreams.get()
        self.upstreams.line.answer(HALF)
        response, collected = self.successResultOf(waiting), Collected()
        response.body.pauseProducing()
        response.body.stream(collected)
        self.upstreams.advance(1000)
        self.assertIsNone(collected.error)
        response.body.resumeProducing()
        self.upstreams.advance(60)
        self.assertEqual(collected.error.end, "timeout:idle")

    def test_a_response_that_nobody_takes(self) -> None:
        """It is not kept for ever."""
        waiting = self.upstreams.get()
        self.upstreams.line.answer(HALF)
        response = self.successResultOf(waiting)
        self.upstreams.advance(60)
        self.assertTrue(self.upstreams.line.aborted)
        collected = Collected()
        response.body.stream(collected)
        self.assertEqual(collected.error.end, "timeout:idle")

    def test_a_connection_that_does_not_close_is_cut(self) -> None:
        """A peer over TLS that never says goodbye; whether its time is over or the response said so."""
        for closing in (OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")):
            self.setUp()
            self.upstreams.get()
            line = self.upstreams.line
            line.lingers = True
            line.answer(closing)
            if closing is OK:
                self.upstreams.advance(90)
            self.assertTrue(line.disconnecting)
            self.upstreams.advance(CLOSE_TIMEOUT - 0.1)
            self.assertFalse(line.aborted)
            self.upstreams.advance(0.2)
            self.assertTrue(line.aborted)

    def test_an_idle_connection_is_closed_after_a_while(self) -> None:
        """`keepalive_timeout`."""
        self.upstreams.get()
        self.upstreams.line.answer(OK)
        self.assertEqual(self.upstreams.pool.idle, 1)
        self.upstreams.advance(90)
        self.assertEqual((self.upstreams.pool.idle, self.upstreams.line.lost, self.upstreams.pool.open), (0, True, 0))


class Gone(SynchronousTestCase):
    """The connection ends."""

    def test_before_the_answer(self) -> None:
        """On a new connection it is a failure, on a kept one it may have been dead already."""
        upstreams = Upstreams()
        waiting = upstreams.get()
        upstreams.line.lose()
        self.failureResultOf(waiting, UpstreamFailed)
        waiting = upstreams.get()
        upstreams.line.answer(OK)
        waiting = upstreams.get()
        self.assertEqual(len(upstreams.endpoint.lines), 2)
        upstreams.line.lose()
        self.failureResultOf(waiting, DiedUnused)

    def test_bytes_that_came_before_the_request_was_sent_are_no_response(self) -> None:
        """An idle connection's 408 may be read in the turn in which the connection is used again: it is closed, and nothing was lost."""
        upstreams = Upstreams()
        upstreams.get()
        upstreams.line.answer(OK)
        waiting = upstreams.get()
        self.assertEqual(len(upstreams.endpoint.lines), 1)
        upstreams.line.connection.dataReceived(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.failureResultOf(waiting, DiedUnused)
        self.assertTrue(upstreams.line.aborted)

    def test_within_the_head(self) -> None:
        """Something has come: it is not repeated."""
        upstreams = Upstreams()
        upstreams.get()
        upstreams.line.answer(OK)
        waiting = upstreams.get()
        upstreams.line.answer(b"HTTP/1.1 200 OK\r\nA:")
        upstreams.line.lose()
        self.failureResultOf(waiting, UpstreamFailed)

    def test_within_the_body(self) -> None:
        """It fails, now or when somebody takes it; and never ends as if it were whole."""
        for early in (True, False):
            for rest in (b"", b"Transfer"):
                upstreams, collected = Upstreams(), Collected()
                waiting = upstreams.get()
                upstreams.line.answer(HALF if not rest else b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
                response = self.successResultOf(waiting)
                if early:
                    response.body.stream(collected)
                upstreams.line.lose()
                if not early:
                    response.body.stream(collected)
                self.assertEqual((collected.data, collected.ended), (b"ab", False))
                self.assertIsInstance(collected.error, UpstreamFailed)

    def test_within_the_upload(self) -> None:
        """The rest of the body is not wanted."""
        upstreams, body = Upstreams(), ScriptedBody(10)
        waiting = upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], body))
        upstreams.line.lose(ConnectionLost())
        self.failureResultOf(waiting, UpstreamFailed)
        self.assertEqual(body.calls, ["stop"])


class GivenUp(SynchronousTestCase):
    """Nobody waits any more."""

    def test_cancelling_closes_the_connection_at_once(self) -> None:
        """Before the answer, in mid-upload; late events find nobody, and nothing is left unhandled."""
        for body in (None, ScriptedBody(10)):
            upstreams = Upstreams()
            waiting = upstreams.send(UpstreamRequest(b"POST", b"/", b"service", [], body))
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assertTrue(upstreams.line.aborted)
            if body is not None:
                self.assertEqual(body.calls, ["stop"])
        del waiting, upstreams
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelling_a_connection_that_is_being_made_gives_it_up(self) -> None:
        """Over TLS, the handshake too."""
        upstreams = Upstreams(tls=True)
        connecting = upstreams.connect()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(upstreams.line.aborted)
