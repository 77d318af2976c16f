"""Connections are kept for reuse, within a bound."""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.settings import ServiceSettings
from nnogw.upstream.pool import ConnectionPool
from nnogw.wire.http1.client import UpstreamConnection, UpstreamRequest
from nnogw.wire.http1.limits import upstream_limits
from nnogw.wire.request import AlreadyResponded
from nnogw.wire.transport.connect_errors import HandshakeFailed
from nnogw.wire.transport.write_batch import WriteBatch
from tests.doubles import Collected, ScriptedBody
from tests.wire.loop import Loop
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def renew(pool: ConnectionPool, **settings: float) -> None:
    """Let other settings of the service count."""
    changed = ServiceSettings(**settings)
    pool.renew(upstream_limits(changed), changed.max_idle_connections)


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
        """And what is in use, as soon as it is released."""
        upstreams = Upstreams()
        for _ in range(2):
            upstreams.get()
        upstreams.line.answer(OK)
        upstreams.pool.close()
        upstreams.clock.advance(0)
        busy, idle = upstreams.endpoint.lines
        self.assertEqual((busy.lost, idle.lost), (False, True))
        busy.answer(OK)
        self.assertEqual((busy.lost, upstreams.pool.idle), (True, 0))

    def test_one_that_is_closing_is_handed_out_no_more(self) -> None:
        """Whether its time is over, or the upstream says something that nobody asked for; however long it takes to close."""
        for unasked in (b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
            upstreams = Upstreams(keepalive_timeout=1)
            upstreams.get()
            upstreams.line.answer(OK)
            upstreams.line.lingers = True
            if unasked:
                upstreams.line.connection.dataReceived(unasked)
            else:
                upstreams.clock.pump([1, 0])
            self.assertFalse(upstreams.line.lost)
            self.assertEqual((upstreams.pool.idle, upstreams.pool.take()), (0, None))

    def test_one_that_was_cut_when_its_response_was_complete_is_not_kept(self) -> None:
        """The client has its response, and the rest of its upload is not read any more."""
        upstreams, body = Upstreams(), ScriptedBody(10)
        answer = upstreams.send(UpstreamRequest(b"POST", b"/", b"x", [], body))
        answer.addCallback(lambda response: response.body.stream(_Finishing(upstreams.line.connection)))
        upstreams.line.answer(OK[:-2])
        upstreams.line.answer(b"ok")
        self.assertEqual((upstreams.pool.idle, upstreams.line.aborted), (0, True))

    def test_one_that_has_not_taken_its_request_is_not_kept(self) -> None:
        """It has answered early: another request would wait behind the rest of an upload that nobody reads."""
        upstreams, body = Upstreams(), ScriptedBody(10)
        answer = upstreams.send(UpstreamRequest(b"POST", b"/", b"x", [], body))
        upstreams.line.producer.pauseProducing()
        body.consumer.body_data(b"0123456789")
        body.consumer.body_ended()
        upstreams.line.answer(OK)
        self.assertEqual(self.successResultOf(answer).status, 200)
        self.assertEqual((upstreams.pool.idle, upstreams.line.aborted), (0, True))


class Renewing(SynchronousTestCase):
    """Other settings of the same address."""

    def pooled(self, number: int, **settings: Any) -> Upstreams:
        """Return a pool of idle connections; the one used last is the last line."""
        upstreams = Upstreams(**settings)
        for _ in range(number):
            upstreams.get()
        for line in upstreams.endpoint.lines:
            line.answer(OK)
        self.assertEqual(upstreams.pool.idle, number)
        return upstreams

    def test_of_more_idle_ones_than_are_allowed_now_those_used_last_stay(self) -> None:
        upstreams = self.pooled(4)
        renew(upstreams.pool, max_idle_connections=2)
        upstreams.clock.advance(0)
        self.assertEqual([line.lost for line in upstreams.endpoint.lines], [True, True, False, False])
        self.assertEqual((upstreams.pool.idle, upstreams.pool.open), (2, 2))
        self.assertIs(upstreams.pool.take(), upstreams.line.connection)

    def test_busy_ones_are_kept_as_the_bound_allows_that_counts_when_they_are_released(self) -> None:
        for before, after, kept in ((0, 2, 2), (2, 1, 1), (2, 0, 0)):
            upstreams = Upstreams(max_idle_connections=before)
            for _ in range(2):
                upstreams.get()
            renew(upstreams.pool, max_idle_connections=after)
            for line in upstreams.endpoint.lines:
                line.answer(OK)
            self.assertEqual(upstreams.pool.idle, kept)

    def test_idle_ones_have_another_time_at_once(self) -> None:
        """One that has been idle for longer is closed; it is handed out no more."""
        for keepalive_timeout, closed in ((5, True), (15, False), (3600, False)):
            upstreams = self.pooled(1, keepalive_timeout=60)
            upstreams.advance(10)
            renew(upstreams.pool, keepalive_timeout=keepalive_timeout)
            upstreams.advance(0)
            self.assertEqual((upstreams.line.lost, upstreams.pool.idle), (closed, 0 if closed else 1))
            upstreams.advance(keepalive_timeout - 10.1 if not closed else 0)
            self.assertEqual(upstreams.line.lost, closed)
            upstreams.advance(0.2)
            self.assertTrue(upstreams.line.lost)

    def test_a_busy_one_keeps_the_limits_of_its_request(self) -> None:
        """They come with each request."""
        upstreams = Upstreams(response_timeout=30)
        answer = upstreams.get()
        renew(upstreams.pool, response_timeout=1)
        upstreams.advance(29)
        self.assertNoResult(answer)
        upstreams.advance(1)
        self.failureResultOf(answer, UpstreamTimeout)

    def test_one_that_is_made_later_has_the_other_time(self) -> None:
        """Also if nobody has used it yet."""
        upstreams = Upstreams(keepalive_timeout=60)
        renew(upstreams.pool, keepalive_timeout=5)
        upstreams.pool.released(self.successResultOf(upstreams.connect()))
        self.assertEqual(upstreams.pool.limits, upstream_limits(ServiceSettings(keepalive_timeout=5)))
        self.assertIs(upstreams.line.connection._time.limits, upstreams.pool.limits)


class Retiring(SynchronousTestCase):
    """The address is not configured any more."""

    def test_idle_ones_are_closed_at_once_and_busy_ones_when_they_are_released(self) -> None:
        """A response under way comes to its end."""
        upstreams = Upstreams()
        for _ in range(2):
            upstreams.get()
        busy, idle = upstreams.endpoint.lines
        idle.answer(OK)
        busy.answer(OK[:-1])
        upstreams.pool.retire()
        upstreams.clock.advance(0)
        self.assertEqual((busy.lost, idle.lost, upstreams.pool.open), (False, True, 1))
        busy.answer(OK[-1:])
        self.assertEqual((busy.lost, busy.aborted, upstreams.pool.idle, upstreams.pool.open), (True, False, 0, 0))

    def test_a_request_that_began_before_may_still_connect(self) -> None:
        """For itself alone: the connection is closed behind it. One that is being made goes on, too."""
        upstreams = Upstreams(tls=True)
        connecting = upstreams.connect()
        upstreams.pool.retire()
        self.assertNoResult(connecting)
        upstreams.line.connection.handshakeCompleted()
        self.successResultOf(connecting)
        upstreams = Upstreams()
        upstreams.pool.retire()
        answer = upstreams.get()
        upstreams.line.answer(OK)
        self.assertEqual(self.successResultOf(answer).status, 200)
        self.assertEqual((upstreams.line.lost, upstreams.pool.idle), (True, 0))


class _Finishing(Collected):
    """Takes a response; at its end, the request's body fails."""

    def __init__(self, connection: UpstreamConnection) -> None:
        super().__init__()
        self._connection = connection

    def body_ended(self) -> None:
        """End the exchange."""
        self._connection.body_failed(AlreadyResponded())


class Looking(SynchronousTestCase):
    """On real sockets: the end of a kept connection has arrived, and the reactor has not read it yet."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        endpoint = TCP4ClientEndpoint(self.loop, *self.listener.getsockname())
        self.pool = ConnectionPool(endpoint, tls=False, clock=self.loop, batch=WriteBatch(self.loop), settings=ServiceSettings())
        connecting = self.pool.connect(3)
        self.loop.until(lambda: connecting.called, "the connection")
        self.upstream, _ = self.listener.accept()
        self.addCleanup(self.upstream.close)
        self.connection = self.successResultOf(connecting)
        self.pool.released(self.connection)

    def test_one_that_is_quiet_is_used(self) -> None:
        """Whether somebody looks or not."""
        for look in (True, False):
            self.assertIs(self.pool.take(look=look), self.connection)
            self.pool.released(self.connection)

    def test_one_whose_end_has_arrived_is_not(self) -> None:
        """Closed, reset, or with bytes that nobody asked for."""
        for leave in (self.upstream.close, lambda: _reset(self.upstream), lambda: self.upstream.send(b"HTTP/1.1 408 x\r\n\r\n")):
            leave()
            self.assertIsNone(self.pool.take(look=True))
            self.assertEqual(self.pool.idle, 0)
            self.loop.until(lambda: self.pool.open == 0, "its end")
            self.setUp()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


class Connecting(SynchronousTestCase):
    """What keeps a connection from being made, in the gateway's own terms."""

    def test_each_failure_is_translated(self) -> None:
        """502, or 504 for what took too long; why is for the log."""
        for error, kind, reason, counted_as in (
            (Refused(), UpstreamFailed, "cannot connect", "connect"),
            (DNSLookupError("no such name"), UpstreamFailed, "cannot connect", "connect"),
            (ConnectTimeout(), UpstreamTimeout, "no connection in time", "timeout"),
            (HandshakeFailed("the certificate is self-signed"), UpstreamFailed, "TLS: the certificate is self-signed", "tls"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), UpstreamFailed, "TLS: the upstream does not speak TLS", "tls"),
        ):
            upstreams = Upstreams()
            upstreams.endpoint.outcome = fail(error)
            failure = self.failureResultOf(upstreams.connect(), kind)
            self.assertTrue(failure.value.reason.startswith(reason), failure.value.reason)
            self.assertEqual(failure.value.kind, counted_as)

    def test_it_may_take_its_time_and_no_longer(self) -> None:
        """`connect_timeout`."""
        upstreams = Upstreams(connect_timeout=3)
        upstreams.endpoint.outcome = Deferred()
        connecting = upstreams.connect()
        upstreams.advance(3)
        self.assertEqual(self.failureResultOf(connecting, UpstreamTimeout).value.end, "timeout:connect")

    def test_over_tls_it_is_made_when_the_handshake_is_through(self) -> None:
        """Not before the upstream is known to be who it should be; the same time limit holds."""
        upstreams = Upstreams(tls=True, connect_timeout=3)
        connecting = upstreams.connect()
        self.assertNoResult(connecting)
        upstreams.line.connection.handshakeCompleted()
        self.assertIs(self.successResultOf(connecting), upstreams.line.connection)
        connecting = upstreams.connect()
        upstreams.advance(3)
        self.failureResultOf(connecting, UpstreamTimeout)
        self.assertTrue(upstreams.line.aborted)

    def test_over_tls_it_is_not_made_if_the_certificate_has_been_refused(self) -> None:
        """Twisted 25 aborts the connection, and then says that the handshake is complete all the same."""
        upstreams = Upstreams(tls=True)
        answer = upstreams.get()
        upstreams.line.disconnecting = True
        upstreams.line.connection.handshakeCompleted()
        self.assertEqual(upstreams.line.received, b"")
        upstreams.line.lose(HandshakeFailed("the certificate has expired"))
        self.assertTrue(self.failureResultOf(answer, UpstreamFailed).value.reason.startswith("TLS: "))

    def test_closing_gives_up_those_that_are_being_made(self) -> None:
        """Also in the handshake; the one who waits is told."""
        upstreams = Upstreams(tls=True)
        shaking_hands = upstreams.connect()
        made = upstreams.connect()
        upstreams.line.connection.handshakeCompleted()
        upstreams.endpoint.outcome = Deferred()
        connecting = upstreams.connect()
        upstreams.pool.close()
        for waiting in (shaking_hands, connecting):
            self.failureResultOf(waiting, CancelledError)
        self.assertEqual([line.aborted for line in upstreams.endpoint.lines], [True, False])
        self.successResultOf(made)

    def test_one_that_is_lost_in_the_handshake_fails(self) -> None:
        """With the reason."""
        upstreams = Upstreams(tls=True)
        connecting = upstreams.connect()
        upstreams.line.lose(SSL.Error([("SSL routines", "", "certificate verify failed")]))
        self.assertIn("TLS", self.failureResultOf(connecting, UpstreamFailed).value.reason)
