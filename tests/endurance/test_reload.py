"""Reload: requests come as fast as they can, transfers last, and the configuration changes all the time."""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import orjson
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody

from tests.endurance import LONG
from tests.endurance.wrk import wrk
from tests.integration.gateway_process import GatewayProcess
from tests.integration.nginx import Nginx
from tests.integration.platform import AS_SERVICE, SERVICE_KEY
from tests.integration.sockets import Service, Visit, connect, get, until
from tests.programs import program

#: Reloads, and the seconds in which they happen.
RELOADS, SECONDS = (100, 60.0) if LONG else (10, 4.0)
#: Configurations that are broken.
BROKEN = 100 if LONG else 12
#: Bytes of the download, and its rate in bytes a second; both take ten reloads.
DOWNLOAD, RATE = (1024 * 1024 * 1024, 100 * 1024 * 1024) if LONG else (64 * 1024 * 1024, 16 * 1024 * 1024)
#: Seconds that the event stream lasts, and between two of its events.
STREAM, EVENT = 30.0 if LONG else 4.0, 0.1
#: MiB by which the process may have grown between the end of one series of reloads and the end of the next.
GROWTH = 4

_PATH = "/api/v1/billing/x"


class EnduranceTestCase(TestCase):
    """A gateway before nginx."""

    timeout = 600 if LONG else 240  # seconds: trial's own limit is shorter than the long forms

    async def begin(self, config: Callable[[int], str] | None = None) -> GatewayProcess:
        """Start both; `config` is the file of a generation."""
        self.nginx = Nginx(self)
        await self.nginx.start()
        for folder in ("v0", "v1"):
            (self.nginx.folder / folder).mkdir()
            (self.nginx.folder / folder / "x").write_bytes(b"x" * 300)
        self.config = config or self.changing
        gateway = GatewayProcess(self, config=self.config(1), environment={"AUTH_API_KEY": SERVICE_KEY})
        await gateway.start()
        return gateway

    def changing(self, number: int) -> str:
        """Return a configuration in which a route, a limit and a service differ from those of the one before."""
        other = self.nginx.folder.parent / f"socket-{number % 3}"
        if not other.is_symlink():
            other.symlink_to("socket")
        return (
            f'[server]\naccess_log = "/dev/null"\n[rate_limit]\nlimit = {1_000_000_000 + number}\n'
            f'[services.billing]\nbinding = "unix:{other}"\nresponse_timeout = {20 + number % 5}\nidle_timeout = {20 + number % 7}\n'
            f'[[routes]]\nprefix = "/api/v1/billing"\nservice = "billing"\nupstream_path = "/v{number % 2}"\n'
        )

    async def reload_often(self, gateway: GatewayProcess, number: int, seconds: float, first: int = 2) -> None:
        """Reload `number` times, evenly over `seconds`; every reload has to succeed."""
        for generation in range(first, first + number):
            pause = deferLater(reactor, seconds / number)
            await gateway.reload(self.config(generation), said=f"generation {generation} of the configuration serves")
            await pause

    async def configuration(self, gateway: GatewayProcess) -> dict[str, object]:
        """Return what the status page says of the configuration."""
        response = await Agent(reactor).request(b"GET", f"{gateway.admin_url}/status.json".encode())
        document: dict[str, dict[str, object]] = orjson.loads(await readBody(response))
        return document["configuration"]


class UnderLoad(EnduranceTestCase):
    """32 connections that are kept, and others that are new for each request."""

    async def loaded(self, gateway: GatewayProcess, seconds: float) -> str:
        """Load the gateway, and check that nothing fails; returns the figures."""
        url = gateway.url + _PATH
        kept = wrk(url, connections=32, seconds=seconds, fields=[AS_SERVICE])
        new = wrk(url, connections=4, seconds=seconds, fields=[AS_SERVICE, "Connection: close"])
        loads = [await kept, await new]
        self.assertEqual([load.failures for load in loads], ["", ""])
        return f"{loads[0].requests} requests on kept connections, {loads[1].requests} on new ones, none failed"

    async def test_no_request_fails_and_nothing_is_left_of_the_old_generations(self) -> None:
        """Each reload changes a route, a limit and a service. Memory afterwards is as before."""
        gateway = await self.begin()
        sizes = []
        for series in range(2):
            under_load = Deferred.fromCoroutine(self.loaded(gateway, SECONDS + 1))
            await self.reload_often(gateway, RELOADS, SECONDS, first=2 + series * RELOADS)
            figures = await under_load
            configuration = await self.configuration(gateway)
            self.assertEqual((configuration["generation"], configuration["retiring"]), (1 + (series + 1) * RELOADS, 0))
            await deferLater(reactor, 6)  # until the garbage collector has looked
            sizes.append(_resident_mib(gateway.pid))
            print(f"{RELOADS} reloads in {SECONDS:g} s: {figures}; {sizes[-1]:.1f} MiB resident")
        self.assertLess(sizes[1] - sizes[0], GROWTH)

    async def test_broken_configurations_change_nothing(self) -> None:
        """Each is refused in a line; the first generation serves on."""
        gateway = await self.begin()
        under_load = Deferred.fromCoroutine(self.loaded(gateway, SECONDS))
        chance = random.Random(1)
        refused = 0
        for number in range(BROKEN):
            await gateway.reload(_broken(self.config(1), number, chance), said="HUP changes nothing: ")
            refused += 1
        figures = await under_load
        self.assertEqual((await self.configuration(gateway))["generation"], 1)
        print(f"{refused} broken configurations: {figures}")


