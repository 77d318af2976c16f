"""A connection outlives the configuration: each request is answered by the one that counts when its head is complete."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import PayloadTooLarge
from nnogw.settings import LimitSettings
from nnogw.wire.http1.limits import FIRST_REQUEST
from nnogw.wire.site import GatewaySite
from tests.doubles import Collected, Rules
from tests.wire.client_connection import GET, POST_CHUNKED, ClientConnection, Root, answer, chunk, post, wait
from tests.wire.http1.test_server_sockets import certificate
from tests.wire.loop import Loop


class GenerationsTestCase(SynchronousTestCase):
    """A site whose configuration is exchanged, and whose requests the test answers."""

    def setUp(self) -> None:
        self.root = Root(wait)
        self.site = GatewaySite(self.root, Clock(), Rules())

    def connect(self) -> ClientConnection:
        """Return another connection."""
        return ClientConnection(site=self.site)

    def change(self, **limits: Any) -> None:
        """Let another configuration count."""
        self.site.renew(Rules(LimitSettings(**limits), number=self.site.generation.number + 1))

    @property
    def numbers(self) -> list[int]:
        """By which generation each request is answered."""
        return [request.generation.number for request in self.root.requests]

    def answer(self) -> None:
        """Answer the latest request."""
        answer(self.root.requests[-1])


class Requests(GenerationsTestCase):
    """Which configuration answers a request."""

    def test_a_request_under_way_keeps_the_one_that_it_began_with(self) -> None:
        """The next one on its connection has the other, and so has whoever connects later."""
        client = self.connect().send(GET)
        self.change()
        self.assertEqual(self.numbers, [1])
        self.answer()
        client.send(GET)
        self.answer()
        self.connect().send(GET)
        self.assertEqual((self.numbers, client.statuses), ([1, 2, 2], [200, 200]))

    def test_a_request_whose_head_is_not_complete_has_the_other_one(self) -> None:
        """However much of it has come."""
        client = self.connect().send(GET[:-1])
        self.change()
        client.send(GET[-1:])
        self.assertEqual(self.numbers, [2])

    def test_a_request_that_has_come_behind_another_has_the_one_that_counts_when_it_is_its_turn(self) -> None:
        client = self.connect().send(GET + GET + GET)
        self.change()
        self.answer()
        client.turn()
        self.change()
        self.answer()
        client.turn()
        self.assertEqual(self.numbers, [1, 2, 3])

    def test_what_is_refused_has_one_too(self) -> None:
        """That is answered in the configuration's own way: its fields of security, its log."""
        self.connect().send(b"nonsense\r\n\r\n")
        self.change()
        self.connect().send(b"nonsense\r\n\r\n")
        self.assertEqual(self.numbers, [1, 2])

    def test_a_head_is_measured_by_the_one_that_it_is_answered_with(self) -> None:
        """Also where it came again behind a known section."""
        client = self.connect().send(GET)
        self.answer()
        self.change(max_target=1)
        client.send(GET)
        self.answer()
        self.assertEqual((self.numbers, client.statuses), ([1, 2], [200, 414]))
        self.change()
        client = self.connect().send(GET[:10])
        self.change(max_headers=0)
        client.send(GET[10:])
        self.answer()
        self.assertEqual((self.numbers[2:], client.statuses), ([4], [431]))

    def test_a_body_may_be_as_large_as_when_its_request_began(self) -> None:
        """Whether its length was announced or not."""
        for head, body in ((post(8), b"12345678"), (POST_CHUNKED, chunk(b"1234") + chunk(b"5678") + chunk(b""))):
            self.setUp()
            client = self.connect().send(head)
            self.root.requests[0].body.stream(collected := Collected())
            self.change(max_body=5)
            client.send(body)
            self.assertEqual((collected.data, collected.ended), (b"12345678", True))
            self.answer()
            client.send(head + body)
            request = self.root.requests[1]
            if request.body is not None:
                request.body.stream(collected := Collected())
            self.assertIsInstance(request.refusal or collected.error, PayloadTooLarge)

    def test_a_header_section_that_another_one_found_good_is_not_known(self) -> None:
        """Whatever is worked out of it belongs to that one; so it is read again, once."""
        client = self.connect()
        for _ in range(2):
            client.send(GET)
            self.answer()
        self.change()
        for _ in range(2):
            client.send(GET)
            self.answer()
        first, second, third, fourth = (request.fields for request in self.root.requests)
        self.assertEqual((first is second, second is third, third is fourth), (True, False, True))

    def test_a_header_section_of_another_one_is_not_known_even_if_nobody_has_said_so(self) -> None:
        """Its number tells: a request may have been under way when the configuration changed."""
        client = self.connect().send(GET)
        self.answer()
        self.site.generation = Rules(number=2)
        client.send(GET)
        first, second = self.root.requests
        self.assertEqual((self.numbers, first.fields is second.fields), ([1, 2], False))


