"""Services that are known by name, with a system that hangs, fails or changes its mind about some of them."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import PROJECT, GatewayProcess
from tests.integration.platform import AS_SERVICE, AS_USER, SERVICE_KEY, code, status
from tests.integration.sockets import Service, Wire, connect, get, ok, says, silence, until

#: What Python runs first in the gateway's process: a system whose answers are in files, and which writes down what it was asked.
SITECUSTOMIZE = """
import pathlib, socket, threading

real, folder = socket.getaddrinfo, pathlib.Path(__file__).parent

def getaddrinfo(host, port, *arguments, **named):
    if not isinstance(host, str) or not host.endswith(".test"):
        return real(host, port, *arguments, **named)
    with open(folder / "asked", "a") as asked:
        asked.write(host + "\\n")
    address = (folder / host).read_text()
    if address == "hangs":
        threading.Event().wait()
    if address == "fails":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

socket.getaddrinfo = getaddrinfo
"""


class NamedServices(TestCase):
    """One gateway, whose services have names."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.service = Service(self, says(ok(b"fine")))

    async def start(self, config: str, **names: str) -> GatewayProcess:
        """Start a gateway whose system knows some names under ``.test``."""
        for name, address in names.items():
            self.knows(name, address)
        gateway = GatewayProcess(
            self, config=config, environment={"AUTH_API_KEY": SERVICE_KEY, "PYTHONPATH": f"{self.folder}{os.pathsep}{PROJECT}"}
        )
        await gateway.start()
        return gateway

    def knows(self, name: str, address: str) -> None:
        """Let the system say something else."""
        whole = self.folder / "new"
        whole.write_text(address)
        whole.rename(self.folder / f"{name}.test")

    def asked(self, name: str) -> int:
        """Return how many times the system was asked for a name."""
        path = self.folder / "asked"
        return path.read_text().split().count(f"{name}.test") if path.exists() else 0

    async def ask(self, gateway: GatewayProcess, path: str, *fields: str) -> bytes:
        """Return what the gateway sends for one request."""
        client = await self.begin(gateway, path, *fields)
        return await client.until_closed()

    async def begin(self, gateway: GatewayProcess, path: str, *fields: str) -> Wire:
        """Send one request."""
        client = await connect(self, gateway.port)
        client.send(get(path, *(fields or (AS_SERVICE,))))
        return client

    async def test_a_zone_that_is_silent_holds_up_nobody_else_and_not_the_end(self) -> None:
        """Its requests share one lookup. Other names are looked up meanwhile, and TERM does not wait for it."""
        gateway = await self.start(
            f"""
            [server]
            drain_timeout = 0
            [services.billing]
            url = "http://silent.test:{self.service.port}"
            connect_timeout = 600
            [services.cli]
            binding = "tcp:good.test:{self.service.port}"
            [services.provisioning]
            url = "http://localhost:{self.service.port}"
            """,
            silent="hangs",
            good="127.0.0.1",
        )
        waiting = [await self.begin(gateway, f"/api/v1/billing/{number}") for number in range(30)]
        await until(lambda: self.asked("silent") > 0, "the lookup")
        for path in ("/api/v1/cli/x", "/api/v1/provisioning/x", "/api/v1/cli/y"):
            self.assertEqual(status(await self.ask(gateway, path)), 200)
        self.assertEqual((self.asked("silent"), self.asked("good")), (1, 1))
        self.assertEqual([client.received for client in waiting], [b""] * 30)
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)

    async def test_who_waits_for_a_name_waits_no_longer_than_for_a_connection(self) -> None:
        """504, and the log says which name; a name that there is none of is a 502 at once."""
        gateway = await self.start(
            f"""
            [services.billing]
            url = "https://silent.test:{self.service.port}"
            connect_timeout = 0.3
            [services.cli]
            binding = "tls:bad.test:443"
            """,
            silent="hangs",
            bad="fails",
        )
        answer = await self.ask(gateway, "/api/v1/billing/x")
        self.assertEqual((status(answer), code(answer)), (504, "UPSTREAM_TIMEOUT"))
        self.assertNotIn(b"silent.test", answer)
        answer = await self.ask(gateway, "/api/v1/cli/x")
        self.assertEqual((status(answer), code(answer)), (502, "UPSTREAM_ERROR"))
        await gateway.until(lambda: len([line for line in gateway.request_log if line["path"] != "/health"]) == 2, "the log")
        late, bad = (line for line in gateway.request_log if line["path"] != "/health")
        self.assertEqual((late["end"], late["reason"]), ("timeout:connect", "the name silent.test was not resolved in time"))
        self.assertEqual(bad["reason"], "cannot connect: the name bad.test cannot be resolved: Temporary failure in name resolution")

    async def test_the_last_good_answer_serves_through_an_outage(self) -> None:
        """Of a system that fails, and of one that hangs; that it is an outage is in the log."""
        gateway = await self.start(
            f"""
            [server]
            resolve_ttl = 0.1
            drain_timeout = 0
            [rate_limit]
            limit = 0
            [services.billing]
            url = "http://moves.test:{self.service.port}"
            max_idle_connections = 0
            """,
            moves="127.0.0.1",
        )
        self.assertEqual(status(await self.ask(gateway, "/api/v1/billing/x")), 200)
        for outage in ("fails", "hangs"):
            self.knows("moves", outage)
            before = self.asked("moves")
            while self.asked("moves") == before:
                self.assertEqual(status(await self.ask(gateway, "/api/v1/billing/x")), 200)
                await deferLater(reactor, 0.05)
        for _ in range(5):
            self.assertEqual(status(await self.ask(gateway, "/api/v1/billing/x")), 200)
        self.assertIn("name-unresolved", gateway.output)

    async def test_iams_tls_is_told_of_in_words_too(self) -> None:
        """In the reason of the 503, and nowhere else."""
        plain = Service(self, silence)
        gateway = await self.start(
            f"""
            [services.iam]
            url = "https://localhost:{plain.port}"
            [services.billing]
            url = "{self.service.url}"
            """
        )
        client = await self.begin(gateway, "/api/v1/billing/x", AS_USER)
        await until(lambda: bool(plain.received), "the handshake")
        for visit in plain.visits:
            visit.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        answer = await client.until_closed()
        self.assertEqual((status(answer), code(answer)), (503, "AUTH_UNAVAILABLE"))
        self.assertNotIn(b"TLS", answer)
        await gateway.until(lambda: any(line["status"] == 503 and "reason" in line for line in gateway.request_log), "the log")
        (line,) = [line for line in gateway.request_log if line["path"] == "/api/v1/billing/x"]
        self.assertEqual(line["reason"], "IAM: TLS: the upstream does not speak TLS on this port")
