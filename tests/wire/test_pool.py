"""Connections are kept for reuse, within a bound."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.wire.client import UpstreamRequest
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Reuse(SynchronousTestCase):
    """Who gets which connection."""

    def test_the_one_used_last_is_used_first(self) -> None:
        """So that the others can grow old."""
        upstreams = Upstreams()
        for _ in range(2):
            upstreams.get()
        first, second = upstreams.endpoint.lines
        first.answer(OK)
        second.answer(OK)
        self.assertIs(upstreams.pool.take(), second.connection)
        self.assertIs(upstreams.pool.take(), first.connection)
        self.assertIsNone(upstreams.pool.take())

    def test_there_are_no_more_idle_ones_than_allowed(self) -> None:
        """What is too much is closed."""
        upstreams = Upstreams(max_idle_connections=1)
        for _ in range(3):
            upstreams.get()
        for line in upstreams.endpoint.lines:
            line.answer(OK)
        self.assertEqual((upstreams.pool.idle, upstreams.pool.open), (1, 1))
        self.assertEqual([line.lost for line in upstreams.endpoint.lines], [False, True, True])

    def test_one_that_is_lost_while_it_is_idle_is_forgotten(self) -> None:
        """Nobody hears of it."""
        upstreams = Upstreams()
        upstreams.get()
        upstreams.line.answer(OK)
        upstreams.line.lose()
        self.assertEqual((upstreams.pool.take(), upstreams.pool.open), (None, 0))

    def test_closing_closes_what_is_idle(self) -> None:
        """And leaves what is in use."""
        upstreams = Upstreams()
        for _ in range(2):
            upstreams.get()
        upstreams.line.answer(OK)
        upstreams.pool.close()
        upstreams.clock.advance(0)
        self.assertEqual([line.lost for line in upstreams.endpoint.lines], [False, True])


class Connecting(SynchronousTestCase):
    """What keeps a connection from being made, in the gateway's own terms."""

    def test_each_failure_is_translated(self) -> None:
        """502, or 504 for what took too long; why is for the log."""
        for error, kind, reason, counted_as in (
            (Refused(), UpstreamFailed, "cannot connect", "connect"),
            (DNSLookupError("no such name"), UpstreamFailed, "cannot connect", "connect"),
            (ConnectTimeout(), UpstreamTimeout, "no connection in time", "timeout"),
            (VerificationError(errors=["wrong name"]), UpstreamFailed, "TLS: VerificationError", "tls"),
            (SSL.Error([("SSL routines", "", "certificate verify failed")]), UpstreamFailed, "TLS: Error", "tls"),
        ):
            upstreams = Upstreams()
            upstreams.endpoint.outcome = fail(error)
            failure = self.failureResultOf(upstreams.pool.connect(), kind)
            self.assertTrue(failure.value.reason.startswith(reason), failure.value.reason)
            self.assertEqual(failure.value.kind, counted_as)

    def test_it_may_take_its_time_and_no_longer(self) -> None:
        """`connect_timeout`."""
        upstreams = Upstreams(connect_timeout=3)
        upstreams.endpoint.outcome = Deferred()
        connecting = upstreams.pool.connect()
        upstreams.advance(3)
        self.assertEqual(self.failureResultOf(connecting, UpstreamTimeout).value.end, "timeout:connect")

    def test_over_tls_it_is_made_when_the_handshake_is_through(self) -> None:
        """Not before the upstream is known to be who it should be; the same time limit holds."""
        upstreams = Upstreams(tls=True, connect_timeout=3)
        connecting = upstreams.pool.connect()
        self.assertNoResult(connecting)
        upstreams.line.connection.handshakeCompleted()
        self.assertIs(self.successResultOf(connecting), upstreams.line.connection)
        connecting = upstreams.pool.connect()
        upstreams.advance(3)
        self.failureResultOf(connecting, UpstreamTimeout)
        self.assertTrue(upstreams.line.aborted)

    def test_over_tls_it_is_not_made_if_the_certificate_has_been_refused(self) -> None:
        """Twisted 25 aborts the connection, and then says that the handshake is complete all the same."""
        upstreams = Upstreams(tls=True)
        answer = upstreams.pool.connect().addCallback(lambda connection: connection.send(UpstreamRequest(b"GET", b"/", b"x", [])))
        upstreams.line.disconnecting = True
        upstreams.line.connection.handshakeCompleted()
        self.assertEqual(upstreams.line.received, b"")
        upstreams.line.lose(VerificationError([]))
        self.assertTrue(self.failureResultOf(answer, UpstreamFailed).value.reason.startswith("TLS: "))

    def test_one_that_is_lost_in_the_handshake_fails(self) -> None:
        """With the reason."""
        upstreams = Upstreams(tls=True)
        connecting = upstreams.pool.connect()
        upstreams.line.lose(SSL.Error([("SSL routines", "", "certificate verify failed")]))
        self.assertIn("TLS", self.failureResultOf(connecting, UpstreamFailed).value.reason)
