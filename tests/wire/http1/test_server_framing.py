"""Strict framing: what is not exactly a request is answered once, and nothing behind it is ever read as one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.settings import LimitSettings
from nnogw.wire.request import GatewayRequest
from tests.doubles import Collected
from tests.wire.client_connection import GET, POST_CHUNKED, ClientConnection, Root, answer, chunk, post, wait

_HEAD = b"Host: gateway\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n"

#: What is wrong → the bytes, the status that they deserve, and a word of the reason in the log.
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "both framings": (b"POST /x HTTP/1.1\r\n" + _CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n", 400, "Content-Length"),
    "both framings, the other way round": (
        b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "Transfer-Encoding",
    ),
    "two lengths": (post(4, b"Content-Length: 5") + b"abcd", 400, "Content-Length"),
    "one length twice": (post(4, b"Content-Length: 4") + b"abcd", 400, "Content-Length"),
    "a list of lengths": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4, 4\r\n\r\nabcd", 400, "Content-Length"),
    "a length with a plus": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: +4\r\n\r\nabcd", 400, "Content-Length"),
    "a negative length": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: -4\r\n\r\nabcd", 400, "Content-Length"),
    "a hexadecimal length": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 0x4\r\n\r\nabcd", 400, "Content-Length"),
    "an empty length": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length:\r\n\r\nabcd", 400, "Content-Length"),
    "a length over 64 bits": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 400, "Content-Length"),
    "a request line that ends with LF": (b"GET /x HTTP/1.1\n" + _HEAD + b"\r\n", 400, "CR LF"),
    "a field that ends with LF": (b"GET /x HTTP/1.1\r\nHost: gateway\n\r\n", 400, "CR LF"),
    "a head that ends with LF": (b"GET /x HTTP/1.1\r\nHost: gateway\r\n\n", 400, "CR LF"),
    "a field that ends with CR": (b"GET /x HTTP/1.1\r\nHost: gateway\rX: y\r\n\r\n", 400, "CR LF"),
    "a folded field": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X: a\r\n b\r\n\r\n", 400, "malformed"),
    "a folded first field": (b"GET /x HTTP/1.1\r\n Host: gateway\r\n\r\n", 400, "malformed"),
    "a space before the colon": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length : 4\r\n\r\nabcd", 400, "malformed"),
    "a tab before the colon": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Content-Length\t: 4\r\n\r\nabcd", 400, "malformed"),
    "a field without a colon": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X\r\n\r\n", 400, "malformed"),
    "a field without a name": (b"GET /x HTTP/1.1\r\n" + _HEAD + b": a\r\n\r\n", 400, "malformed"),
    "NUL in a name": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X\0: a\r\n\r\n", 400, "malformed"),
    "NUL in a value": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X: a\0b\r\n\r\n", 400, "malformed"),
    "a control byte in a value": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X: a\x1bb\r\n\r\n", 400, "malformed"),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "DEL in the target": (b"GET /\x7f HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "bytes over 0x7f in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "two spaces before the target": (b"GET  /x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "request line"),
    "two spaces behind the target": (b"GET /x  HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, ""),
    "a tab in the request line": (b"GET\t/x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "a space behind the version": (b"GET /x HTTP/1.1 \r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "HTTP/0.9": (b"GET /x\r\n\r\n", 400, "request line"),
    "HTTP/1.2": (b"GET /x HTTP/1.2\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "HTTP/2.0": (b"GET /x HTTP/2.0\r\n" + _HEAD + b"\r\n", 400, "request line"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
    "a protocol that is not HTTP": (b"DESCRIBE /x RTSP/1.0\r\n" + _HEAD + b"\r\n", 400, "request line"),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)), 400, ""),
    "an unknown method": (b"BREW /x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "a method in lower case": (b"get /x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400, "malformed"),
    "a chunked body in HTTP/1.0": (b"POST /x HTTP/1.0\r\n" + _CHUNKED + b"\r\n0\r\n\r\n", 400, "HTTP/1.0"),
    "a coding before chunked": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "coding"),
    "codings in two fields": (
        b"POST /x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
        "coding",
    ),
    "chunked twice": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding"),
    "a coding that does not end the body": (b"POST /x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400, "Transfer-Encoding"),
    "no Host": (b"GET /x HTTP/1.1\r\n\r\n", 400, "no Host"),
    "two Hosts": (b"GET /x HTTP/1.1\r\n" + _HEAD + _HEAD + b"\r\n", 400, "several Host"),
    "two Hosts in HTTP/1.0": (b"GET /x HTTP/1.0\r\n" + _HEAD + _HEAD + b"\r\n", 400, "several Host"),
    "an empty Host": (b"GET /x HTTP/1.1\r\nHost:\r\n\r\n", 400, "malformed Host"),
    "a Host with a path": (b"GET /x HTTP/1.1\r\nHost: gateway/x\r\n\r\n", 400, "malformed Host"),
    "a Host with a user": (b"GET /x HTTP/1.1\r\nHost: me@gateway\r\n\r\n", 400, "malformed Host"),
    "a list of Hosts": (b"GET /x HTTP/1.1\r\nHost: gateway, other\r\n\r\n", 400, "malformed Host"),
    "a CR alone before the request line": (b"\r" + GET, 400, "CR or LF alone"),
    "an LF alone before the request line": (b"\n" + GET, 400, "CR or LF alone"),
    "an LF alone behind an empty line": (b"\r\n\n" + GET, 400, "CR or LF alone"),
    "two CRs before the request line": (b"\r\r\n" + GET, 400, "CR or LF alone"),
    "CONNECT": (b"CONNECT gateway:443 HTTP/1.1\r\n" + _HEAD + b"\r\n", 501, "CONNECT"),
    "TRACE": (b"TRACE /x HTTP/1.1\r\n" + _HEAD + b"\r\n", 501, "TRACE"),
    "an unknown expectation": (post(4, b"Expect: tea") + b"abcd", 417, "Expect"),
    "a second expectation": (post(4, b"Expect: 100-continue", b"Expect: tea") + b"abcd", 417, "Expect"),
    "a head over 16 KiB": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X: " + b"a" * 17_000 + b"\r\n\r\n", 431, "16384"),
    "more than 100 fields": (b"GET /x HTTP/1.1\r\n" + _HEAD + b"X: a\r\n" * 100 + b"\r\n", 431, "100"),
    "a target over 8 KiB": (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + _HEAD + b"\r\n", 414, "8192"),
    "a length over the limit": (post(1025), 413, "1024"),
}

#: What is wrong with a chunked body.
BROKEN_CHUNKS = {
    "no number": b"x\r\nabcd\r\n",
    "a hexadecimal prefix": b"0x4\r\nabcd\r\n",
    "a sign": b"+4\r\nabcd\r\n",
    "a space before the size": b" 4\r\nabcd\r\n",
    "a space behind the size": b"4 \r\nabcd\r\n",
    "a size over 64 bits": b"fffffffffffffffff\r\n",
    "no size": b"\r\nabcd\r\n",
    "a size line that ends with LF": b"4\nabcd\r\n",
    "a chunk that ends with LF": b"4\r\nabcd\n0\r\n\r\n",
    "a chunk longer than it says": b"4\r\nabcde\r\n",
    "NUL in an extension": b"4;a=\0\r\nabcd\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "a trailer without a name": b"0\r\n: a\r\n\r\n",
    "a last line that ends with LF": b"0\r\n\n",
}

_LIMITS = LimitSettings(max_body=1024)


class RefusedHeads(SynchronousTestCase):
    """The root resource gets each as a request with a refusal, so that it is answered and logged like any other."""

    def test_each_is_answered_once_and_nothing_behind_it_is_a_request(self) -> None:
        """A request comes right behind it, and another one later."""
        for name, (data, status, reason) in REFUSED.items():
            client = ClientConnection(limits=_LIMITS, lingers=True).send(data + GET)
            self.assertEqual(client.statuses, [status], name)
            self.assertTrue(client.closed, name)
            client.send(GET)
            self.assertEqual(len(client.root.requests), 1, name)
            self.assertIn(b"\r\nConnection: close\r\n", client.received, name)
            self.assertIn(reason, client.root.requests[0].refusal.reason, name)
            self.assertEqual(client.root.ends, [""], name)

    def test_each_is_refused_the_same_byte_by_byte(self) -> None:
        """However it is cut into segments."""
        for name, (data, status, _) in REFUSED.items():
            client = ClientConnection(limits=_LIMITS, lingers=True).send(data + GET, size=1)
            self.assertEqual(client.statuses, [status], name)
            self.assertEqual(len(client.root.requests), 1, name)

    def test_what_comes_while_the_refusal_is_not_answered_yet_is_no_request(self) -> None:
        """Nor when the response is out."""
        for name, (data, _, _) in REFUSED.items():
            client = ClientConnection(Root(wait), _LIMITS, lingers=True).send(data).send(GET)
            self.assertEqual(len(client.root.requests), 1, name)
            client.root.requests[0].begin(400, None, [])
            client.root.requests[0].finish()
            client.send(GET)
            self.assertEqual(len(client.root.requests), 1, name)

    def test_a_refused_request_says_what_is_known_of_it(self) -> None:
        """For the log: the method and the target, as far as they could be read."""
        known = {
            b"POST /path HTTP/1.1\r\nHost: g\r\nContent-Length: x\r\n\r\n": (b"POST", b"/path"),
            b"BREW /path HTTP/1.1\r\n\r\n": (b"BREW", b""),
            b"\x16\x03\x01": (b"", b""),
        }
        for data, expected in known.items():
            (request,) = ClientConnection().send(data).root.requests
            self.assertEqual((request.method, request.target), expected)
            self.assertIsNone(request.body)

    def test_an_endless_head_is_refused_as_soon_as_it_is_too_long(self) -> None:
        """It is not waited for."""
        client = ClientConnection().send(b"GET /" + b"a" * 8193)
        self.assertEqual(client.statuses, [414])
        client = ClientConnection().send(b"GET / HTTP/1.1\r\nX: " + b"a" * 16_384)
        self.assertEqual(client.statuses, [431])
        client = ClientConnection().send(b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 102)
        self.assertEqual(client.statuses, [431])

    def test_what_is_read_of_a_broken_connection_is_bounded(self) -> None:
        """A sender that does not stop is read no more after a while; when its answer is out, no further than the bound."""
        client = ClientConnection(Root(wait), lingers=True).send(b"nonsense\r\n\r\n" + b"a" * 1_000_000)
        self.assertTrue(client.paused)
        self.assertGreater(client.unread, 600_000)


class AcceptedHeads(SynchronousTestCase):
    """What is unusual and right."""

    def accept(self, data: bytes) -> None:
        """Assert that `data` is one request that is not refused."""
        client = ClientConnection().send(data)
        self.assertEqual([request.refusal for request in client.root.requests], [None], data)

    def test_unusual_heads_that_are_right(self) -> None:
        """At the limits, and within the grammar."""
        for data in (
            b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: gateway\r\n" + b"X: a\r\n" * 99 + b"\r\n",
            b"GET / HTTP/1.1\r\nHost: gateway\r\nX: " + b"a" * (16_384 - 38) + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n",
            b"GET / HTTP/1.1\r\nhOST:gateway:80 \t\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: gateway\r\n\r\n",
            b"GET http://gateway/x HTTP/1.1\r\nHost: gateway\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: gateway\r\nX:\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: gateway\r\nX: \xc3\xa9\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: gateway\r\nExpect: tea\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: gateway\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na",
            b"POST / HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1 \r\n\r\na",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        ):
            self.accept(data)

    def test_a_connection_goes_on_after_an_upgrade_that_is_not_taken(self) -> None:
        """It was an ordinary request, and the next one is too."""
        client = ClientConnection().send(b"GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET)
        self.assertEqual(client.statuses, [200, 200])

    def test_a_body_with_an_upgrade_that_is_not_taken(self) -> None:
        """It is framed as on any request (RFC 9110 §7.8), although llhttp would not: what lies in it is no request.

        Java's ``HttpClient`` and ``curl --http2`` offer h2c with every request.
        """
        offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAA")
        chunked = (
            b"POST /x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n" + b"".join(line + b"\r\n" for line in offer) + b"\r\n"
        )
        for message in (post(len(GET), *offer) + GET, chunked + chunk(GET) + b"0\r\n\r\n"):
            for size in (1, 7, len(message), 10_000):
                bodies: list[Collected] = []

                def respond(request: GatewayRequest, bodies: list[Collected] = bodies) -> None:
                    if request.body is None:
                        answer(request)
                        return
                    bodies.append(Collected())
                    request.body.stream(bodies[-1])

                client = ClientConnection(Root(respond)).send(message + GET, size)
                self.assertEqual([(body.data, body.ended) for body in bodies], [(GET, True)])
                answer(client.root.requests[0])
                self.assertEqual(client.statuses, [200, 200])
                self.assertEqual([request.method for request in client.root.requests], [b"POST", b"GET"])

    def test_the_spelling_of_fields_is_kept(self) -> None:
        """Their order, too; white space around values is not part of them."""
        (request,) = ClientConnection().send(b"GET /x HTTP/1.1\r\nhOST: gateway\r\nX-One:  a b \t\r\nx-one: c\r\n\r\n").root.requests
        self.assertEqual(request.fields.raw, ((b"host", b"hOST", b"gateway"), (b"x-one", b"X-One", b"a b"), (b"x-one", b"x-one", b"c")))


class BrokenChunks(SynchronousTestCase):
    """A chunked body that breaks its framing ends the request and the connection."""

    def test_each_fails_the_body_and_closes_the_connection(self) -> None:
        """Whether somebody takes the body or not."""
        for name, data in BROKEN_CHUNKS.items():
            for size in (1, 1000):
                client = ClientConnection(Root(wait), lingers=True).send(POST_CHUNKED + chunk(b"good"), size=size)
                (request,) = client.root.requests
                consumer = Collected()
                request.body.stream(consumer)
                client.turn()
                client.send(data + GET, size=size)
                self.assertEqual(getattr(consumer.error, "status", None), 400, name)
                self.assertFalse(consumer.ended, name)
                request.begin(400, None, [])
                request.finish()
                client.send(GET)
                self.assertEqual(client.statuses, [400], name)
                self.assertIn(b"Connection: close", client.received)
                self.assertEqual(len(client.root.requests), 1, name)

    def test_a_flood_of_chunk_extensions_is_refused(self) -> None:
        """Bytes on the wire that are no body are bounded by its size."""
        client = ClientConnection(Root(wait))
        client.send(POST_CHUNKED)
        consumer = Collected()
        client.root.requests[0].body.stream(consumer)
        client.send((b"1;" + b"e" * 1000 + b"\r\na\r\n") * 30)
        self.assertIn("out of proportion", consumer.error.reason)

    def test_a_flood_of_trailers_is_refused(self) -> None:
        """Even one that is complete."""
        client = ClientConnection(Root(wait))
        client.send(POST_CHUNKED)
        consumer = Collected()
        client.root.requests[0].body.stream(consumer)
        client.send(b"0\r\n" + b"X: aaaaaaaaaaaaaaaa\r\n" * 1000 + b"\r\n")
        self.assertIn("out of proportion", consumer.error.reason)

    def test_chunks_of_one_byte_are_no_flood(self) -> None:
        """Six bytes on the wire for each byte of the body."""
        client = ClientConnection(Root(wait))
        client.send(POST_CHUNKED)
        consumer = Collected()
        client.root.requests[0].body.stream(consumer)
        client.send(chunk(b"a") * 20_000 + b"0\r\n\r\n")
        self.assertTrue(consumer.ended)
        self.assertEqual(len(consumer.data), 20_000)
