"""How long a client may take, for everything that it does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import field
from nnogw.settings import LimitSettings
from nnogw.wire.http1.limits import CLOSE_TIMEOUT
from nnogw.wire.request import GatewayRequest
from tests.doubles import Collected
from tests.wire.client_connection import GET, POST_CHUNKED, ClientConnection, Root, answer, chunk, post, wait

LIMITS = LimitSettings(header_timeout=10, body_timeout=60, idle_timeout=75, send_timeout=180)


def connected(respond: object = answer) -> ClientConnection:
    """Return a connection under `LIMITS` that lingers when it is closed."""
    return ClientConnection(Root(respond), LIMITS, lingers=True)


class Heads(SynchronousTestCase):
    """``limits.header_timeout`` is absolute."""

    def test_a_head_that_does_not_come_in_time_is_answered_408(self) -> None:
        """Then the connection is closed, and what comes late is no request."""
        client = connected().send(GET[:-1])
        client.advance(9.9)
        self.assertEqual(client.statuses, [])
        client.advance(0.2)
        self.assertEqual(client.statuses, [408])
        self.assertEqual(client.root.requests[0].refusal.end, "timeout:header")
        self.assertTrue(client.closed)
        client.send(GET[-1:] + GET)
        self.assertEqual(len(client.root.requests), 1)

    def test_dripping_does_not_extend_the_time_of_a_head(self) -> None:
        """Slowloris gets no more time than anybody."""
        client = connected()
        for i in range(11):
            client.send(GET[i : i + 1])
            client.advance(0.95)
        self.assertEqual(client.statuses, [408])

    def test_a_connection_that_says_nothing_is_closed_silently(self) -> None:
        """A browser's spare connection has done nothing wrong."""
        client = connected()
        client.advance(10.1)
        self.assertEqual(client.received, b"")
        self.assertTrue(client.closed)

    def test_a_later_head_has_its_own_time(self) -> None:
        """From its first byte, however long the connection was idle."""
        client = connected().send(GET)
        client.advance(70)
        client.send(GET[:5])
        client.advance(9)
        client.send(GET[5:])
        self.assertEqual(client.statuses, [200, 200])

    def test_empty_lines_do_not_keep_a_connection_open(self) -> None:
        """They are no request."""
        client = connected().send(GET)
        for _ in range(8):
            client.advance(9.5)
            client.send(b"\r\n")
        self.assertTrue(client.closed)


class IdleConnections(SynchronousTestCase):
    """``limits.idle_timeout``."""

    def test_an_idle_connection_is_closed_silently(self) -> None:
        """Its last request has been answered."""
        client = connected().send(GET)
        client.take()
        client.advance(74.9)
        self.assertFalse(client.closed)
        client.advance(0.2)
        self.assertTrue(client.closed)
        self.assertEqual(client.received, b"")

    def test_a_connection_that_is_closed_takes_no_request(self) -> None:
        """One may be on its way."""
        client = connected()
        client.advance(11)
        client.send(GET)
        self.assertEqual(client.root.requests, [])

    def test_a_client_that_does_not_let_go_is_cut(self) -> None:
        """The gateway's last word is said."""
        client = connected().send(GET)
        client.advance(75.1)
        client.advance(CLOSE_TIMEOUT + 0.1)
        self.assertTrue(client.transport.aborted)

    def test_a_request_takes_as_long_as_it_takes(self) -> None:
        """The connection sets no limit on the answer."""
        client = connected(wait).send(GET)
        client.advance(10_000)
        self.assertFalse(client.closed)
        answer(client.root.requests[0])
        self.assertEqual(client.statuses, [200])

    def test_no_timer_is_left_when_the_client_is_gone(self) -> None:
        """Whatever it was doing."""
        for data in (b"", GET[:5], GET, post(10) + b"body", GET + GET[:5]):
            for respond in (answer, wait):
                client = connected(respond).send(data)
                client.leave()
                self.assertEqual(client.clock.getDelayedCalls(), [], data)


