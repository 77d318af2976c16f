"""Handing requests over: as soon as their heads are in, and the same however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from nnogw.wire.request import GatewayRequest
from tests.doubles import Collected
from tests.wire.client_connection import CLIENT, GET, POST_CHUNKED, UNIX_CLIENT, ClientConnection, Root, answer, chunk, post, wait

#: A conversation of every kind of request; all but the last keep the connection.
CONVERSATION = b"".join(
    (
        GET,
        post(11) + b"hello\r\n\r\n!!",
        b"\r\n",
        POST_CHUNKED + chunk(b"one") + chunk(b"\r\n\r\n") + b"1;extension=1\r\na\r\n" + b"0\r\nTrailer: t\r\nX-Nno-Role: owner\r\n\r\n",
        b"GET /upgrade HTTP/1.1\r\nHost: gateway\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        post(0),
        b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        POST_CHUNKED + b"0\r\n\r\n",
        b"HEAD /last?query#no HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
    )
)


def conversation(segments: list[bytes]) -> list[object]:
    """Return what a root makes of `segments`: each request, with its body."""
    heard: list[object] = []

    def respond(request: GatewayRequest) -> None:
        body = Collected()

        def whole() -> None:
            heard.append(
                (request.method, request.target, request.fields.raw, request.http10, request.keep_alive, body.data, request.refusal)
            )
            answer(request)

        if request.body is None:
            whole()
        else:
            body.body_ended = whole
            request.body.stream(body)

    client = ClientConnection(Root(respond))
    for segment in segments:
        client.send(segment)
        client.turn()
    heard.append(client.statuses)
    heard.append(client.closed)
    return heard


WHOLE = conversation([CONVERSATION])


class Delivery(SynchronousTestCase):
    """How the bytes come makes no difference."""

    def test_a_conversation_is_understood(self) -> None:
        """Every request, its body and nothing of its trailers."""
        *requests, statuses, closed = WHOLE
        self.assertEqual(
            [(method, target, body, refusal) for method, target, _, _, _, body, refusal in requests],
            [
                (b"GET", b"/x", b"", None),
                (b"POST", b"/x", b"hello\r\n\r\n!!", None),
                (b"POST", b"/x", b"one\r\n\r\na", None),
                (b"GET", b"/upgrade", b"", None),
                (b"POST", b"/x", b"", None),
                (b"GET", b"/old", b"", None),
                (b"POST", b"/x", b"", None),
                (b"HEAD", b"/last?query#no", b"", None),
            ],
        )
        self.assertEqual(statuses, [200] * 8)
        self.assertTrue(closed)

    def test_trailers_do_not_become_fields(self) -> None:
        """They come after what was decided on the fields (RFC 9110 §6.5.1)."""
        self.assertEqual([key for key, _, _ in WHOLE[2][2]], [b"host", b"transfer-encoding"])

    def test_byte_by_byte_is_the_same(self) -> None:
        """As in one segment."""
        self.assertEqual(conversation([CONVERSATION[i : i + 1] for i in range(len(CONVERSATION))]), WHOLE)

    @settings(deadline=None, max_examples=200)
    @given(st.sets(st.integers(1, len(CONVERSATION) - 1), max_size=40))
    def test_any_segments_are_the_same(self, cuts: set[int]) -> None:
        """As one."""
        ends = [0, *sorted(cuts), len(CONVERSATION)]
        self.assertEqual(conversation([CONVERSATION[a:b] for a, b in pairwise(ends)]), WHOLE)


class Handover(SynchronousTestCase):
    """What the root gets, and when."""

    def test_a_request_is_handed_over_before_its_body(self) -> None:
        """When the last byte of the head is in, and not a byte earlier."""
        client = ClientConnection(Root(wait))
        head = post(5)
        client.send(head[:-1])
        self.assertEqual(client.root.requests, [])
        client.send(head[-1:])
        (request,) = client.root.requests
        self.assertEqual(request.body.length, 5)
        self.assertEqual(request.body.received, 0)

    def test_a_chunked_request_is_handed_over_before_its_body(self) -> None:
        """Its length is not known."""
        client = ClientConnection(Root(wait)).send(POST_CHUNKED)
        self.assertIsNone(client.root.requests[0].body.length)

    def test_a_request_without_a_body_has_none(self) -> None:
        """``Content-Length: 0`` is none either."""
        for head in (GET, post(0), b"DELETE /x HTTP/1.1\r\nHost: gateway\r\n\r\n"):
            self.assertIsNone(ClientConnection(Root(wait)).send(head).root.requests[0].body)

    def test_the_connection_says_who_the_peer_is(self) -> None:
        """Its address; small writes are not delayed."""
        client = ClientConnection()
        self.assertEqual((client.channel.peer, client.channel.secure), (CLIENT.host, False))
        self.assertTrue(client.transport.no_delay)

    def test_a_unix_socket_has_no_address(self) -> None:
        """And no Nagle's algorithm to turn off."""
        client = ClientConnection(peer=UNIX_CLIENT)
        self.assertEqual(client.channel.peer, "unix")
        self.assertFalse(client.transport.no_delay)

    def test_a_connection_over_tls_is_secure(self) -> None:
        """The upstream is told so."""
        client = ClientConnection()
        directlyProvides(client.transport, ISSLTransport)
        client.transport.unregisterProducer()
        client.channel.connectionMade()
        self.assertTrue(client.channel.secure)

    def test_a_site_counts_its_connections_and_requests(self) -> None:
        """For the metrics."""
        first = ClientConnection(Root(wait)).send(GET)
        second = ClientConnection(site=first.site)
        self.assertEqual((first.site.connections, first.site.in_flight), (2, 1))
        answer(first.root.requests[0])
        self.assertEqual((first.site.connections, first.site.in_flight), (2, 0))
        second.leave()
        self.assertEqual(first.site.connections, 1)
