"""What memory cannot show: the gateway's end of real sockets."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import field
from nnogw.settings import LimitSettings
from nnogw.wire.http1.limits import CLOSE_TIMEOUT
from nnogw.wire.relay import Relay
from nnogw.wire.request import GatewayRequest
from nnogw.wire.site import GatewaySite
from nnogw.wire.transport.writer import HIGH_WATER
from tests.doubles import Collected, Rules, ScriptedBody
from tests.wire.client_connection import GET, Root, answer, post, wait
from tests.wire.loop import Client, Loop

LARGE = bytes(range(256)) * 4096  # 1 MiB: far more than the sockets' buffers hold
LIMITS = LimitSettings(send_timeout=180)


class _Sockets(SynchronousTestCase):
    """A site on a socket."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.addCleanup(self.loop.close)

    def connect(self, respond: object = answer) -> Client:
        """Return a client whose requests `respond` answers."""
        self.root = Root(respond)
        self.site = GatewaySite(self.root, self.loop, Rules(LIMITS))
        self.addCleanup(self.site.hangups.close)
        return Client(self, self.loop, self.site)

    def streaming(self, client: Client) -> tuple[GatewayRequest, Relay, ScriptedBody]:
        """Return the client's request, and the relay that a body streams to it through."""
        client.send(GET)
        request = self.root.requests[0]
        request.begin(200, None, [field(b"Content-Length", b"%d" % len(LARGE))])
        source = ScriptedBody()
        return request, Relay(request, source, lambda reason: None), source


class Sending(_Sockets):
    """Straight to the socket, and no faster than the client reads."""

    def test_an_answer_reaches_the_client(self) -> None:
        """And the next one on the same connection."""
        client = self.connect()
        client.send(GET)
        client.read_until(lambda: client.received.endswith(b"ok"), "the answer")
        client.send(GET + GET)
        client.read_until(lambda: client.received.count(b"HTTP/1.1 200 OK") == 3, "three answers")
        self.assertFalse(client.ended)

    def test_a_client_that_reads_slowly_pauses_the_source(self) -> None:
        """What waits for it in the gateway is bounded; then it gets every byte in order."""
        client = self.connect(wait)
        request, relay, source = self.streaming(client)
        sent = 0

        def produce() -> None:
            nonlocal sent
            while sent < len(LARGE) and (not source.calls or source.calls[-1] == "resume"):
                relay.body_data(LARGE[sent : sent + 16_384])
                sent += 16_384
                self.loop.turn(1)

        produce()
        self.assertEqual(source.calls[-1], "pause")
        self.assertLess(sent, len(LARGE))
        self.assertLessEqual(request.channel.writer._size, 2 * HIGH_WATER)
        while sent < len(LARGE):
            client.read()
            self.loop.turn(1)
            produce()
        relay.body_ended()
        client.read_until(lambda: client.received.endswith(LARGE[-256:]) and len(client.received) > len(LARGE), "the whole body")
        self.assertEqual(client.received.partition(b"\r\n\r\n")[2], LARGE)
        self.assertEqual(self.root.ends, [""])

    def test_an_answer_of_one_piece_is_sent_as_the_client_takes_it(self) -> None:
        """Then the connection is closed, when its last byte is out."""
        client = self.connect(lambda request: answer(request, LARGE))
        client.send(GET[:-2] + b"Connection: close\r\n\r\n")
        self.assertFalse(client.channel.writer.idle)
        self.assertEqual(client.read_to_the_end().partition(b"\r\n\r\n")[2], LARGE)
        self.assertFalse(client.reset)
        self.assertEqual(self.site.connections, 0)

    def test_the_next_request_waits_until_the_client_has_taken_the_answer(self) -> None:
        """Answers do not pile up."""
        client = self.connect(lambda request: answer(request, LARGE))
        client.send(GET)
        client.send(GET)
        self.assertEqual(len(self.root.requests), 1)
        client.read_until(lambda: len(client.received) > 2 * len(LARGE), "both answers")
        self.assertEqual(len(self.root.requests), 2)

    def test_a_client_that_takes_nothing_is_cut(self) -> None:
        """One that takes a little within each limit is not, however much waits for it."""
        client = self.connect(wait)
        _, relay, _ = self.streaming(client)
        relay.body_data(LARGE)
        self.loop.turn()
        for _ in range(6):
            self.loop.advance(170)
            self.assertEqual(self.root.ends, [])
            client.read(20_000)
            self.assertFalse(client.channel.writer.idle)
        for _ in range(2):  # the first may find what has been taken just now
            self.loop.advance(181)
        self.assertEqual(self.root.ends, ["timeout:send"])
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_client_that_resets_its_connection_ends_the_request(self) -> None:
        """Whether the gateway finds out by reading or by sending."""
        for paused in (False, True):
            client = self.connect(wait)
            _, relay, _ = self.streaming(client)
            if paused:
                client.transport.pauseProducing()
            client.abort()
            relay.body_data(LARGE)
            self.loop.until(lambda: self.root.ends, "the end")
            self.assertEqual(self.root.ends, ["client"])
            relay.body_data(LARGE)
            self.loop.turn()


