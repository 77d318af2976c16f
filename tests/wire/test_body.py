"""Bodies that come in: by themselves, as a request's on a client's connection, and as a response's on an upstream's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed
from nnogw.wire.body import BodyStopped, IncomingBody
from nnogw.wire.request import ClientGone
from tests.doubles import BodyConnection, Collected
from tests.wire.client_connection import GET, ClientConnection, Root, answer, post, wait
from tests.wire.upstream_connection import Upstreams


class Acting(Collected):
    """A consumer that does something whenever it gets some of the body.

    Args:
        act: what it does.

    Attributes:
        failures: what it was told, each time.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self._act = act

    def body_data(self, data: bytes) -> None:
        """Keep `data`, and act."""
        super().body_data(data)
        self._act()

    def body_failed(self, error: Exception) -> None:
        """Take note of the failure."""
        self.failures.append(error)


class Bodies(SynchronousTestCase):
    """`IncomingBody`, and what it asks of its connection."""

    def setUp(self) -> None:
        self.connection = BodyConnection()
        self.body = IncomingBody(self.connection, None)

    def test_a_body_is_read_from_when_somebody_takes_it(self) -> None:
        """Until then, nothing is asked of the connection."""
        self.body.data(b"some")
        self.assertEqual((self.connection.calls, self.body.flows), ([], False))
        self.body.stream(Collected())
        self.assertEqual((self.connection.calls, self.body.flows), (["resume"], True))

    def test_its_consumer_pauses_and_resumes_it(self) -> None:
        """As often as it likes."""
        self.body.stream(Collected())
        self.connection.calls.clear()
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.body.pauseProducing()
        self.assertEqual(self.connection.calls, ["pause", "resume", "pause"])

    def test_without_a_consumer_it_is_not_read_whoever_resumes_it(self) -> None:
        """There is nobody to give it to."""
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.assertEqual(self.connection.calls, [])

    def test_one_that_was_paused_before_it_was_taken_is_not_read(self) -> None:
        """The connection learns that it is the consumer that it waits for."""
        self.body.pauseProducing()
        self.body.stream(Collected())
        self.assertEqual(self.connection.calls, ["pause"])

    def test_one_that_is_paused_while_what_had_come_is_handed_over_stays_paused(self) -> None:
        """All of it is handed over nevertheless."""
        self.body.data(b"some")
        self.body.data(b"more")
        consumer = Acting(self.body.pauseProducing)
        self.body.stream(consumer)
        self.assertEqual(consumer.data, b"somemore")
        self.assertNotIn("resume", self.connection.calls)

    def test_one_that_is_stopped_within_its_data_says_nothing_more(self) -> None:
        """Whether that had come before it was taken or not; what still comes is thrown away."""
        for before in (True, False):
            self.setUp()
            consumer = Acting(self.body.stopProducing)
            if before:
                self.body.data(b"some")
                self.body.data(b"more")
                self.body.stream(consumer)
            else:
                self.body.stream(consumer)
                self.body.data(b"some")
                self.body.data(b"more")
            self.assertEqual(self.connection.calls[-1], "stop")
            self.body.data(b"rest")
            self.body.end()
            self.assertEqual((consumer.data, consumer.ended, consumer.failures), (b"some", False, []))
            self.assertTrue(self.body.flows)

    def test_one_that_fails_within_its_data_says_so_once(self) -> None:
        """Not again by the stream that it was called from, and with no data behind the failure."""
        error = ValueError("it broke")
        consumer = Acting(lambda: self.body.fail(error))
        self.body.data(b"some")
        self.body.data(b"more")
        self.body.stream(consumer)
        self.assertEqual((consumer.data, consumer.failures, consumer.ended), (b"some", [error], False))
        self.assertEqual(self.connection.calls, [])

    def test_the_connection_is_told_once_that_nobody_wants_the_rest(self) -> None:
        """And then nothing any more: it may have begun another message."""
        self.body.stream(Collected())
        self.body.stopProducing()
        self.connection.calls.clear()
        self.body.stopProducing()
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.assertEqual(self.connection.calls, [])

    def test_a_body_that_is_over_asks_for_nothing(self) -> None:
        """Whether it is whole or has failed."""
        for end in (IncomingBody.end, lambda body: body.fail(ValueError())):
            self.setUp()
            self.body.stream(Collected())
            end(self.body)
            self.connection.calls.clear()
            self.body.pauseProducing()
            self.body.resumeProducing()
            self.body.stopProducing()
            self.assertEqual(self.connection.calls, [])

    def test_one_that_was_over_before_it_was_taken_ends_then(self) -> None:
        """Whole, or with what it failed of."""
        self.body.data(b"some")
        self.body.end()
        collected = Collected()
        self.body.stream(collected)
        self.assertEqual((collected.data, collected.ended, self.connection.calls), (b"some", True, []))
        self.setUp()
        self.body.data(b"some")
        self.body.fail(error := ValueError())
        collected = Collected()
        self.body.stream(collected)
        self.assertEqual((collected.data, collected.error, self.connection.calls), (b"some", error, []))

    def test_one_that_was_stopped_fails_for_whoever_takes_it(self) -> None:
        """Its beginning has been thrown away: without it the rest is not the body, even if the end has come."""
        for all_has_come in (False, True):
            self.setUp()
            self.body.data(b"some")
            if all_has_come:
                self.body.end()
            self.body.stopProducing()
            self.assertIsNone(self.body.whole())
            collected = Collected()
            self.body.stream(collected)
            self.body.data(b"rest")
            self.body.end()
            self.assertEqual((collected.data, collected.ended), (b"", False))
            self.assertIsInstance(collected.error, BodyStopped)
            self.assertNotIn("resume", self.connection.calls)

    def test_one_that_is_abandoned_tells_its_consumer_why(self) -> None:
        """Once; without a consumer there is nobody to be told."""
        error = ValueError("answered")
        consumer = Acting(lambda: None)
        self.body.stream(consumer)
        self.body.abandon(error)
        self.body.data(b"rest")
        self.body.end()
        self.assertEqual((consumer.data, consumer.ended, consumer.failures), (b"", False, [error]))
        self.assertEqual(self.connection.calls[-1], "stop")
        self.setUp()
        self.body.abandon(error)
        self.assertEqual((self.connection.calls, self.body.flows), (["stop"], True))

    def test_it_counts_what_has_come(self) -> None:
        """Also what was thrown away."""
        self.body.data(b"some")
        self.body.stream(Collected())
        self.body.data(b"more")
        self.body.stopProducing()
        self.body.data(b"rest")
        self.assertEqual(self.body.received, 12)

    def test_it_is_whole_as_long_as_nobody_has_taken_it(self) -> None:
        """And when all of it has come, in one piece or several, or in none."""
        for pieces in ((), (b"some",), (b"some", b"more")):
            self.setUp()
            for piece in pieces:
                self.body.data(piece)
            self.assertIsNone(self.body.whole())
            self.body.end()
            self.assertEqual(self.body.whole(), b"".join(pieces))
            self.body.stream(Collected())
            self.assertIsNone(self.body.whole())


