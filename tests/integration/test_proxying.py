"""What passes through the gateway, over real sockets: byte for byte, in both directions, while it comes."""

from __future__ import annotations

import re

from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, Platform, status
from tests.integration.sockets import get, ok, says, silence, until

_HEAD = f"Host: gateway\r\n{AS_SERVICE}\r\n".encode()


class Fidelity(TestCase):
    """Nothing is re-encoded, decompressed, reordered, remembered or followed."""

    async def setUp(self) -> None:
        self.platform = Platform(self)
        await self.platform.start()

    async def arrived(self, target: str, *fields: str, method: str = "GET") -> bytes:
        """Return the head that the service receives."""
        await self.platform.ask(target, AS_SERVICE, *fields, method=method)
        return self.platform.billing.visits[-1].received.rpartition(b"\r\n\r\n")[0].rpartition(b"\r\n\r\n")[2]

    async def test_the_rest_of_the_path_and_the_query_arrive_byte_for_byte(self) -> None:
        """The prefix is gone, and only that."""
        for rest in ("/a%2Fb//c;d+e/", "/?q=%zz&r=a%20b+c", "/x?", "/%E4%B8%80/~.-_", "/a.b/..c/...", "/!$&'()*,=:@"):
            line = (await self.arrived(f"/api/v1/billing{rest}")).split(b"\r\n")[0]
            self.assertEqual(line, b"GET %b HTTP/1.1" % rest.encode())
        for bare in ("/api/v1/billing", "/api/v1/billing/"):
            self.assertTrue((await self.arrived(bare)).startswith(b"GET / HTTP/1.1\r\n"))

    async def test_hop_by_hop_fields_stay_behind_and_all_others_arrive_as_they_are(self) -> None:
        """Order, spelling and repetition are the client's."""
        head = await self.arrived(
            "/api/v1/billing/x",
            "CoOkIe: a=1",
            "Accept-Encoding: br",
            "X-Custom: 1",
            "Keep-Alive: timeout=5",
            "Connection: X-Named",
            "X-Named: gone",
            "TE: gzip, trailers",
            "Proxy-Authorization: gone",
            "x-custom: 2",
            "X-Forwarded-For: 6.6.6.6",
            "Forwarded: for=6.6.6.6",
        )
        names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
        self.assertEqual(names[0], b"Host")
        client_names = [name for name in names if name in (b"CoOkIe", b"Accept-Encoding", b"X-Custom", b"x-custom")]
        self.assertEqual(client_names, [b"CoOkIe", b"Accept-Encoding", b"X-Custom", b"x-custom"])
        for gone in (b"Keep-Alive", b"Connection", b"X-Named", b"Proxy-Authorization"):
            self.assertNotIn(gone, names)
        self.assertIn(b"\r\nTE: trailers", head)
        self.assertIn(b"\r\nX-Forwarded-For: 127.0.0.1\r\n", head)
        self.assertNotIn(b"6.6.6.6", head)
        self.assertIn(b"\r\nVia: 1.1 nnogw", head)
        self.assertIn(b"Host: 127.0.0.1:%d\r\n" % self.platform.billing.port, head)

    async def test_the_answer_passes_byte_for_byte(self) -> None:
        """Reason phrase, order, repetition, codings, validators, and a redirect that is nobody's to follow."""
        fields = [
            b"Location: http://127.0.0.1:1/elsewhere",
            b"Set-Cookie: a=1",
            b"x-Odd-Spelling: 1",
            b"Set-Cookie: b=2",
            b"Content-Encoding: gzip",
            b'ETag: "x"',
            b"Server: theirs",
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        ]
        body = b"\x1f\x8bnot really gzip\0\xff"
        self.platform.billing.answer = says(
            b"HTTP/1.1 302 Over There\r\n" + b"\r\n".join(fields) + b"\r\nKeep-Alive: 5\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        answer = await self.platform.ask("/api/v1/billing/x", AS_SERVICE)
        head, _, got = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 302 Over There\r\n"))
        self.assertEqual(got, body)
        self.assertEqual([line for line in head.split(b"\r\n") if line in fields], fields)
        self.assertNotIn(b"Keep-Alive", head)
        self.assertEqual(head.count(b"\r\nDate:"), 1)
        self.assertEqual(head.count(b"\r\nServer:"), 1)
        self.assertNotIn(b"\r\nContent-Type:", head)
        self.assertEqual(len(self.platform.billing.visits), 1)

    async def test_one_callers_cookie_does_not_go_out_with_the_next_callers_request(self) -> None:
        """There is no cookie jar."""
        self.platform.billing.answer = says(ok(b"", b"Set-Cookie: session=first"))
        await self.platform.ask("/api/v1/billing/x", AS_SERVICE)
        self.assertNotIn(b"session=first", await self.arrived("/api/v1/billing/x"))

    async def test_head_204_304_and_interim_answers_go_by_the_book(self) -> None:
        """Lengths without bodies stay lengths, but for 204, which has none; 103 goes on to HTTP/1.1."""
        self.platform.billing.answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        answer = await self.platform.ask("/api/v1/billing/x", AS_SERVICE, method="HEAD")
        self.assertIn(b"\r\nContent-Length: 1000\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n"))
        for line in (b"204 No Content", b"304 Not Modified"):
            interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
            self.platform.billing.answer = says(interim + b"HTTP/1.1 " + line + b"\r\nContent-Length: 4\r\n\r\n")
            answer = await self.platform.ask("/api/v1/billing/x", AS_SERVICE)
            self.assertTrue(answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 " + line + b"\r\n"), answer)
            self.assertTrue(answer.endswith(b"\r\n\r\n"))
            self.assertEqual(answer.count(b"\r\n\r\n"), 2)
            self.assertNotIn(b"Transfer-Encoding", answer)
            self.assertEqual(b"Content-Length" in answer, line.startswith(b"304"))

    async def test_a_body_with_an_offer_of_h2c_arrives(self) -> None:
        """As Java and ``curl --http2`` send it; the service hears nothing of the offer, and what lies in the body is no request."""
        body = get("/api/v1/billing/smuggled", AS_SERVICE).decode()
        offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA"]
        client = await self.platform.client()
        head = ["POST /api/v1/billing/x HTTP/1.1", "Host: gateway", AS_SERVICE, *offer, f"Content-Length: {len(body)}", "", ""]
        client.send("\r\n".join(head).encode() + body.encode() + get("/api/v1/billing/last", AS_SERVICE))
        answer = await client.until_closed()
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 2)
        received = self.platform.billing.received
        self.assertIn(body.encode(), received)
        self.assertEqual([received.count(line) for line in (b"POST /x HTTP/1.1", b"GET /smuggled ", b"GET /last ")], [1, 0, 1])
        self.assertNotIn(b"h2c", received)


