"""HUP: another configuration takes over in a running process, without a lost request."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import orjson
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody

from tests.integration.gateway_process import PROJECT, GatewayProcess, free_port
from tests.integration.platform import AS_SERVICE, AS_USER, IDENTITY, SERVICE_KEY, status
from tests.integration.sockets import Service, Visit, Wire, connect, get, ok, says, until
from tests.upstream.certificates import make


def kept(path: str, *fields: str) -> bytes:
    """Return a request on a connection that is to be kept."""
    return get(path, *fields).replace(b"Connection: close\r\n", b"")


class ReloadTestCase(TestCase):
    """A gateway whose configuration a test replaces."""

    def gateway(self, config: str, **options: object) -> GatewayProcess:
        """Return a gateway that has not been started yet."""
        return GatewayProcess(self, config=config, environment={"AUTH_API_KEY": SERVICE_KEY}, **options)

    async def started(self, config: str, **options: object) -> GatewayProcess:
        """Return one that serves."""
        gateway = self.gateway(config, **options)
        await gateway.start()
        return gateway

    async def answered(self, client: Wire, request: bytes) -> bytes:
        """Return the response to `request` on a connection that is kept."""
        client.received = b""
        client.send(request)
        await until(lambda: b"\r\n\r\n" in client.received, "a response", lambda: client.received)
        return client.received

    async def post(self, url: str) -> tuple[int, dict[str, object]]:
        """Return what the admin listener answers to a POST."""
        response = await Agent(reactor).request(b"POST", url.encode())
        return response.code, orjson.loads(await readBody(response))


class AtOnce(ReloadTestCase):
    """What changes on connections that are kept, with the next request."""

    async def test_routes_limits_keys_cors_proxies_and_the_log(self) -> None:
        """All of them with one HUP; the client's connection and the service's stay."""
        billing = Service(self, says(ok()))
        logs = [Path(self.mktemp()).absolute() for _ in range(2)]
        keys = Path(self.mktemp()).absolute()
        keys.write_text(SERVICE_KEY)

        def config(route: str, log: Path, more: str = "") -> str:
            return (
                f'[server]\naccess_log = "{log}"\n{more}\n[services.billing]\nurl = "{billing.url}"\n'
                f'[[routes]]\nprefix = "{route}"\nservice = "billing"\n[auth]\napi_key_file = "{keys}"\n'
            )

        gateway = GatewayProcess(self, config=config("/api/v1/billing", logs[0]))
        await gateway.start()
        client = await connect(self, gateway.port)
        forwarded = "X-Forwarded-For: 198.51.100.7"
        self.assertEqual(status(await self.answered(client, kept("/api/v1/billing/1", AS_SERVICE, forwarded))), 200)
        keys.write_text("another-service-key-of-the-test")
        more = 'trusted_proxies = ["127.0.0.1"]\n[rate_limit]\nlimit = 7\n[cors]\norigins = ["https://a.example"]\n'
        line = await gateway.reload(config("/api/v1/invoices", logs[1], more))
        for said in (
            "rate_limit.limit: 100 → 7",
            "routes[/api/v1/invoices]: not there → there",
            "auth.api_key: 1 service key(s) → another value",
            'server.trusted_proxies: [] → ["127.0.0.1"]',
        ):
            self.assertIn(said, line)
        self.assertEqual(status(await self.answered(client, kept("/api/v1/invoices/1", AS_SERVICE))), 503)  # IAM would have to be asked
        new_key = "Authorization: Bearer another-service-key-of-the-test"
        response = await self.answered(client, kept("/api/v1/invoices/1", new_key, forwarded, "Origin: https://a.example"))
        self.assertEqual(status(response), 200)
        self.assertIn(b"q=7", response)
        self.assertIn(b"Access-Control-Allow-Origin: https://a.example", response)
        self.assertEqual(status(await self.answered(client, kept("/api/v1/billing/1", new_key))), 404)
        self.assertEqual(len(billing.visits), 1)
        self.assertIn(b"X-Forwarded-For: 198.51.100.7, 127.0.0.1", billing.received)
        await until(lambda: logs[1].exists() and b"invoices" in logs[1].read_bytes(), "the new log")
        self.assertNotIn(b"invoices", logs[0].read_bytes())
        line = next(line for line in map(orjson.loads, logs[1].read_bytes().splitlines()) if line["status"] == 200)
        self.assertEqual(line["ip"], "198.51.100.7")

    async def test_a_request_under_way_ends_with_what_it_began_with(self) -> None:
        """Its service is gone from the configuration, its time limit is another one: it is answered all the same."""
        waiting: list[Visit] = []
        old, new = Service(self, waiting.append), Service(self, says(ok(b"new")))
        gateway = await self.started(f'[services.billing]\nurl = "{old.url}"\nresponse_timeout = 30\n')
        client = await connect(self, gateway.port)
        client.send(kept("/api/v1/billing/1", AS_SERVICE))
        await until(lambda: bool(waiting), "the request")
        await gateway.reload(f'[services.billing]\nurl = "{new.url}"\nresponse_timeout = 0.1\n')
        self.assertIn(b"new", await self.answered(await connect(self, gateway.port), kept("/api/v1/billing/2", AS_SERVICE)))
        waiting[0].send(ok(b"old"))
        await client.until_received(b"old")
        await until(lambda: waiting[0].closed, "the end of the old connection")
        self.assertIn(b"new", await self.answered(client, kept("/api/v1/billing/3", AS_SERVICE)))

    async def test_verdicts_and_counts_stay(self) -> None:
        """IAM is not asked again, and nobody gets a new window."""
        iam, billing = Service(self, says(IDENTITY)), Service(self, says(ok()))
        services = f'[services.iam]\nurl = "{iam.url}"\n[services.billing]\nurl = "{billing.url}"\n'
        gateway = await self.started(services)
        client = await connect(self, gateway.port)
        self.assertIn(b"r=99", await self.answered(client, kept("/api/v1/billing/1", AS_USER)))
        await gateway.reload(f"{services}[rate_limit]\nlimit = 50\n")
        self.assertIn(b"r=48", await self.answered(client, kept("/api/v1/billing/1", AS_USER)))
        self.assertEqual(iam.received.count(b"GET /api/nno/session"), 1)


class Refused(ReloadTestCase):
    """What is not good changes nothing, and is one line."""

    async def assert_unchanged(self, gateway: GatewayProcess, config: str, *said: str) -> None:
        """Try a configuration; it is refused with what is `said`, and the gateway serves as before."""
        line = await gateway.reload(config, said="HUP changes nothing: ")
        for piece in said:
            self.assertIn(piece, line)
        client = await connect(self, gateway.port)
        self.assertEqual(status(await self.answered(client, kept("/api/v1/billing/1", AS_SERVICE))), 200)
        response = await Agent(reactor).request(b"GET", f"{gateway.admin_url}/-/degraded".encode())
        (entry,) = orjson.loads(await readBody(response))
        self.assertEqual((entry["state"], entry["subject"]), ("reload-failed", "configuration"))

    async def test_a_broken_file_an_address_that_is_taken_and_a_log_that_cannot_be_opened(self) -> None:
        """The line says file, key and expectation. What was opened before the fault was found is closed again."""
        billing = Service(self, says(ok()))
        listen, free = "tcp:{port}:interface=127.0.0.1", free_port()

        def config(server: str = "", listeners: str = f'"{listen}"', more: str = "") -> str:
            return (
                f'[server]\nlisten = [{listeners}]\nadmin = "tcp:{{admin_port}}:interface=127.0.0.1"\n{server}\n'
                f'[services.billing]\nurl = "{billing.url}"\n{more}\n'
            )

        gateway = await self.started(config(), listens_by_file=True)
        file = str(gateway.config)
        await self.assert_unchanged(gateway, "[rate_limit", file, "is not valid TOML")
        await self.assert_unchanged(gateway, config(more="[rate_limit]\nlimit = -1"), file, "[rate_limit] limit", "a whole number from 0")
        also_free = f'"{listen}", "tcp:{free}:interface=127.0.0.1"'
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            await self.assert_unchanged(gateway, config(listeners=f'{also_free}, "{address}"'), address, "Address already in use")
        await self.assert_unchanged(gateway, config('access_log = "/nowhere/log"', also_free), "/nowhere/log", "server.access_log")
        await self.assert_unchanged(
            gateway, config(listeners='"tcp:{port}:interface=127.0.0.1:backlog=7"'), "backlog=7", "other options of an open socket"
        )
        await self.assertFailure(connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", free), Wire()), ConnectError)
        await gateway.reload(config(listeners=also_free))
        self.assertIn("over: reload-failed of configuration", gateway.stderr)
        self.assertEqual(status(await self.answered(await connect(self, free), kept("/health"))), 200)

    async def test_while_it_drains_nothing_is_reloaded(self) -> None:
        """It stops all the same."""
        gateway = await self.started("[server]\nlame_duck = 600\n")
        gateway.signal("TERM")
        await gateway.until(lambda: "TERM: draining" in gateway.stderr, "the drain")
        await gateway.reload("[server]\n", said="HUP changes nothing: the gateway is stopping")
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)


class Listening(ReloadTestCase):
    """Listeners come and go."""

    async def test_a_new_one_serves_and_an_old_one_ends_with_its_connections(self) -> None:
        """Those that came through it are closed behind the response under way; the others stay."""
        waiting: list[Visit] = []
        billing, other = Service(self, waiting.append), free_port()

        def config(*ports: int | str) -> str:
            listen = ", ".join(f'"tcp:{port}:interface=127.0.0.1"' for port in ports)
            return f'[server]\nlisten = [{listen}]\nadmin = ""\n[services.billing]\nurl = "{billing.url}"\n'

        gateway = await self.started(config("{port}"), listens_by_file=True)
        stays = await connect(self, gateway.port)
        await self.answered(stays, kept("/health"))
        await gateway.reload(config("{port}", other))
        goes, idle = await connect(self, other), await connect(self, other)
        await self.answered(idle, kept("/health"))
        goes.send(kept("/api/v1/billing/1", AS_SERVICE))
        await until(lambda: bool(waiting), "the request")
        await gateway.reload(config("{port}"))
        await idle.until_closed()
        self.assertTrue(idle.clean)
        waiting[0].send(ok())
        self.assertIn(b"Connection: close\r\n", await goes.until_closed())
        await self.assertFailure(connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", other), Wire()), ConnectError)
        self.assertEqual(status(await self.answered(stays, kept("/health"))), 200)

    async def test_certificates_are_read_again_and_connections_keep_theirs(self) -> None:
        """A pair that does not fit changes nothing."""
        file = Path(self.mktemp()).absolute()
        first, second = make("localhost"), make("localhost")
        first.write(file)
        config = (
            f'[server]\nlisten = ["ssl:{{port}}:privateKey={file}:interface=127.0.0.1"]\nadmin = "tcp:{{admin_port}}:interface=127.0.0.1"\n'
        )
        gateway = self.gateway(config, listens_by_file=True)
        gateway.spawn()
        await gateway.until(lambda: "listening on https://127.0.0.1" in gateway.stderr, "the listener")
        before = await deferToThread(_TlsClient, gateway.port)
        self.addCleanup(before.close)
        self.assertEqual(before.certificate, first.der)
        file.write_bytes(second.key_pem + first.pem)
        await gateway.reload(config, said="HUP changes nothing: ")
        second.write(file)
        self.assertIn(": another certificate", await gateway.reload(config))
        after = await deferToThread(_TlsClient, gateway.port)
        self.addCleanup(after.close)
        self.assertEqual(after.certificate, second.der)
        for client in (before, after):
            self.assertIn(b" 200 OK", await deferToThread(client.ask, kept("/health")))


class Moments(ReloadTestCase):
    """When a HUP may come."""

    async def test_before_the_start_is_over(self) -> None:
        """It waits until the gateway serves."""
        gateway = self.gateway("[server]\n")
        gateway.spawn()
        await gateway.until(lambda: "configured by" in gateway.stderr, "the first line")
        gateway.signal("HUP")
        await gateway.until(lambda: "generation 2 of the configuration serves; nothing is different" in gateway.stderr, "the reload")

    async def test_several_in_a_row(self) -> None:
        """Signals of one kind may become one; the latest file counts."""
        gateway = await self.started("[rate_limit]\nlimit = 1\n")
        for limit in range(2, 12):
            gateway.write(f"[rate_limit]\nlimit = {limit}\n")
            gateway.signal("HUP")
        await gateway.until(lambda: "→ 11" in gateway.stderr, "the last reload")

    async def test_what_a_reload_would_not_have_is_said_at_the_start(self) -> None:
        """A file that cannot be read from the folder in which the process runs, as its path is relative."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "ca.pem").write_bytes(make("ca", authority=True).pem)
        roots = os.path.relpath(folder, PROJECT)
        gateway = self.gateway(f'[services.billing]\nbinding = "tls:localhost:443:trustRoots={roots}"\n', twistd=["--rundir", str(folder)])
        await gateway.start()
        line = next(line for line in gateway.stderr.splitlines() if "a reload (HUP) would fail: " in line)
        self.assertIn(f"{roots}: No such file or directory", line)


