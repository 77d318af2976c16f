"""The demo platform on real loopback ports."""

from __future__ import annotations

from typing import Any

import treq
from twisted.internet import error, reactor
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, readBody

from nnogw.demo.platform import DemoPlatform
from nnogw.settings import SERVICE_NAMES


class ListeningTests(TestCase):
    """Every service listens on a port of its own."""

    async def test_each_service_answers_at_its_url_until_it_is_stopped(self) -> None:
        """The system chooses the ports, on the loopback interface."""
        platform = DemoPlatform(reactor)
        urls = platform.start()
        self.addCleanup(platform.stop)
        self.assertEqual(tuple(urls), SERVICE_NAMES)
        self.assertEqual(len(set(urls.values())), len(SERVICE_NAMES))
        agent = Agent(reactor)
        for name, url in urls.items():
            self.assertRegex(url, r"^http://127\.0\.0\.1:\d+$")
            response = await agent.request(b"GET", url.encode() + b"/where")
            self.assertIn(f'"service": "{name}"'.encode(), await readBody(response))
        await platform.stop()
        for url in urls.values():
            with self.assertRaises(error.ConnectionRefusedError):
                await agent.request(b"GET", url.encode() + b"/where")

    async def test_an_upload_of_any_length_is_measured(self) -> None:
        """Chunks are taken one after the other."""
        platform = DemoPlatform(reactor)
        urls = platform.start()
        self.addCleanup(platform.stop)
        response = await treq.put(urls["provisioning"] + "/upload", data=b"x" * 3_000_000, persistent=False)
        self.assertEqual((await response.json())["body"]["bytes"], 3_000_000)


class _ReactorShortOfPorts(MemoryReactorClock):
    """Has three ports, then no more."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Any] = []
        self.stopped = 0

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if len(self.ports) == 3:
            raise error.CannotListenError(interface, port, OSError("no ports left"))
        listening = super().listenTCP(port, factory, backlog, interface)
        listening.stopListening = self._stop
        self.ports.append(listening)
        return listening

    def _stop(self) -> None:
        self.stopped += 1


class StartFailureTests(SynchronousTestCase):
    """A start that fails leaves nothing behind."""

    def test_no_port_stays_open_when_one_cannot_be_had(self) -> None:
        """The failure is told, and what listened already stops."""
        scarce = _ReactorShortOfPorts()
        self.assertRaises(error.CannotListenError, DemoPlatform(scarce).start)
        self.assertEqual(scarce.stopped, 3)