class Streaming(TestCase):
    """Both ways, while it comes."""

    async def setUp(self) -> None:
        self.platform = Platform(self)
        await self.platform.start()

    async def test_an_event_reaches_the_client_when_it_is_sent(self) -> None:
        """Before the next one is."""
        billing = self.platform.billing
        billing.answer = says(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        client = await self.platform.client()
        client.send(get("/api/v1/billing/events", AS_SERVICE))
        await client.until_received(b"\r\n\r\n")
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            billing.visits[0].send(b"%x\r\n%b\r\n" % (len(event), event))
            await client.until_received(event)
        billing.visits[0].send(b"0\r\nX-Trailer: dropped\r\n\r\n")
        answer = await client.until_closed()
        self.assertTrue(answer.endswith(b"0\r\n\r\n"))

    async def test_an_upload_flows_before_it_is_whole(self) -> None:
        """The service sees the first half while the client still has the second; chunked stays chunked, and trailers are no headers."""
        billing = self.platform.billing
        billing.answer = silence
        client = await self.platform.client()
        client.send(
            b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        )
        await until(lambda: b"5\r\nfirst\r\n" in billing.received, "the first half")
        client.send(b"6\r\nsecond\r\n0\r\nX-Nno-Role: root\r\n\r\n")
        await until(lambda: billing.received.endswith(b"6\r\nsecond\r\n0\r\n\r\n"), "the second half")
        billing.visits[0].send(ok())
        self.assertEqual(status(await client.until_closed()), 200)
        self.assertNotIn(b"root", billing.received)

    async def test_100_continue_comes_once_the_request_is_let_in(self) -> None:
        """Not before, and not at all for a refused one."""
        expecting = b"POST /api/v1/billing/x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n"
        client = await self.platform.client()
        client.send(expecting + b"Host: gateway\r\n\r\n")
        answer = await client.until_closed()
        self.assertEqual(status(answer), 401)
        self.assertNotIn(b"100 Continue", answer)
        self.platform.billing.answer = silence
        client = await self.platform.client()
        client.send(expecting + _HEAD + b"\r\n")
        await client.until_received(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"body")
        await until(lambda: self.platform.billing.received.endswith(b"\r\n\r\nbody"), "the body")
        self.platform.billing.visits[0].send(ok())
        answer = await client.until_closed()
        self.assertEqual(status(answer.partition(b"\r\n\r\n")[2]), 200)

    async def test_a_refused_upload_is_never_read_as_a_request(self) -> None:
        """Whether it is drained or its connection closed."""
        inner = get("/api/v1/billing/smuggled", AS_SERVICE)
        client = await self.platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\n" % len(inner))
        await client.until_received(b"UNAUTHORIZED")
        client.send(inner + get("/api/v1/billing/next", AS_SERVICE))
        await client.until_closed()
        self.assertNotIn(b"smuggled", self.platform.billing.received)

    async def test_pipelined_requests_are_answered_in_order(self) -> None:
        """Over one connection, and over one kept connection to the service."""
        client = await self.platform.client()
        self.platform.billing.answer = lambda visit: visit.send(ok(visit.received.rpartition(b"GET /")[2].partition(b" ")[0]))
        requests = [b"GET /api/v1/billing/%d HTTP/1.1\r\n%b\r\n" % (n, _HEAD) for n in range(20)]
        client.send(b"".join(requests) + get("/api/v1/billing/last", AS_SERVICE))
        answers = await client.until_closed()
        bodies = re.findall(rb"\r\n\r\n(\w+)(?:HTTP|$)", answers)
        self.assertEqual(bodies, [b"%d" % n for n in range(20)] + [b"last"])
        self.assertEqual(len(self.platform.billing.visits), 1)

    async def test_a_client_of_http_1_0_is_served_as_it_was_then(self) -> None:
        """No chunks, and the end of the connection is the end of the answer."""
        self.platform.billing.answer = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
        client = await self.platform.client()
        client.send(b"GET /api/v1/billing/x HTTP/1.0\r\n" + f"{AS_SERVICE}\r\n\r\n".encode())
        answer = await client.until_closed()
        self.assertTrue(answer.endswith(b"\r\n\r\nbody"), answer)
        self.assertNotIn(b"Transfer-Encoding", answer)


class SlowClients(TestCase):
    """Deadlines for heads and bodies, over real time."""

    async def test_a_head_and_a_body_that_do_not_come_are_408(self) -> None:
        """And a silent connection is closed without a word."""
        platform = Platform(self, config="[limits]\nheader_timeout = 0.5\nbody_timeout = 0.5\nidle_timeout = 0.5", billing=silence)
        await platform.start()
        client = await platform.client()
        client.send(b"GET /api/v1/billing/x HTT")
        self.assertEqual(status(await client.until_closed()), 408)
        client = await platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 10\r\n\r\nhalf")
        self.assertEqual(status(await client.until_closed()), 408)
        client = await platform.client()
        self.assertEqual(await client.until_closed(), b"")
