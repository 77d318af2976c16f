"""Bodies: they flow when somebody takes them, no faster than they are taken, and what nobody takes is bounded."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.settings import LimitSettings
from nnogw.wire.http1.limits import CLOSE_TIMEOUT
from nnogw.wire.http1.server import DRAIN_BYTES
from nnogw.wire.request import GatewayRequest
from tests.doubles import Collected
from tests.wire.client_connection import GET, POST_CHUNKED, ClientConnection, Root, answer, chunk, post, wait

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Reluctant(Collected):
    """A consumer that acts on its body whenever it gets some of it."""

    def __init__(self, act: object) -> None:
        super().__init__()
        self._act = act

    def body_data(self, data: bytes) -> None:
        super().body_data(data)
        self._act()


def started(head: bytes, **limits: int) -> tuple[ClientConnection, GatewayRequest]:
    """Return a connection on which `head` was sent, and the request that waits for its answer."""
    client = ClientConnection(Root(wait), LimitSettings(**limits), lingers=True).send(head)
    return client, client.root.requests[0]


class Streaming(SynchronousTestCase):
    """From the client to one consumer."""

    def test_a_body_is_not_read_until_somebody_takes_it(self) -> None:
        """What came with the head waits, the rest stays on the socket."""
        for head in (post(300_000), POST_CHUNKED + b"%x\r\n" % 300_000):
            client, request = started(head)
            client.send(b"a" * 300_000)
            self.assertTrue(client.paused)
            self.assertGreaterEqual(client.unread, 300_000 - 64 * 1024)
            consumer = Collected()
            request.body.stream(consumer)
            client.turn()
            self.assertEqual(len(consumer.data), 300_000)

    def test_a_body_that_came_with_its_head_needs_no_pause(self) -> None:
        """Pausing and resuming cost four system calls, and a client that leaves is noticed by reading."""
        for message in (post(4) + b"body", POST_CHUNKED + chunk(b"body") + b"0\r\n\r\n"):
            client, request = started(message)
            self.assertFalse(client.paused)
            consumer = Collected()
            request.body.stream(consumer)
            self.assertEqual((consumer.data, consumer.ended), (b"body", True))

    def test_a_body_reaches_its_consumer_as_it_comes(self) -> None:
        """Then its end, once."""
        for head, parts, end in ((post(6), [b"abc", b"def"], b""), (POST_CHUNKED, [chunk(b"abc"), chunk(b"def")], b"0\r\n\r\n")):
            client, request = started(head)
            consumer = Collected()
            request.body.stream(consumer)
            client.send(parts[0])
            self.assertEqual((consumer.data, consumer.ended), (b"abc", False))
            client.send(parts[1] + end)
            self.assertEqual((consumer.data, consumer.ended), (b"abcdef", True))
            self.assertEqual(request.body.received, 6)

    def test_chunks_that_came_together_go_on_together(self) -> None:
        """A segment of small chunks is not as many small writes to the upstream."""
        client, request = started(POST_CHUNKED)
        pieces: list[bytes] = []
        consumer = Collected()
        consumer.body_data = pieces.append
        request.body.stream(consumer)
        client.send(chunk(b"a") + chunk(b"b") + chunk(b"c\r\n\r\nd"))
        self.assertEqual(pieces, [b"abc\r\n\r\nd"])

    def test_a_connection_that_closes_is_read(self) -> None:
        """Over TLS it ends with the client's goodbye: unread, it would stay until its limit."""
        client, request = started(post(4, b"Connection: close"))
        consumer = _Reluctant(lambda: request.body.pauseProducing())
        request.body.stream(consumer)
        client.send(b"body")
        self.assertEqual((consumer.ended, client.paused), (True, True))
        answer(request)
        client.turn()
        self.assertEqual((client.closed, client.paused), (True, False))

    def test_a_slow_consumer_slows_the_client(self) -> None:
        """What it does not take stays on the socket."""
        for head, data in ((post(200_000), b"a" * 200_000), (POST_CHUNKED, chunk(b"a" * 200_000))):
            client, request = started(head)
            consumer = Collected()
            request.body.stream(consumer)
            request.body.pauseProducing()
            client.send(data)
            self.assertEqual(consumer.data, b"")
            request.body.resumeProducing()
            client.turn()
            self.assertEqual(len(consumer.data), 200_000)

    def test_a_consumer_that_pauses_while_it_gets_what_had_come_stays_paused(self) -> None:
        """The first segment alone may fill the upstream's connection."""
        client, request = started(post(200_000) + b"a" * 1000)
        consumer = _Reluctant(request.body.pauseProducing)
        request.body.stream(consumer)
        client.send(b"a" * 199_000)
        self.assertTrue(client.paused)
        self.assertEqual(len(consumer.data), 1000)
        request.body.resumeProducing()
        client.turn()
        self.assertEqual(len(consumer.data), 1000 + 64 * 1024)

    def test_a_body_that_is_resumed_before_anybody_takes_it_waits(self) -> None:
        """There is nobody to give it to."""
        client, request = started(post(8) + b"body")
        request.body.pauseProducing()
        request.body.resumeProducing()
        self.assertTrue(client.paused)

    def test_a_consumer_that_stops_while_it_gets_what_had_come_gets_no_more(self) -> None:
        """Neither data nor an end."""
        for length in (8, 4):
            client, request = started(post(length) + b"body")
            consumer = _Reluctant(request.body.stopProducing)
            request.body.stream(consumer)
            client.send(b"rest"[: length - 4])
            self.assertEqual((consumer.data, consumer.ended), (b"body", False))

    def test_a_body_that_is_whole_can_neither_be_paused_nor_resumed(self) -> None:
        """The next request is not its business."""
        client, request = started(post(4) + b"body")
        request.body.stream(Collected())
        request.body.pauseProducing()
        self.assertFalse(client.paused)
        request.body.resumeProducing()
        self.assertFalse(client.paused)

    def test_a_body_that_failed_before_anybody_took_it_fails_then(self) -> None:
        """With what went wrong."""
        _, request = started(POST_CHUNKED + b"nonsense\r\n")
        consumer = Collected()
        request.body.stream(consumer)
        self.assertEqual(consumer.error.status, 400)

    def test_a_body_fails_once(self) -> None:
        """The client's leaving says nothing new."""
        client, request = started(POST_CHUNKED)
        consumer = Collected()
        request.body.stream(consumer)
        client.send(b"nonsense\r\n")
        first = consumer.error
        client.leave()
        self.assertIs(consumer.error, first)

    def test_a_consumer_that_aborts_while_it_gets_what_had_come_is_told_once(self) -> None:
        """Not by the cut, and again by the stream that it was called from."""
        client = ClientConnection(Root(wait)).send(post(100) + b"some")
        (request,) = client.root.requests
        failures: list[Exception] = []
        consumer = Collected()
        consumer.body_data = lambda data: request.abort("gateway")
        consumer.body_failed = failures.append
        request.body.stream(consumer)
        client.turn()
        self.assertEqual(len(failures), 1)
        self.assertEqual(client.root.ends, ["gateway"])


