"""What clients must not get away with, over a real socket: each is answered or cut, and nothing behind it is read as a request."""

from __future__ import annotations

import random

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, SERVICE_KEY, Platform, code, status
from tests.integration.sockets import get, silence

_KEY = f"Authorization: Bearer {SERVICE_KEY}\r\n".encode()
_HEAD = b"Host: gateway\r\n" + _KEY
_SMUGGLED = b"GET /api/v1/billing/smuggled HTTP/1.1\r\n" + _HEAD + b"\r\n"

#: What is wrong → the bytes, and the status that they deserve.
MALFORMED: dict[str, tuple[bytes, int]] = {
    "both lengths": (
        b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400),
    "equal lengths twice": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a list of lengths": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4, 4\r\n\r\nabcd", 400),
    "a signed length": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: +4\r\n\r\nabcd", 400),
    "a length that overflows": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "bare LF": (b"GET /api/v1/billing/x HTTP/1.1\n" + _HEAD + b"\r\n", 400),
    "a bare CR in a value": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X: a\rb\r\n\r\n", 400),
    "a folded header": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X: a\r\n b\r\n\r\n", 400),
    "a space before the colon": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X : a\r\n\r\n", 400),
    "an empty name": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b": a\r\n\r\n", 400),
    "NUL in a value": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X: a\0b\r\n\r\n", 400),
    "NUL in the target": (b"GET /api/v1/billing/\0 HTTP/1.1\r\n" + _HEAD + b"\r\n", 400),
    "eight-bit target": (b"GET /api/v1/billing/\xe9 HTTP/1.1\r\n" + _HEAD + b"\r\n", 400),
    "two spaces": (b"GET  /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400),
    "HTTP/0.9": (b"GET /api/v1/billing/x\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /api/v1/billing/x HTTP/2.0\r\n" + _HEAD + b"\r\n", 400),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/1.9": (b"GET /api/v1/billing/x HTTP/1.9\r\n" + _HEAD + b"\r\n", 400),
    "chunked HTTP/1.0": (b"POST /api/v1/billing/x HTTP/1.0\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "no Host": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _KEY + b"\r\n", 400),
    "two Hosts": (b"GET /api/v1/billing/x HTTP/1.1\r\nHost: gateway\r\n" + _HEAD + b"\r\n", 400),
    "a Host with a path": (b"GET /api/v1/billing/x HTTP/1.1\r\nHost: gateway/x\r\n" + _KEY + b"\r\n", 400),
    "a body with Upgrade": (
        b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\nabcd",
        400,
    ),
    "CONNECT": (b"CONNECT gateway:443 HTTP/1.1\r\n" + _HEAD + b"\r\n", 501),
    "TRACE": (b"TRACE /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"\r\n", 501),
    "an unknown method": (b"BREW /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"\r\n", 400),
    "an unknown expectation": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Expect: tea\r\nContent-Length: 4\r\n\r\nabcd", 417),
    "a header block that is too large": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "too many fields": (b"GET /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"X: a\r\n" * 120 + b"\r\n", 431),
    "a target that is too long": (b"GET /api/v1/billing/" + b"a" * 9_000 + b" HTTP/1.1\r\n" + _HEAD + b"\r\n", 414),
    "a body that is too large": (b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 1048577\r\n\r\n", 413),
    "an asterisk for GET": (b"GET * HTTP/1.1\r\n" + _HEAD + b"Connection: close\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)), 400),
}

REFUSED_PATHS = [
    "/api/v1/billing/../iam",
    "/api/v1/billing/./x",
    "/api/v1/billing/%2e%2e/iam",
    "/api/v1/billing/%2E./iam",
    "/api/v1/billing/%252e%252e/iam",
    "/api/v1/billing/..%2fiam",
    "/api/v1/billing/..%252fiam",
    "/api/v1/billing/..%5ciam",
    "/api/v1/billing/..%255ciam",
    "/api/v1/billing/..%25255ciam",
    "/api/v1/billing/..%25%35%63iam",
    "/api/v1/billing/%25252e%25252e/iam",
    "/api/v1/billing/..%252525252fiam",
    "/api/v1/billing/a%2500",
    "/api/v1/billing/..;/iam",
    "/api/v1/billing/%00",
    "/api/v1/billing/%0d%0aX:y",
    "/api/v1/billing/a%5cb",
    "/api/v1/billing/a\\b",
    "/api/v1/billing/%",
    "/api/v1/billing/%zz",
    "/..",
    "http://other/api/v1/billing/x",
    "ftp://gateway/api/v1/billing/x",
]


class MalformedRequests(TestCase):
    """Each gets the envelope of its status and the connection's end, and leaves a line in the log."""

    async def setUp(self) -> None:
        self.platform = Platform(self, config="[limits]\nmax_body = 1048576")
        await self.platform.start()

    async def test_each_is_answered_once_and_nothing_behind_it_is_a_request(self) -> None:
        """A request of its own comes right behind, and must not reach the service."""
        got = {}
        for name, (data, _) in MALFORMED.items():
            client = await self.platform.client()
            client.send(data + _SMUGGLED)
            answer = await client.until_closed()
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, (name, answer))
            head = answer.partition(b"\r\n\r\n")[0].lower()
            for field in (b"x-request-id", b"x-content-type-options", b"x-nno-trace-id", b"server-timing", b"vary"):
                self.assertIn(b"\r\n%b: " % field, head, name)
            self.assertTrue(code(answer), name)
            got[name] = status(answer)
        self.assertEqual(got, {name: expected for name, (_, expected) in MALFORMED.items()})
        self.assertEqual(self.platform.billing.received, b"")
        gateway = self.platform.gateway
        await gateway.until(lambda: len(_of(gateway.request_log)) == len(MALFORMED), "a log line for each")
        self.assertEqual(sorted(line["status"] for line in _of(gateway.request_log)), sorted(got.values()))
        self.assertTrue(all(line["reason"] for line in _of(gateway.request_log)))

    async def test_refused_paths_get_a_400_and_reach_nobody(self) -> None:
        """Even with the service key."""
        for path in REFUSED_PATHS:
            client = await self.platform.client()
            client.send(get(path, AS_SERVICE))
            answer = await client.until_closed()
            self.assertEqual((status(answer), code(answer)), (400, "BAD_REQUEST"), path)
        self.assertEqual(self.platform.billing.received, b"")

    async def test_a_chunked_body_that_passes_the_limit_is_cut_off_with_413(self) -> None:
        """What it has to say is read no further."""
        self.platform.billing.answer = silence
        client = await self.platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            client.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await client.until_received(b"PAYLOAD_TOO_LARGE")
        self.assertEqual(status(client.received), 413)

    async def test_garbage_in_the_middle_of_a_chunked_body_is_a_400_and_the_upstream_is_cut(self) -> None:
        """The service must not take the half for the whole."""
        self.platform.billing.answer = silence
        client = await self.platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.send(b"zz\r\n" + _SMUGGLED)
        answer = await client.until_closed()
        self.assertEqual(status(answer), 400)
        for visit in self.platform.billing.visits:
            await visit.until_closed()
            self.assertNotIn(b"0\r\n\r\n", visit.received)
            self.assertNotIn(b"smuggled", visit.received)

    async def test_thousands_of_mutated_requests_do_no_harm(self) -> None:
        """Each is answered with HTTP or cut; the process lives, and says nothing of a bug."""
        rng = random.Random(20261123)
        samples = [data + _SMUGGLED for data, _ in MALFORMED.values()] + [get("/api/v1/billing/x", AS_SERVICE), _SMUGGLED * 3]

        async def one() -> None:
            data = bytearray(rng.choice(samples))
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(len(data))
                match rng.randrange(4):
                    case 0:
                        data[at] = rng.randrange(256)
                    case 1:
                        del data[at : at + rng.randint(1, 20)]
                    case 2:
                        data[at:at] = rng.choice([b"\r\n", b"\0", b"\n", b": ", b" ", b"\r\n\r\n", b"%", b"\xff", b"0\r\n\r\n"])
                    case _:
                        data[at:at] = data[at : at + rng.randint(1, 40)]
                data = data or bytearray(b"\r\n")
            client = await self.platform.client()
            client.send(bytes(data))
            client.transport.loseWriteConnection()
            answer = await client.until_closed()
            self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 "), answer[:200])

        from twisted.internet.defer import Deferred

        for _ in range(100):
            await gatherResults([Deferred.fromCoroutine(one()) for _ in range(30)])
        self.assertEqual(status(await self.platform.ask("/health")), 200)


class LookAlikes(TestCase):
    """What a service may take for a word of the gateway's, when it is the client's; and what it may take for another path."""

    async def setUp(self) -> None:
        self.platform = Platform(
            self,
            config='[auth]\npublic = ["GET /api/v1/billing/public/*"]\n[server]\ntrusted_proxies = ["127.0.0.9"]',
            billing_settings="forward_credentials = false",
        )
        await self.platform.start()

    async def test_a_clients_fields_that_look_like_the_gateways_stay_behind(self) -> None:
        """With every separator that a name may have; what only begins like them arrives."""
        names = ["X-Nno-Role", "X-Forwarded-For", "X-Forwarded-Prefix", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"]
        names += ["X-Cluster-Client-IP", "X-Api-Key", "Transfer-Encoding"]
        for separator in "!#$%&'*+.^_`|~":
            fields = [f"{name.replace('-', separator)}: forged" for name in names]
            answer = await self.platform.ask("/api/v1/billing/x", AS_SERVICE, *fields, f"X{separator}Nnother: sent")
            self.assertEqual(status(answer), 200, separator)
        hyphens = [f"{name}: forged" for name in names if name not in ("X-Api-Key", "Transfer-Encoding")]
        self.assertEqual(status(await self.platform.ask("/api/v1/billing/x", AS_SERVICE, *hyphens, "X-Nnother: sent")), 200)
        received = self.platform.billing.received
        self.assertNotIn(b"forged", received)
        self.assertEqual(received.count(b"nother: sent"), 15)

    async def test_a_public_prefix_opens_no_other_path(self) -> None:
        """However its dots, slashes and backslashes are escaped."""
        self.assertEqual(status(await self.platform.ask("/api/v1/billing/public/100%25")), 200)
        for path in ("..%255cinvoices", "..%252finvoices", "%252e%252e/invoices", "..%25255cinvoices", "a%255c..%255c..%255cinvoices"):
            answer = await self.platform.ask(f"/api/v1/billing/public/{path}")
            self.assertEqual((status(answer), code(answer)), (400, "BAD_REQUEST"), path)
            self.assertTrue((await self.platform.last_log_line(f"/api/v1/billing/public/{path}"))["reason"], path)
        self.assertEqual(self.platform.billing.received.count(b"GET "), 1)

    async def test_the_asterisk_for_options_is_answered_and_reaches_nobody(self) -> None:
        """RFC 9112 §3.2.4: it is for the gateway itself, where it leads nowhere."""
        answer = await self.platform.ask("*", AS_SERVICE, method="OPTIONS")
        self.assertEqual((status(answer), code(answer)), (404, "NOT_FOUND"))
        self.assertEqual(self.platform.billing.received, b"")


class TrustedProxy(TestCase):
    """What a proxy in front says of the client, and what a service hears of it."""

    async def test_a_service_gets_two_lists_that_agree_and_one_scheme_and_host(self) -> None:
        """Though the proxy passed on a Forwarded that it did not read; the log has the client of X-Forwarded-For."""
        platform = Platform(self, config='[server]\ntrusted_proxies = ["127.0.0.1"]')
        await platform.start()
        said = ["X-Forwarded-For: 6.6.6.6, 203.0.113.9", "X-Forwarded-Proto: http, https", "X-Forwarded-Host: api.example"]
        answer = await platform.ask("/api/v1/billing/x", AS_SERVICE, *said, "Forwarded: for=7.7.7.7;proto=http", "X-Real-IP: 203.0.113.9")
        self.assertEqual(status(answer), 200)
        for line in (
            b"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.1",
            b'Forwarded: for=6.6.6.6, for=203.0.113.9;host="api.example";proto=https, for=127.0.0.1;host="gateway";proto=http',
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: api.example",
            b"X-Real-IP: 203.0.113.9",
        ):
            self.assertIn(b"\r\n%b\r\n" % line, platform.billing.received)
        self.assertNotIn(b"7.7.7.7", platform.billing.received)
        self.assertEqual((await platform.last_log_line("/api/v1/billing/x"))["ip"], "203.0.113.9")


def _of(log: list[dict[str, object]]) -> list[dict[str, object]]:
    """Leave out the start's own health checks."""
    return [line for line in log if line["path"] != "/health"]