class Times(GenerationsTestCase):
    """Which time limits count."""

    def test_for_connections_without_a_request_the_others_count_at_once(self) -> None:
        """For those that are idle, for those that have sent nothing, and for those whose head is coming."""
        idle, new, coming = self.connect().send(GET), self.connect(), self.connect()
        self.answer()
        idle.advance(1)
        coming.send(GET[:10])
        idle.advance(4)
        self.change(idle_timeout=20, header_timeout=20)
        idle.advance(14.5)
        self.assertEqual((idle.closed, new.closed, coming.statuses), (False, False, []))
        idle.advance(0.5)
        self.assertEqual((idle.closed, new.closed, coming.statuses), (True, True, []))
        idle.advance(1)
        self.answer()
        self.assertEqual(coming.statuses, [408])

    def test_one_that_is_over_already_closes_idle_connections(self) -> None:
        idle = self.connect().send(GET)
        self.answer()
        idle.advance(30)
        self.change(idle_timeout=10)
        self.assertFalse(idle.closed)
        idle.turn()
        self.assertTrue(idle.closed)

    def test_a_request_under_way_has_its_own_to_the_end(self) -> None:
        """That of its body; behind it, the connection has the others."""
        client = self.connect().send(post(4))
        self.root.requests[0].body.stream(collected := Collected())
        client.advance(10)
        self.change(body_timeout=1, idle_timeout=5)
        client.advance(49)
        client.send(b"ab")
        client.advance(59)
        client.send(b"cd")
        self.assertTrue(collected.ended)
        self.answer()
        client.advance(4)
        self.assertFalse(client.closed)
        client.advance(1)
        self.assertTrue(client.closed)

    def test_a_body_that_is_drained_has_the_time_of_its_request(self) -> None:
        """The response is out, and the rest of the body is coming."""
        client = self.connect().send(post(4))
        self.answer()
        client.advance(4)
        self.change(body_timeout=1, idle_timeout=1)
        client.turn()
        client.send(b"abcd")
        self.assertFalse(client.closed)
        client.advance(1)
        self.assertTrue(client.closed)

    def test_a_client_that_takes_nothing_of_its_last_response_has_the_other_time(self) -> None:
        """A response was given to it before, and the next request waits behind that."""
        client = self.connect().send(GET)
        client.stall()
        self.answer()
        client.advance(10)
        self.change(send_timeout=20)
        client.advance(9)
        self.assertFalse(client.closed)
        client.advance(1)
        self.assertTrue(client.transport.aborted)