class Limits(SynchronousTestCase):
    """``limits.max_body``."""

    def test_a_chunked_body_at_the_limit_passes(self) -> None:
        """To the byte."""
        client, request = started(POST_CHUNKED, max_body=1000)
        consumer = Collected()
        request.body.stream(consumer)
        client.send(chunk(b"a" * 1000) + b"0\r\n\r\n")
        self.assertTrue(consumer.ended)

    def test_a_chunked_body_over_the_limit_fails_with_413(self) -> None:
        """Nothing behind it is read as a request."""
        client, request = started(POST_CHUNKED, max_body=1000)
        consumer = Collected()
        request.body.stream(consumer)
        client.send(chunk(b"a" * 1000) + chunk(b"a") + b"0\r\n\r\n" + GET)
        self.assertEqual((consumer.error.status, consumer.error.details), (413, {"maxBytes": 1000}))
        answer(request)
        self.assertEqual(client.statuses, [200])
        self.assertIn(b"Connection: close", client.received)
        self.assertEqual(len(client.root.requests), 1)

    def test_a_length_at_the_limit_passes(self) -> None:
        """It is refused at once only when it is over."""
        _, request = started(post(1000), max_body=1000)
        self.assertIsNone(request.refusal)


class Expectations(SynchronousTestCase):
    """``Expect: 100-continue`` (RFC 9110 §10.1.1)."""

    def test_the_client_is_asked_for_the_body_when_somebody_takes_it(self) -> None:
        """Not before: nobody has let the request in yet."""
        for head in (post(4, b"Expect: 100-Continue"), POST_CHUNKED[:-2] + b"expect: 100-continue\r\n\r\n"):
            client, request = started(head)
            self.assertEqual(client.received, b"")
            consumer = Collected()
            request.body.stream(consumer)
            self.assertEqual(client.received, CONTINUE)

    def test_the_client_is_asked_once(self) -> None:
        """However often the body is paused; then the answer follows, and the connection is kept."""
        client, request = started(post(4, b"Expect: 100-continue"))
        request.body.stream(Collected())
        request.body.pauseProducing()
        request.body.resumeProducing()
        client.send(b"body")
        answer(request)
        self.assertEqual(client.received.count(CONTINUE), 1)
        self.assertEqual(client.statuses, [100, 200])
        self.assertFalse(client.closed)

    def test_the_client_is_not_asked_while_the_upstream_takes_nothing(self) -> None:
        """A body that is paused before it flows is asked for when it is resumed."""
        client, request = started(post(4, b"Expect: 100-continue"))
        request.body.pauseProducing()
        request.body.stream(Collected())
        self.assertEqual(client.received, b"")
        request.body.resumeProducing()
        self.assertEqual(client.received, CONTINUE)

    def test_a_client_that_did_not_wait_is_not_told_to_go_on(self) -> None:
        """Its body is coming already."""
        client, request = started(post(4, b"Expect: 100-continue") + b"bo")
        consumer = Collected()
        request.body.stream(consumer)
        client.send(b"dy")
        self.assertEqual((client.received, consumer.ended), (b"", True))

    def test_a_refused_upload_is_not_asked_for(self) -> None:
        """The final answer comes at once, and the connection is closed: whether the body follows, nobody can know."""
        client, request = started(post(4, b"Expect: 100-continue"))
        answer(request)
        self.assertEqual(client.statuses, [200])
        self.assertIn(b"Connection: close", client.received)
        self.assertTrue(client.closed)
        client.send(GET)
        self.assertEqual(len(client.root.requests), 1)

    def test_an_upload_that_is_taken_after_the_answer_began_is_not_asked_for(self) -> None:
        """``100`` cannot follow a final head."""
        client, request = started(post(4, b"Expect: 100-continue"))
        request.begin(200, None, [])
        request.body.stream(Collected())
        self.assertEqual(client.statuses, [200])

    def test_nothing_is_expected_without_a_body_or_in_http_1_0(self) -> None:
        """The field means nothing there."""
        for head in (post(0, b"Expect: 100-continue"), post(4, b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")):
            _, request = started(head)
            self.assertFalse(request.expects_continue)


class EarlyAnswers(SynchronousTestCase):
    """An answer while the body is still coming: the rest is drained within a bound or the connection is closed."""

    def test_a_small_rest_is_drained_and_the_connection_kept(self) -> None:
        """The rest is no request, what comes behind it is one."""
        client, request = started(post(len(GET) + 4) + b"body")
        answer(request)
        self.assertNotIn(b"Connection: close", client.received)
        self.assertFalse(client.paused)
        client.send(GET[:10])
        self.assertFalse(client.paused)
        client.send(GET[10:] + b"HEAD /next HTTP/1.1\r\nHost: gateway\r\n\r\n")
        self.assertEqual([request.method for request in client.root.requests], [b"POST", b"HEAD"])

    def test_a_rest_that_is_drained_goes_to_nobody(self) -> None:
        """Whoever took the body neither gets it nor slows it any more."""
        client, request = started(post(8))
        consumer = Collected()
        request.body.stream(consumer)
        client.send(b"body")
        answer(request)
        request.body.pauseProducing()
        client.send(b"rest" + GET)
        self.assertEqual((consumer.data, consumer.ended), (b"body", False))
        self.assertEqual(len(client.root.requests), 2)

    def test_a_large_rest_closes_the_connection(self) -> None:
        """What comes is thrown away up to a bound, then left on the socket."""
        client, request = started(post(DRAIN_BYTES + 1))
        answer(request)
        self.assertIn(b"Connection: close", client.received)
        self.assertTrue(client.closed)
        client.send(GET * 20_000)
        self.assertEqual(len(client.root.requests), 1)
        self.assertTrue(client.paused)
        self.assertGreater(client.unread, 0)

    def test_a_rest_of_unknown_length_closes_the_connection(self) -> None:
        """Of a chunked body nobody knows how much will come."""
        client, request = started(POST_CHUNKED + chunk(b"a"))
        answer(request)
        self.assertIn(b"Connection: close", client.received)
        client.send(b"0\r\n\r\n" + GET)
        self.assertEqual(len(client.root.requests), 1)

    def test_a_rest_that_does_not_come_is_waited_for_within_a_bound(self) -> None:
        """Dripping does not extend it."""
        client, request = started(post(100))
        answer(request)
        for _ in range(4):
            client.advance(CLOSE_TIMEOUT / 4 - 0.1)
            client.send(b"a")
        self.assertFalse(client.closed)
        client.advance(0.4)
        self.assertTrue(client.transport.aborted)

    def test_a_body_that_broke_off_after_the_answer_began_closes_the_connection(self) -> None:
        """Although the answer's head had promised to keep it: the rest of the body would be read as a request."""
        client, request = started(post(len(GET)))
        request.body.stream(Collected())
        request.begin(200, None, [])
        client.advance(61)
        request.finish()
        client.send(GET)
        self.assertEqual(len(client.root.requests), 1)
        self.assertTrue(client.closed)

    def test_a_body_that_broke_off_has_no_say_any_more(self) -> None:
        """Whoever took it cannot keep the connection."""
        client, request = started(POST_CHUNKED)
        request.body.stream(Collected())
        client.send(b"nonsense\r\n")
        answer(request)
        request.body.pauseProducing()
        self.assertFalse(client.paused)
        request.body.resumeProducing()
        client.advance(CLOSE_TIMEOUT + 0.1)
        self.assertTrue(client.transport.aborted)

    def test_an_answer_at_the_last_byte_of_the_body_ends_in_order(self) -> None:
        """From within its consumer; the next request is read where the connection is kept, and only there."""
        for head, body, requests in (
            (post(4), b"body", 2),
            (post(4, b"Connection: close"), b"body", 1),
            (POST_CHUNKED[:-2] + b"Connection: close\r\n\r\n", chunk(b"body") + b"0\r\n\r\n", 1),
            (POST_CHUNKED, chunk(b"body") + b"0\r\n\r\n", 1),
        ):
            client, request = started(head)
            request.body.stream(_Reluctant(lambda request=request: answer(request)))
            client.send(body + GET)
            self.assertEqual(len(client.root.requests), requests, head)
            self.assertEqual(client.closed, requests == 1, head)

    def test_a_connection_that_is_cut_from_within_a_body_reads_no_further(self) -> None:
        """What stands in the same segment is no request any more."""
        for head, body in ((post(4), b"body"), (POST_CHUNKED, chunk(b"body") + b"0\r\n\r\n")):
            client, request = started(head)
            request.body.stream(_Reluctant(lambda request=request: request.abort("upstream")))
            client.send(body + GET)
            client.turn()
            self.assertEqual((len(client.root.requests), client.root.ends), (1, ["upstream"]))
            self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_a_body_that_nobody_wants_any_more_is_thrown_away(self) -> None:
        """The answer still follows, and the connection is kept when all of it has come."""
        client, request = started(post(8))
        consumer = Collected()
        request.body.stream(consumer)
        client.send(b"body")
        request.body.stopProducing()
        client.send(b"rest" + GET)
        self.assertEqual((consumer.data, consumer.ended), (b"body", False))
        self.assertEqual(request.body.received, 8)
        answer(request)
        self.assertEqual(len(client.root.requests), 2)