class BothSides:
    """What holds of a body of 8 bytes on either connection: half of it has come, and nobody has taken it."""

    body: IncomingBody
    gone: type[Exception]  # what it fails with when the other end leaves

    def come(self, data: bytes) -> None:
        """Let `data` come."""
        raise NotImplementedError

    def leave(self) -> None:
        """Let the other end leave."""
        raise NotImplementedError

    @property
    def paused(self) -> bool:
        """Whether the connection is not read."""
        raise NotImplementedError

    def test_it_waits_for_its_consumer_and_ends(self: Any) -> None:
        """Meanwhile its connection is not read."""
        self.assertEqual((self.body.length, self.body.flows, self.paused, self.body.whole()), (8, False, True, None))
        collected = Collected()
        self.body.stream(collected)
        self.assertEqual((collected.data, collected.ended, self.paused), (b"half", False, False))
        self.come(b"rest")
        self.assertEqual((collected.data, collected.ended, self.body.received), (b"halfrest", True, 8))

    def test_a_paused_one_is_not_read(self: Any) -> None:
        """Whether it was paused before it was taken, while what had come was handed over, or later."""
        for when in ("before", "while", "later"):
            self.setUp()
            consumer = Acting(self.body.pauseProducing if when == "while" else lambda: None)
            if when == "before":
                self.body.pauseProducing()
            self.body.stream(consumer)
            if when == "later":
                self.body.pauseProducing()
            self.assertEqual((consumer.data, self.paused), (b"half", True), when)
            self.body.resumeProducing()
            self.assertFalse(self.paused, when)
            self.come(b"rest")
            self.assertEqual((consumer.data, consumer.ended), (b"halfrest", True), when)

    def test_one_that_is_stopped_within_its_data_says_nothing_more(self: Any) -> None:
        """Neither data nor an end nor a failure, whatever becomes of the connection."""
        for before in (True, False):
            self.setUp()
            consumer = Acting(lambda before=before: self.body.stopProducing() if before or self.body.received > 4 else None)
            self.body.stream(consumer)
            if not before:
                self.come(b"re")
            self.leave()
            self.assertEqual((consumer.data, consumer.ended, consumer.failures), (b"half" if before else b"halfre", False, []))

    def test_one_whose_other_end_leaves_fails_once(self: Any) -> None:
        """At once, or when somebody takes it."""
        for taken in (True, False):
            self.setUp()
            consumer = Acting(lambda: None)
            if taken:
                self.body.stream(consumer)
            self.leave()
            if not taken:
                self.body.stream(consumer)
            self.assertEqual((consumer.data, consumer.ended), (b"half", False))
            self.assertEqual([type(error) for error in consumer.failures], [self.gone])