class Transfers(EnduranceTestCase):
    """What lasts longer than a configuration does."""

    async def test_a_download_arrives_whole(self) -> None:
        """From a service that the configuration names no more when the transfer ends."""
        gateway = await self.begin()
        piece = os.urandom(1024 * 1024)
        digest = hashlib.sha256()
        with (self.nginx.folder / "v1" / "large").open("wb") as file:
            for _ in range(DOWNLOAD // len(piece)):
                file.write(piece)
                digest.update(piece)
        (self.nginx.folder / "v0" / "large").symlink_to("../v1/large")
        target = Path(self.mktemp()).absolute()
        download = getProcessOutputAndValue(
            str(program("curl")),
            ["-sS", "--fail", "--limit-rate", str(RATE), "-H", AS_SERVICE, "-o", str(target), f"{gateway.url}/api/v1/billing/large"],
        )
        await self.reload_often(gateway, 10, DOWNLOAD / RATE)
        out, err, exit_status = await download
        self.assertEqual((out, err, exit_status), (b"", b"", 0))
        self.assertEqual(await deferToThread(_sha256, target), digest.hexdigest())
        target.unlink()
        print(f"a download of {DOWNLOAD} bytes arrived whole over 10 reloads")

    async def test_an_event_stream_arrives_whole(self) -> None:
        """Every event, in order."""
        sent = 0

        def stream(visit: Visit) -> None:
            nonlocal sent
            if not sent:
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            if sent * EVENT >= STREAM:
                visit.send(b"0\r\n\r\n")
                return
            sent += 1
            event = b"data: %d\n\n" % sent
            visit.send(b"%x\r\n%b\r\n" % (len(event), event))
            reactor.callLater(EVENT, stream, visit)

        events = Service(self, stream)

        def config(number: int) -> str:
            timeouts = f"response_timeout = {20 + number}\nidle_timeout = {20 + number}\n"
            return f'[rate_limit]\nlimit = {1000 + number}\n[services.billing]\nurl = "{events.url}"\n{timeouts}'

        gateway = await self.begin(config)
        client = await connect(self, gateway.port)
        client.send(get("/api/v1/billing/events", AS_SERVICE))
        await self.reload_often(gateway, 10, STREAM)
        await until(lambda: client.closed, "the end of the stream", lambda: client.received[-100:])
        self.assertEqual(re.findall(rb"data: (\d+)\n\n", client.received), [b"%d" % number for number in range(1, sent + 1)])
        self.assertTrue(client.received.endswith(b"0\r\n\r\n"))
        print(f"an event stream of {STREAM:g} s arrived whole over 10 reloads")


def _broken(config: str, number: int, chance: random.Random) -> str:
    """Return a configuration that is not good, in one of several ways."""
    ways: tuple[Callable[[], str], ...] = (
        lambda: config[: chance.randrange(config.index("=") - 1) + 1] + "[",  # written in part
        lambda: config.replace("limit = ", f"limit = -{number}"),
        lambda: config.replace('service = "billing"', f'service = "billling{number}"'),
        lambda: config.replace("upstream_path", "upstream_paht"),
        lambda: config + f'[server]\nlisten = ["tcp:{number}"]\n',  # a table that comes twice
        lambda: config.replace('access_log = "/dev/null"', f'access_log = "/nowhere/{number}"'),
        lambda: config.replace("unix:", "ssl:"),
        lambda: "".join(chr(chance.randrange(1, 0x3000)) for _ in range(200)),
    )
    return ways[number % len(ways)]()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest()


def _resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