class Bodies(SynchronousTestCase):
    """``limits.body_timeout`` is for the silence within a body that somebody takes."""

    def streaming(self, head: bytes) -> tuple[ClientConnection, GatewayRequest, Collected]:
        """Return a connection on which a body is awaited."""
        client = connected(wait).send(head)
        request = client.root.requests[0]
        consumer = Collected()
        request.body.stream(consumer)
        return client, request, consumer

    def test_a_body_that_stops_coming_fails_with_408(self) -> None:
        """Nothing that comes later is a request."""
        for head in (post(len(GET)), POST_CHUNKED):
            client, request, consumer = self.streaming(head)
            client.advance(60.1)
            self.assertEqual((consumer.error.status, consumer.error.end), (408, "timeout:body"))
            answer(request)
            self.assertIn(b"Connection: close", client.received)
            client.send(GET)
            self.assertEqual(len(client.root.requests), 1)

    def test_every_piece_of_a_body_gives_it_new_time(self) -> None:
        """A slow upload may go on."""
        for head, piece in ((post(1000), b"a"), (POST_CHUNKED, chunk(b"a"))):
            client, _, consumer = self.streaming(head)
            for _ in range(10):
                client.advance(59)
                client.send(piece)
            self.assertIsNone(consumer.error)

    def test_chunk_framing_without_data_gives_no_new_time(self) -> None:
        """It is no progress."""
        client, _, consumer = self.streaming(POST_CHUNKED + b"5;")
        for _ in range(3):
            client.advance(30)
            client.send(b"x")
        self.assertEqual(consumer.error.status, 408)

    def test_a_body_that_is_paused_has_all_the_time(self) -> None:
        """The silence is the upstream's; then the clock runs again."""
        client, request, consumer = self.streaming(post(10))
        request.body.pauseProducing()
        client.advance(1000)
        self.assertIsNone(consumer.error)
        request.body.resumeProducing()
        client.advance(60.1)
        self.assertEqual(consumer.error.status, 408)

    def test_a_body_that_nobody_takes_yet_has_all_the_time(self) -> None:
        """Whether it may come at all is being asked."""
        client = connected(wait).send(post(10))
        client.advance(1000)
        self.assertFalse(client.closed)

    def test_a_body_that_has_come_is_awaited_no_more(self) -> None:
        """The answer takes its time."""
        for message in (post(4) + b"body", POST_CHUNKED + b"0\r\n\r\n"):
            client, _, consumer = self.streaming(message)
            client.advance(1000)
            self.assertIsNone(consumer.error)
            self.assertFalse(client.closed)


class Answers(SynchronousTestCase):
    """``limits.send_timeout`` is for a client that takes nothing of its answer."""

    def stalled(self, head: bytes = GET) -> tuple[ClientConnection, GatewayRequest]:
        """Return a connection whose client takes nothing of an answer that has begun."""
        client = connected(wait).send(head)
        request = client.root.requests[0]
        request.begin(200, None, [field(b"Content-Length", b"1000000")])
        client.stall()
        return client, request

    def test_a_client_that_takes_nothing_is_cut(self) -> None:
        """The request ends for a timeout, not for a client that left."""
        client, _ = self.stalled()
        client.advance(179)
        self.assertFalse(client.closed)
        client.advance(1.1)
        self.assertTrue(client.transport.aborted)
        self.assertEqual(client.root.ends, ["timeout:send"])

    def test_a_client_that_takes_its_answer_after_all_is_not_cut(self) -> None:
        """The source decides how long the rest takes."""
        client, _ = self.stalled()
        client.advance(179)
        client.catch_up()
        client.advance(1000)
        self.assertFalse(client.closed)

    def test_an_upload_does_not_give_a_client_more_time_to_take_its_answer(self) -> None:
        """Neither by coming, nor by being paused and resumed, nor by ending."""
        client, request = self.stalled(post(10))
        request.body.stream(Collected())
        client.advance(50)
        client.send(b"body")
        client.advance(50)
        request.body.pauseProducing()
        client.advance(50)
        request.body.resumeProducing()
        client.send(b"body!!")
        client.advance(29.9)
        self.assertFalse(client.closed)
        client.advance(0.2)
        self.assertTrue(client.transport.aborted)

    def test_an_upload_is_awaited_again_when_the_answer_is_taken(self) -> None:
        """Its own limit counts again; not while it is paused."""
        for pause in (False, True):
            client, request = self.stalled(post(10))
            consumer = Collected()
            request.body.stream(consumer)
            if pause:
                request.body.pauseProducing()
            client.catch_up()
            client.advance(61)
            self.assertEqual(consumer.error is None, pause)

    def test_a_client_that_takes_nothing_is_cut_between_requests_too(self) -> None:
        """Whether the next one has begun or not."""
        for more in (b"", GET[:5], GET):
            client = connected().send(GET)
            client.stall()
            client.send(more)
            client.advance(179)
            self.assertFalse(client.closed, more)
            client.advance(1.1)
            self.assertTrue(client.transport.aborted, more)

    def test_a_head_that_came_while_the_answer_was_not_taken_has_its_time_then(self) -> None:
        """And an idle connection its own."""
        for more, seconds in ((GET[:5], 10), (b"", 75)):
            client = connected().send(GET)
            client.stall()
            client.send(more)
            client.catch_up()
            client.take()
            client.advance(seconds - 0.1)
            self.assertFalse(client.closed)
            client.advance(0.2)
            self.assertTrue(client.closed)
            self.assertEqual(client.statuses, [408] if more else [])

    def test_the_rest_of_a_body_is_drained_when_the_answer_is_taken(self) -> None:
        """Within its bound from then on."""
        client = connected(wait).send(post(10))
        client.stall()
        answer(client.root.requests[0])
        client.advance(100)
        self.assertFalse(client.closed)
        client.catch_up()
        client.advance(CLOSE_TIMEOUT + 0.1)
        self.assertTrue(client.transport.aborted)

    def test_a_last_answer_that_is_not_taken_is_cut(self) -> None:
        """The connection was to be closed behind it."""
        client = connected(wait).send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        client.stall()
        answer(client.root.requests[0])
        client.advance(179)
        self.assertFalse(client.transport.aborted)
        client.advance(1.1)
        self.assertTrue(client.transport.aborted)
        self.assertEqual(client.root.ends, [""])