class Requests(BothSides, SynchronousTestCase):
    """The body of a request."""

    gone = ClientGone

    def setUp(self) -> None:
        self.client = ClientConnection(Root(wait), lingers=True).send(post(8) + b"half")
        (self.request,) = self.client.root.requests
        assert self.request.body is not None
        self.body = self.request.body

    def come(self, data: bytes) -> None:
        """Send `data`."""
        self.client.turn()
        self.client.send(data)

    def leave(self) -> None:
        """Let the client leave."""
        self.client.leave()

    @property
    def paused(self) -> bool:
        """Whether the client is not read."""
        return self.client.paused

    def test_one_that_is_stopped_is_thrown_away(self) -> None:
        """The connection stays for the response, and for the next request."""
        self.body.stream(Collected())
        self.body.stopProducing()
        self.come(b"rest" + GET)
        self.assertEqual((self.client.closed, self.body.received), (False, 8))
        answer(self.request)
        self.assertEqual([request.method for request in self.client.root.requests], [b"POST", b"GET"])

    def test_one_that_is_taken_after_the_response_fails(self) -> None:
        """Its beginning is not to be had any more, and the connection is about something else."""
        answer(self.request)
        self.come(b"rest" + post(8) + b"half")
        collected = Collected()
        self.body.stream(collected)
        self.assertIsInstance(collected.error, BodyStopped)
        self.assertTrue(self.client.paused)  # for the next request's body, which nobody has taken


class Responses(BothSides, SynchronousTestCase):
    """The body of a response."""

    gone = UpstreamFailed

    def setUp(self) -> None:
        self.upstreams = Upstreams()
        waiting = self.upstreams.get()
        self.upstreams.line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        self.body = self.successResultOf(waiting).body

    def come(self, data: bytes) -> None:
        """Send `data`."""
        self.upstreams.line.answer(data)

    def leave(self) -> None:
        """Let the upstream leave."""
        self.upstreams.line.lose()

    @property
    def paused(self) -> bool:
        """Whether the upstream is not read."""
        return self.upstreams.line.paused

    def test_one_that_is_stopped_closes_its_connection(self) -> None:
        """Its rest might be without end."""
        self.body.stream(Collected())
        self.body.stopProducing()
        self.assertTrue(self.upstreams.line.aborted)
