"""Services that fail, and clients that leave, over real sockets: what each side sees of the other's end."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, AS_USER, Platform, code, status
from tests.integration.sockets import Visit, get, ok, says, silence, until

_PATH = "/api/v1/billing/x"
_HEAD = f"Host: gateway\r\n{AS_SERVICE}\r\n".encode()


class FailingServices(TestCase):
    """Refused, broken, malformed and late answers."""

    async def setUp(self) -> None:
        self.platform = Platform(self, billing_settings="response_timeout = 0.5\nidle_timeout = 0.5\nconnect_timeout = 1")
        await self.platform.start()

    async def test_each_failure_has_its_status(self) -> None:
        """502 for what is broken, 504 for what is late."""
        ways = {
            "hangs up": (lambda visit: visit.hang_up(), 502),
            "closes": (lambda visit: visit.transport.loseConnection(), 502),
            "not HTTP": (says(b"220 smtp.example.com\r\n\r\n"), 502),
            "HTTP/2.0": (says(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), 502),
            "both lengths": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"), 502),
            "two lengths": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 502),
            "folded": (says(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"), 502),
            "a bare LF": (says(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n"), 502),
            "a coding": (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 502),
            "101": (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), 502),
            "a huge head": (says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000 + b"\r\n\r\n"), 502),
            "silence": (silence, 504),
            "half a head": (says(b"HTTP/1.1 200 OK\r\nContent-"), 504),
        }
        codes = {502: "UPSTREAM_ERROR", 504: "UPSTREAM_TIMEOUT"}
        for name, (way, expected) in ways.items():
            self.platform.billing.answer = way
            answer = await self.platform.ask(_PATH, AS_SERVICE)
            self.assertEqual((name, status(answer), code(answer)), (name, expected, codes[expected]))
        for visit in self.platform.billing.visits:
            await visit.until_closed()

    async def test_a_service_that_is_not_there_is_a_502(self) -> None:
        """And comes back as soon as it is there again."""
        await self.platform.billing.stop()
        answer = await self.platform.ask(_PATH, AS_SERVICE)
        self.assertEqual((status(answer), code(answer)), (502, "UPSTREAM_ERROR"))

    async def test_a_service_that_is_not_configured_is_named(self) -> None:
        """503, and a warning when the gateway starts."""
        answer = await self.platform.ask("/api/v1/stacks/x", AS_SERVICE)
        self.assertEqual((status(answer), code(answer)), (503, "SERVICE_UNAVAILABLE"))
        self.assertIn(b"stack-registry", answer)
        self.assertIn("stack-registry", self.platform.gateway.output)

    async def test_an_answer_that_breaks_off_is_cut_and_never_finished(self) -> None:
        """Sized and chunked, dead and silent: the client can tell that it is not whole."""
        for head in (b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"):
            for dies in (True, False):

                def breaks(visit: Visit, head: bytes = head, dies: bool = dies) -> None:
                    visit.send(b"HTTP/1.1 200 OK\r\n" + head)
                    if dies:
                        visit.transport.loseConnection()

                self.platform.billing.answer = breaks
                client = await self.platform.client()
                client.send(get(_PATH, AS_SERVICE))
                answer = await client.until_closed()
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
                self.assertFalse(answer.endswith(b"0\r\n\r\n"))
                self.assertFalse(client.clean, "the connection was closed as if all were well")

    async def test_a_kept_connection_that_the_service_has_closed_is_replaced_silently(self) -> None:
        """For a request that may be repeated; a POST is not sent twice."""
        billing = self.platform.billing
        self.assertEqual(status(await self.platform.ask(_PATH, AS_SERVICE)), 200)
        billing.answer = lambda visit: visit.hang_up() if visit is billing.visits[0] else visit.send(ok())
        self.assertEqual(status(await self.platform.ask(_PATH, AS_SERVICE)), 200)
        self.assertEqual(len(billing.visits), 2)
        billing.answer = lambda visit: visit.hang_up()
        answer = await self.platform.ask(_PATH, AS_SERVICE, "Content-Length: 0", method="POST")
        self.assertEqual(status(answer), 502)
        self.assertEqual(billing.received.count(b"POST "), 1)


class LeavingClients(TestCase):
    """A client that leaves takes its request along, at every wait; nobody else notices."""

    async def setUp(self) -> None:
        self.platform = Platform(self)
        await self.platform.start()

    async def left(self, end: str = "client") -> None:
        """The log says who ended it; the gateway serves on."""
        line = await self.platform.last_log_line(_PATH)
        self.assertEqual(line["end"], end)
        self.assertEqual(status(await self.platform.ask("/health")), 200)

    async def test_while_iam_is_asked(self) -> None:
        """The answer is nobody's, and billing never hears of it."""
        self.platform.iam.answer = silence
        client = await self.platform.client()
        client.send(get(_PATH, AS_USER))
        await until(lambda: bool(self.platform.iam.received), "the question to IAM")
        client.hang_up()
        await self.left()
        self.assertEqual((await self.platform.last_log_line(_PATH))["status"], 499)
        self.assertEqual(self.platform.billing.visits, [])

    async def test_while_the_registry_is_asked(self) -> None:
        """As above."""
        self.platform.registry.answer = silence
        client = await self.platform.client()
        client.send(get(_PATH, AS_USER))
        await until(lambda: bool(self.platform.registry.received), "the question to the registry")
        client.hang_up()
        await self.left()
        self.assertEqual(self.platform.billing.visits, [])

    async def test_before_the_head_of_the_answer(self) -> None:
        """The service sees its connection close."""
        self.platform.billing.answer = silence
        client = await self.platform.client()
        client.send(get(_PATH, AS_SERVICE))
        await until(lambda: bool(self.platform.billing.received), "the request")
        client.hang_up()
        await self.platform.billing.visits[0].until_closed()
        await self.left()

    async def test_within_the_body_of_the_answer(self) -> None:
        """The service sees its connection close, whether it is sending or not."""
        self.platform.billing.answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        client = await self.platform.client()
        client.send(get(_PATH, AS_SERVICE))
        await client.until_received(b"half")
        client.hang_up()
        await self.platform.billing.visits[0].until_closed()
        await self.left()

    async def test_within_an_upload(self) -> None:
        """The service sees the upload break off."""
        self.platform.billing.answer = silence
        client = await self.platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 1000\r\n\r\nhalf")
        await until(lambda: self.platform.billing.received.endswith(b"half"), "the half")
        client.hang_up()
        await self.platform.billing.visits[0].until_closed()
        await self.left()

    async def test_within_an_upload_that_the_service_does_not_read(self) -> None:
        """Backpressure forbids to read from the client, and still its end is noticed."""

        def stops_reading(visit: Visit) -> None:
            visit.transport.pauseProducing()

        self.platform.billing.answer = stops_reading
        client = await self.platform.client()
        client.send(b"POST /api/v1/billing/x HTTP/1.1\r\n" + _HEAD + b"Content-Length: 50000000\r\n\r\n" + bytes(30_000_000))
        await until(lambda: bool(self.platform.billing.visits), "the upload")
        client.hang_up()
        await self.left()
        self.platform.billing.visits[0].transport.resumeProducing()
        await self.platform.billing.visits[0].until_closed()

    async def test_one_of_many_that_wait_for_the_same_verdict(self) -> None:
        """The others get theirs."""
        held: list[Visit] = []
        self.platform.iam.answer = held.append
        first, second = await self.platform.client(), await self.platform.client()
        first.send(get(_PATH, AS_USER))
        await until(lambda: bool(held), "the question to IAM")
        second.send(get("/api/v1/billing/y", AS_USER))
        first.hang_up()
        await self.left()
        held[0].send(ok(b'{"userId":"u1"}'))
        self.assertEqual(status(await second.until_closed()), 200)
        self.assertEqual(self.platform.iam.received.count(b"GET "), 1)
