"""nginx behind the gateway, and curl in front of it: what both of them expect of a proxy."""

from __future__ import annotations

import gzip
from hashlib import sha256

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import GatewayProcess, environment
from tests.integration.nginx import Nginx
from tests.integration.platform import AS_SERVICE, SERVICE_KEY, status
from tests.integration.sockets import connect, get
from tests.programs import program


class NginxBehindTheGateway(TestCase):
    """Files, ranges, validators, codings; and its restarts."""

    async def setUp(self) -> None:
        self.nginx = Nginx(self)
        (self.nginx.folder / "page.html").write_text("hello " * 1000)
        (self.nginx.folder / "large.bin").write_bytes(bytes(range(256)) * 40_000)
        await self.nginx.start()
        self.gateway = GatewayProcess(
            self, config=f'[services.billing]\nbinding = "{self.nginx.binding}"', environment={"AUTH_API_KEY": SERVICE_KEY}
        )
        await self.gateway.start()

    async def curl(self, path: str, *options: str) -> tuple[bytes, bytes]:
        """Return the head and the body that curl gets."""
        arguments = ["-si", "--path-as-is", "-H", AS_SERVICE, *options, f"{self.gateway.url}/api/v1/billing{path}"]
        output, error, exit_status = await getProcessOutputAndValue(str(program("curl")), arguments, environment())
        self.assertEqual((exit_status, error), (0, b""), output[:500])
        head, _, body = output.partition(b"\r\n\r\n")
        return head, body

    async def test_files_ranges_validators_and_codings_pass(self) -> None:
        """As if curl had asked nginx."""
        head, body = await self.curl("/large.bin")
        self.assertEqual(sha256(body).digest(), sha256(bytes(range(256)) * 40_000).digest())
        etag = next(line for line in head.split(b"\r\n") if line.startswith(b"ETag: "))[6:].decode()
        head, body = await self.curl("/large.bin", "-H", f"If-None-Match: {etag}")
        self.assertTrue(head.startswith(b"HTTP/1.1 304 "))
        head, body = await self.curl("/large.bin", "-r", "10-19")
        self.assertTrue(head.startswith(b"HTTP/1.1 206 "))
        self.assertEqual(body, bytes(range(10, 20)))
        head, body = await self.curl("/page.html", "-H", "Accept-Encoding: gzip")
        self.assertIn(b"\r\nContent-Encoding: gzip", head)
        self.assertEqual(gzip.decompress(body), b"hello " * 1000)
        head, body = await self.curl("/page.html")
        self.assertNotIn(b"Content-Encoding", head)
        head, body = await self.curl("/page.html", "-I")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
        head, body = await self.curl("/moved")
        self.assertIn(b"\r\nLocation: http://elsewhere.example/", head)
        head, body = await self.curl("/nowhere")
        self.assertTrue(head.startswith(b"HTTP/1.1 404 "))
        self.assertIn(b"nginx", body)

    async def test_a_restart_of_nginx_between_two_requests_is_not_noticed(self) -> None:
        """The kept connections are dead, and replaced."""
        client = await connect(self, self.gateway.port)
        request = get("/api/v1/billing/page.html", AS_SERVICE).replace(b"Connection: close\r\n", b"")
        client.send(request)
        await client.until_received(b"hello hello")
        await self.nginx.stop()
        await self.nginx.start()
        client.received = b""
        client.send(request)
        await client.until_received(b"hello hello")
        self.assertEqual(status(client.received), 200)

    async def test_while_nginx_is_down_there_are_502s_and_afterwards_none(self) -> None:
        """Nothing has to be done."""
        await self.nginx.stop()
        head, _ = await self.curl("/page.html")
        self.assertTrue(head.startswith(b"HTTP/1.1 502 "))
        await self.nginx.start()
        head, _ = await self.curl("/page.html")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
