"""The bytes of an answer on their way from the upstream to the client."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamTimeout
from nnogw.wire.relay import Relay
from tests.doubles import ScriptedBody
from tests.wire.client_connection import GET, ClientConnection, Root, wait


class Relaying(SynchronousTestCase):
    """`Relay`."""

    def setUp(self) -> None:
        self.client = ClientConnection(Root(wait)).send(GET)
        self.body = ScriptedBody()
        self.broke: list[Exception] = []
        request = self.client.root.requests[0]
        request.begin(200, None, [])
        self.client.take()
        self.relay = Relay(request, self.body, self.broke.append)

    def test_bytes_reach_the_client_as_they_come(self) -> None:
        """A server-sent event is not kept back."""
        self.assertIs(self.body.consumer, self.relay)
        self.relay.body_data(b"event")
        self.assertEqual(self.client.take(), b"5\r\nevent\r\n")
        self.relay.body_ended()
        self.assertEqual(self.client.take(), b"0\r\n\r\n")
        self.assertEqual(self.client.root.ends, [""])
        self.assertEqual(self.broke, [])

    def test_a_client_that_reads_slowly_pauses_the_upstream(self) -> None:
        """And resumes it when it has taken everything."""
        self.client.stall()
        self.assertEqual(self.body.calls, ["pause"])
        self.client.catch_up()
        self.assertEqual(self.body.calls, ["pause", "resume"])

    def test_an_answer_that_is_whole_leaves_its_source_alone(self) -> None:
        """The upstream's connection may serve somebody else by then."""
        self.relay.body_ended()
        self.client.stall()
        self.client.catch_up()
        self.assertEqual(self.body.calls, [])

    def test_an_answer_that_breaks_off_is_cut(self) -> None:
        """It must not look whole; the log learns who broke it, and why."""
        for error, end in (
            (UpstreamTimeout(reason="it stopped", end="timeout:idle"), "timeout:idle"),
            (ValueError("strange"), "upstream"),
        ):
            self.setUp()
            self.relay.body_data(b"half")
            self.relay.body_failed(error)
            self.assertEqual(self.client.take(), b"4\r\nhalf\r\n")
            self.assertTrue(self.client.transport.aborted)
            self.assertEqual(self.broke, [error])
            self.assertEqual(self.client.root.ends, [end])