class Retiring(GenerationsTestCase):
    """`GatewaySite.retire`: the listener of a connection is not configured any more."""

    def setUp(self) -> None:
        super().setUp()
        self.old, self.other = object(), object()

    def accepted(self, port: object | None = None) -> ClientConnection:
        """Return a connection that a port has accepted."""
        client = self.connect()
        client.transport.server = self.old if port is None else port
        return client

    def test_idle_connections_are_closed(self) -> None:
        """Not those of other listeners."""
        clients = [self.accepted(), self.accepted(self.other)]
        for client in clients:
            client.send(GET)
            self.answer()
        self.site.retire(self.old)
        self.assertEqual([client.closed for client in clients], [True, False])
        self.assertFalse(clients[0].transport.aborted)
        clients[1].send(GET)
        self.answer()
        self.assertEqual((clients[1].statuses, clients[1].closed), ([200, 200], False))

    def test_a_request_under_way_is_answered_and_its_client_told_to_go(self) -> None:
        """One whose head is coming is, too."""
        busy, coming = self.accepted().send(GET), self.accepted().send(GET[:10])
        self.site.retire(self.old)
        self.assertEqual([client.closed for client in (busy, coming)], [False, False])
        self.answer()
        coming.send(GET[10:])
        self.answer()
        for client in (busy, coming):
            self.assertEqual((client.statuses, client.lost), ([200], True))
            self.assertIn(b"Connection: close", client.received)

    def test_a_response_that_has_begun_is_finished(self) -> None:
        """Although its head promised to keep the connection."""
        client = self.accepted().send(GET)
        request = self.root.requests[0]
        request.begin(200, None, [])
        self.site.retire(self.old)
        request.write(b"the rest")
        request.finish()
        self.assertIn(b"the rest", client.received)
        self.assertTrue(client.lost)

    def test_a_request_behind_another_is_answered_as_the_last(self) -> None:
        """It was accepted under the promise of a connection that is kept."""
        client = self.accepted().send(GET + GET + GET)
        self.root.requests[0].begin(200, None, [])
        self.site.retire(self.old)
        self.root.requests[0].finish()
        self.answer()
        self.assertEqual((client.statuses, len(self.root.requests), client.lost), ([200, 200], 2, True))

    def test_one_that_has_just_been_accepted_gets_a_moment_for_its_first_request(self) -> None:
        """Without it, it is closed."""
        silent, late = self.accepted(), self.accepted()
        self.site.retire(self.old)
        silent.advance(FIRST_REQUEST - 0.1)
        late.send(GET)
        silent.advance(0.2)
        self.assertEqual((silent.lost, late.lost), (True, False))
        self.answer()
        self.assertEqual((late.statuses, late.lost), ([200], True))

    def test_it_may_be_said_again(self) -> None:
        """By the end of the gateway, or by another configuration."""
        client = self.accepted().send(GET)
        self.site.retire(self.old)
        self.change(idle_timeout=1)
        self.site.retire(self.old)
        self.site.drain(lambda: None)
        self.answer()
        self.assertEqual((client.statuses, client.lost, self.site.connections), ([200], True, 0))


class Listeners(SynchronousTestCase):
    """Which listener a connection came through, on real sockets."""

    def setUp(self) -> None:
        self.loop: Any = Loop()
        self.addCleanup(self.loop.close)
        self.site = GatewaySite(Root(), self.loop, Rules())
        self.addCleanup(self.site.hangups.close)

    def test_it_is_known_of_every_kind(self) -> None:
        """TCP, a unix socket, and TLS on either: the socket counts, whatever lies on it."""
        path = f"/tmp/nnogw-{os.getpid()}-came-through.sock"
        over_tls = TLSMemoryBIOFactory(certificate(), False, self.site, clock=self.loop)
        ports = [
            self.loop.listenTCP(0, self.site, interface="127.0.0.1"),
            self.loop.listenTCP(0, self.site, interface="127.0.0.1"),
            self.loop.listenTCP(0, over_tls, interface="127.0.0.1"),
            self.loop.listenUNIX(path, self.site),
        ]
        plain, tls = (
            ClientFactory.forProtocol(Protocol),
            TLSMemoryBIOFactory(CertificateOptions(), True, ClientFactory.forProtocol(Protocol), clock=self.loop),
        )
        plain.noisy = False
        came: list[set[Any]] = []
        for port, factory in zip(ports, (plain, plain, tls, plain), strict=True):
            before = set(self.site.channels)
            if port is ports[3]:
                self.loop.connectUNIX(path, factory)
            else:
                self.loop.connectTCP("127.0.0.1", port.getHost().port, factory)
            self.loop.until(lambda known=before: self.site.channels - known, "the connection")
            came.append(self.site.channels - before)
        for port, channels in zip(ports, came, strict=True):
            self.assertEqual({channel for channel in self.site.channels if channel.came_through(port)}, channels)
        (over,) = came[2]
        self.assertTrue(ISSLTransport.providedBy(over.transport))
        self.assertEqual([channel for channel in self.site.channels if channel.came_through(object())], [])