class Asked(ReloadTestCase):
    """``POST /-/reload``."""

    async def test_it_says_what_is_different_or_why_nothing_is(self) -> None:
        """As HUP does in the log; secrets are not shown."""
        gateway = await self.started('[auth]\nallow_unauthenticated = true\n[services.billing]\nurl = "http://127.0.0.1:1"\n')
        gateway.write('[services.billing]\nurl = "http://127.0.0.1:2"\n[rate_limit]\nlimit = 5\n')
        self.assertEqual(
            await self.post(f"{gateway.admin_url}/-/reload"),
            (
                200,
                {
                    "reloaded": True,
                    "changes": [
                        "auth.allow_unauthenticated: true → false",
                        "rate_limit.limit: 100 → 5",
                        'services.billing.url: "http://127.0.0.1:1" → "http://127.0.0.1:2"',
                    ],
                },
            ),
        )
        gateway.write("[rate_limit]\nlimit = 'many'\n")
        code, document = await self.post(f"{gateway.admin_url}/-/reload")
        self.assertEqual((code, document["reloaded"]), (500, False))
        self.assertIn('[rate_limit] limit: found "many"', str(document["problems"]))


class _TlsClient:
    """A client of a TLS listener, which blocks; it looks at the certificate, and believes any."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))
        self.certificate = self._socket.getpeercert(binary_form=True)

    def ask(self, request: bytes) -> bytes:
        """Return the beginning of the response."""
        self._socket.sendall(request)
        return self._socket.recv(4096)

    def close(self) -> None:
        """Close."""
        self._socket.close()
