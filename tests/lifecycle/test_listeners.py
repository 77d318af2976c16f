"""Listeners from endpoint strings, and what is said when one cannot be opened."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from nnogw.lifecycle.listeners import ADMIN, CLIENTS, Listeners, Purpose, StartError, address_of
from tests.integration.sockets import until


class Greeter(Protocol):
    """Says a word to whoever connects."""

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(b"hello")
        self.transport.loseConnection()


class ListenersTestCase(TestCase):
    """What all tests of listeners need."""

    def listen(self, description: str, purpose: Purpose = CLIENTS) -> Any:
        """Return a port, which is closed when the test is over."""
        port = Listeners(reactor).listen(description, Factory.forProtocol(Greeter), purpose)
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        return port

    def refused(self, description: str, purpose: Purpose = CLIENTS) -> str:
        """Return what is said of a listener that cannot be opened."""
        return str(self.assertRaises(StartError, self.listen, description, purpose))

    def socket_path(self) -> Path:
        """Return a path for a unix socket, which has to be short."""
        path = Path(f"/tmp/nnogw-{os.getpid()}-{self._testMethodName[-40:]}.sock")
        self.addCleanup(path.unlink, missing_ok=True)
        self.addCleanup(Path(f"{path}.lock").unlink, missing_ok=True)
        return path

    async def greeting(self, family: int, address: Any) -> bytes:
        """Return what a listener says."""
        client = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.connect(address)
        client.setblocking(False)
        received: list[bytes] = []
        await until(lambda: bool(_receive(client, received)), "the word")
        return received[0]


class Addresses(ListenersTestCase):
    """Where a listener can be reached."""

    async def test_each_kind_of_endpoint_listens(self) -> None:
        """TCP of both versions, and unix sockets."""
        path = self.socket_path()
        for description, family in (
            ("tcp:0:interface=127.0.0.1:backlog=10", socket.AF_INET),
            ("tcp6:0:interface=\\:\\:1", socket.AF_INET6),
            (f"unix:{path}:mode=600", socket.AF_UNIX),
        ):
            port = self.listen(description)
            address = str(path) if family == socket.AF_UNIX else port.socket.getsockname()
            self.assertEqual(await self.greeting(family, address), b"hello", description)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(address_of(port), f"unix:{path}")


class Trouble(ListenersTestCase):
    """One line, which says which listener it is and what moves it."""

    async def test_an_address_that_is_taken(self) -> None:
        """By another process, for either purpose."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            self.assertEqual(
                self.refused(endpoint),
                f"nnogw: cannot listen on {endpoint} for clients: Address already in use; "
                'name another address with --listen ENDPOINT or with "listen" in [server]',
            )
            said = self.refused(endpoint, ADMIN)
        self.assertIn("for the admin listener: ", said)
        self.assertIn("--admin ENDPOINT", said)

    async def test_a_socket_whose_folder_is_not_there(self) -> None:
        """With or without a lock file."""
        for option in ("", ":lockfile=0"):
            self.assertIn("the folder of the socket does not exist", self.refused(f"unix:/nowhere/x.sock{option}"))

    async def test_a_name_that_cannot_be_one(self) -> None:
        """Too long, or below a file."""
        self.assertIn("path too long", self.refused(f"unix:/tmp/{'x' * 200}:lockfile=0"))
        path = self.socket_path()
        path.write_text("")
        self.assertIn("is not a folder", self.refused(f"unix:{path}/x"))

    async def test_a_name_that_is_somebodys_file(self) -> None:
        """It is left as it is."""
        path = self.socket_path()
        path.write_text("precious")
        self.assertIn("Address already in use", self.refused(f"unix:{path}"))
        self.assertEqual(path.read_text(), "precious")


class LeftBehind(ListenersTestCase):
    """A unix socket of a process that was killed."""

    def leave_behind(self, path: Path, pid: int | None) -> None:
        """Leave a socket as a killed process does, with the process id `pid` in its lock; None for no lock."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
            left.listen()
        if pid is not None:
            os.symlink(str(pid), f"{path}.lock")

    async def test_it_makes_way_although_a_process_of_that_id_lives(self) -> None:
        """In a container the next process has the same id: here it is our own."""
        for option, pid in (("", os.getpid()), ("", 1), ("", None), (":lockfile=0", os.getpid()), (":lockfile=0", None)):
            path = self.socket_path()
            self.leave_behind(path, pid)
            port = self.listen(f"unix:{path}{option}", ADMIN)
            self.assertEqual(await self.greeting(socket.AF_UNIX, str(path)), b"hello")
            await maybeDeferred(port.stopListening)
            self.assertFalse(path.exists())
            self.assertFalse(os.path.lexists(f"{path}.lock"))

    async def test_a_lock_without_a_socket_makes_way(self) -> None:
        """The process was killed before it had bound."""
        path = self.socket_path()
        os.symlink(str(os.getpid()), f"{path}.lock")
        self.listen(f"unix:{path}")
        self.assertEqual(await self.greeting(socket.AF_UNIX, str(path)), b"hello")

    async def test_one_on_which_somebody_listens_does_not(self) -> None:
        """Also when that process is behind, and its backlog full."""
        path = self.socket_path()
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(str(path))
            living.listen(0)
            self.assertIn("another process listens there", self.refused(f"unix:{path}"))
            with socket.socket(socket.AF_UNIX) as waiting:
                waiting.setblocking(False)
                waiting.connect_ex(str(path))
                self.assertIn("another process listens there", self.refused(f"unix:{path}"))
        self.assertTrue(path.exists())

    async def test_the_socket_may_be_gone_when_listening_ends(self) -> None:
        """Somebody has removed it, and its lock."""
        path = self.socket_path()
        port = self.listen(f"unix:{path}")
        path.unlink()
        os.unlink(f"{path}.lock")
        await maybeDeferred(port.stopListening)


def _receive(client: socket.socket, received: list[bytes]) -> list[bytes]:
    with contextlib.suppress(BlockingIOError):
        received.append(client.recv(100))
    return received