class Closing(_Sockets):
    """The last word reaches a client that is still sending (RFC 9112 §9.6)."""

    def test_a_refused_client_gets_its_answer_while_it_is_still_sending(self) -> None:
        """Its bytes are thrown away, and its end closes the connection."""
        client = self.connect()
        client.send(b"nonsense\r\n\r\n")
        client.send(b"a" * 100_000)
        self.assertIn(b"HTTP/1.1 400 ", client.read_to_the_end())
        self.assertFalse(client.reset)
        client.send(GET)
        self.assertEqual(len(self.root.requests), 1)
        self.assertEqual(self.site.connections, 1)
        client.hang_up()
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_client_that_does_not_close_is_cut(self) -> None:
        """After a while."""
        client = self.connect()
        client.send(post(1_000_000))
        client.read_to_the_end()
        self.loop.advance(CLOSE_TIMEOUT - 0.1)
        self.assertEqual(self.site.connections, 1)
        self.loop.advance(0.2)
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_client_that_does_not_stop_sending_is_read_no_further_than_a_bound(self) -> None:
        """Then it is cut."""
        client = self.connect()
        client.send(post(10_000_000))
        client.send(b"a" * 300_000)
        self.assertFalse(client.transport in self.loop.getReaders())
        self.loop.advance(CLOSE_TIMEOUT)
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_large_answer_is_whole_before_the_connection_is_half_closed(self) -> None:
        """However slowly it is taken, while the rest of the request is thrown away."""
        client = self.connect(lambda request: answer(request, LARGE))
        client.send(post(1_000_000) + b"body")
        self.loop.advance(170)
        self.assertEqual(client.read_to_the_end().partition(b"\r\n\r\n")[2], LARGE)
        self.assertFalse(client.reset)
        self.assertEqual(self.site.connections, 1)
        self.loop.advance(CLOSE_TIMEOUT + 0.1)
        self.loop.until(lambda: not self.site.connections, "the end")


class HangingUp(_Sockets):
    """A client that leaves while its connection is not being read (see `nnogw.wire.transport.hangup`)."""

    def test_while_its_upload_is_not_taken(self) -> None:
        """In order, or by a reset; its body fails, too."""
        for leave in (Client.hang_up, Client.abort):
            client = self.connect(wait)
            client.send(post(1_000_000) + b"a" * 100_000)
            consumer = Collected()
            self.assertFalse(client.transport in self.loop.getReaders())
            leave(client)
            self.loop.until(lambda: self.root.ends, "the end")
            self.assertEqual(self.root.ends, ["client"])
            self.root.requests[0].body.stream(consumer)
            self.assertIsNotNone(consumer.error)

    def test_a_connection_that_is_cut_is_watched_no_more(self) -> None:
        """Its descriptor may be another connection's soon."""
        client = self.connect(wait)
        client.send(post(1_000_000) + b"a" * 100_000)
        self.assertEqual(self.site.cut(), 1)
        self.loop.until(lambda: not self.site.connections, "the end")
        self.assertNotIn(self.site.hangups, self.loop.getReaders())

    def test_while_further_requests_are_held(self) -> None:
        """They are not begun."""
        client = self.connect(wait)
        client.send(GET + GET)
        client.hang_up()
        self.loop.until(lambda: self.root.ends, "the end")
        self.assertEqual((self.root.ends, len(self.root.requests)), (["client"], 1))

    def test_while_its_answer_is_awaited(self) -> None:
        """The connection is being read: that is enough."""
        client = self.connect(wait)
        client.send(post(4) + b"body")
        client.hang_up()
        self.loop.until(lambda: self.root.ends, "the end")
        self.assertEqual(self.root.ends, ["client"])

    def test_a_connection_that_is_read_again_is_watched_no_more(self) -> None:
        """It goes on as ever."""
        client = self.connect(wait)
        client.send(post(200_000) + b"a" * 200_000)
        self.assertIn(self.site.hangups, self.loop.getReaders())
        consumer = Collected()
        self.root.requests[0].body.stream(consumer)
        self.loop.until(lambda: consumer.ended, "the body")
        self.assertNotIn(self.site.hangups, self.loop.getReaders())
        answer(self.root.requests[0])
        client.read_until(lambda: client.received.endswith(b"ok"), "the answer")


class _TlsClient(Protocol):
    """A client over TLS that reads when it is told to."""

    received = b""
    lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


def certificate() -> Any:
    """Return a certificate for the loopback address, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return PrivateCertificate.loadPEM(private + made.public_bytes(serialization.Encoding.PEM)).options()


class Tls(_Sockets):
    """A connection over TLS has backpressure, limits and an end like any other."""

    def connect_tls(self, respond: object) -> _TlsClient:
        """Return a client over TLS."""
        self.root = Root(respond)
        self.site = GatewaySite(self.root, self.loop, Rules(LIMITS))
        server = TLSMemoryBIOFactory(certificate(), False, self.site, clock=self.loop)  # listenSSL would take the global reactor's clock
        port: Any = self.loop.listenTCP(0, server, interface="127.0.0.1")
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        client = _TlsClient()
        factory = TLSMemoryBIOFactory(CertificateOptions(), True, ClientFactory.forProtocol(lambda: client), clock=self.loop)
        self.loop.connectTCP("127.0.0.1", port.getHost().port, factory)
        self.loop.until(lambda: self.site.channels and client.connected, "the connection")
        return client

    def test_a_client_that_reads_slowly_pauses_the_source(self) -> None:
        """And gets every byte."""
        client = self.connect_tls(wait)
        client.transport.write(GET)
        self.loop.until(lambda: self.root.requests, "the request")
        request = self.root.requests[0]
        self.assertTrue(request.channel.secure)
        client.transport.pauseProducing()
        request.begin(200, None, [field(b"Content-Length", b"%d" % len(LARGE))])
        source = ScriptedBody()
        relay = Relay(request, source, lambda reason: None)
        sent = 0
        while sent < len(LARGE) and source.calls[-1:] != ["pause"]:
            relay.body_data(LARGE[sent : sent + 65_536])
            sent += 65_536
            self.loop.turn()
        self.assertEqual(source.calls[-1], "pause")
        self.assertLess(sent, len(LARGE))
        client.transport.resumeProducing()
        self.loop.until(lambda: source.calls[-1] == "resume", "the source to be resumed")
        relay.body_data(LARGE[sent:])
        relay.body_ended()
        self.loop.until(lambda: len(client.received) > len(LARGE), "the whole body")
        self.assertEqual(client.received.partition(b"\r\n\r\n")[2], LARGE)

    def test_a_client_that_takes_nothing_is_cut(self) -> None:
        """Although the whole answer was written at once, from no source."""
        client = self.connect_tls(wait)
        client.transport.write(GET)
        self.loop.until(lambda: self.root.requests, "the request")
        client.transport.pauseProducing()
        answer(self.root.requests[0], LARGE)
        self.loop.turn(100)
        self.loop.advance(179)
        self.assertEqual(self.site.connections, 1)
        self.loop.advance(1)  # what has been taken by now is looked at for the first time
        self.loop.advance(180)
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_last_answer_is_whole(self) -> None:
        """The connection is closed behind it, when the client has taken it."""
        client = self.connect_tls(lambda request: answer(request, LARGE))
        client.transport.write(GET[:-2] + b"Connection: close\r\n\r\n")
        self.loop.until(lambda: client.lost, "the end")
        self.assertEqual(client.received.partition(b"\r\n\r\n")[2], LARGE)
        self.loop.until(lambda: not self.site.connections, "the end")

    def test_a_refused_client_gets_its_answer(self) -> None:
        """TLS has its own goodbye."""
        client = self.connect_tls(answer)
        client.transport.write(b"nonsense\r\n\r\n")
        self.loop.until(lambda: client.lost, "the end")
        self.assertIn(b"HTTP/1.1 400 ", client.received)
