"""Listeners from endpoint strings, and what is said when one cannot be opened."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from nnogw.lifecycle.listeners import ADMIN, CLIENTS, Listener, Listeners, Prepared, Purpose, Wanted
from nnogw.lifecycle.start_errors import StartError
from tests.integration.sockets import until
from tests.upstream.certificates import make


class Greeter(Protocol):
    """Says a word to whoever connects."""

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(b"hello")
        self.transport.loseConnection()


class ListenersTestCase(TestCase):
    """What all tests of listeners need."""

    def listen(self, description: str, purpose: Purpose = CLIENTS) -> Listener:
        """Return a listener, which is closed when the test is over."""
        (listener,) = Listeners(reactor).prepare([Wanted(description, Factory.forProtocol(Greeter), purpose)]).listeners
        self.addCleanup(listener.close)
        return listener

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
            listener = self.listen(description)
            port: Any = listener.port
            address = str(path) if family == socket.AF_UNIX else port.socket.getsockname()
            self.assertEqual(await self.greeting(family, address), b"hello", description)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(listener.address, f"unix:{path}")


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
                f"cannot listen on {endpoint} for clients: Address already in use; "
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


class ChangingTestCase(ListenersTestCase):
    """One configuration after another asks for listeners."""

    def setUp(self) -> None:
        self.listeners = Listeners(reactor)
        self.factory = Factory.forProtocol(Greeter)
        self.opened: list[Listener] = []
        self.addCleanup(lambda: gatherResults([listener.close() for listener in self.opened]))

    def prepare(self, *descriptions: str, admin: str = "") -> Prepared:
        """Open what is not open yet; it is closed when the test is over."""
        wanted = [Wanted(description, self.factory, CLIENTS) for description in descriptions]
        wanted += [Wanted(admin, self.factory, ADMIN)] if admin else []
        prepared = self.listeners.prepare(wanted)
        self.opened += prepared.opened
        return prepared

    def use(self, *descriptions: str, admin: str = "") -> list[Listener]:
        """Let these be the listeners; returns those that are not any more."""
        return self.put_to_use(self.prepare(*descriptions, admin=admin))

    def put_to_use(self, prepared: Prepared) -> list[Listener]:
        """Let these be the listeners; returns those that are not any more."""
        before = self.listeners.open
        self.listeners.use(prepared)
        ports = {listener.port for listener in self.listeners.open}
        return [listener for listener in before if listener.port not in ports]

    def not_prepared(self, *descriptions: str, admin: str = "") -> str:
        """Return what is said of listeners of which one cannot be opened; nothing has changed then."""
        before = list(self.listeners.open)
        error = self.assertRaises(StartError, self.prepare, *descriptions, admin=admin)
        self.assertEqual(self.listeners.open, before)
        return str(error)

    async def answers(self, endpoint: str) -> bool:
        """Whether somebody accepts connections at an endpoint."""
        try:
            return await self.greeting(socket.AF_INET, ("127.0.0.1", number_of(endpoint))) == b"hello"
        except ConnectionRefusedError:
            return False


class Changing(ChangingTestCase):
    """Another configuration asks for other listeners."""

    async def test_a_socket_that_is_still_wanted_stays_open(self) -> None:
        """It is the same one: nobody who is about to connect is refused. What is new is opened, the rest is closed."""
        self.use(free(), free(), admin=free())
        stays, goes, admin = self.listeners.open
        prepared = self.prepare(free(), stays.description, admin=admin.description)
        (new,) = prepared.opened
        self.assertEqual(prepared.exchanges, [])
        self.assertTrue(await self.answers(new.description))
        self.assertEqual(self.listeners.open, [stays, goes, admin])
        self.assertEqual(self.put_to_use(prepared), [goes])
        self.assertEqual([listener.port for listener in self.listeners.open], [new.port, stays.port, admin.port])
        self.assertEqual(self.listeners.addresses(CLIENTS), [new.address, stays.address])
        self.assertEqual(self.listeners.addresses(ADMIN), [admin.address])
        self.assertTrue(await self.answers(stays.description))
        await until(lambda: not is_taken(goes.description), "the end of the one that goes")

    async def test_an_address_that_was_given_up_a_moment_ago_can_be_had_again(self) -> None:
        """For the other purpose, too. Whoever had connected by then is served by the listener of that time."""
        self.use(endpoint := free())
        (before,) = self.listeners.open
        with socket.create_connection(("127.0.0.1", number_of(endpoint))) as client:
            self.assertEqual(self.use(), [before])
            self.assertTrue(is_taken(endpoint))
            self.use(admin=endpoint)
            client.setblocking(False)
            received: list[bytes] = []
            await until(lambda: bool(_receive(client, received)), "the word")
        self.assertEqual(received, [b"hello"])
        self.assertIsNot(self.listeners.open[0].port, before.port)
        self.assertTrue(await self.answers(endpoint))

    async def test_the_end_does_not_wait_for_those_that_were_given_up_before(self) -> None:
        """They end with it."""
        self.use(endpoint := free())
        self.use()
        await self.listeners.close(CLIENTS)
        self.assertFalse(is_taken(endpoint))

    async def test_the_same_socket_may_be_written_in_another_way_only_if_it_means_the_same(self) -> None:
        """A socket that is open cannot have other options; it is said what it takes."""
        self.use(endpoint := free())
        for other in (f"{endpoint}:backlog=10", endpoint.replace("tcp:", "tcp:port=")):
            said = self.not_prepared(other)
            self.assertEqual(
                said,
                f"cannot listen on {other} for clients: it is open as {endpoint}; other options of an open socket take a restart",
            )
        path = self.socket_path()
        self.use(f"unix:{path}")
        self.assertIn("take a restart", self.not_prepared(f"unix:{path}:mode=600"))

    async def test_a_port_that_the_system_chooses_stays_as_long_as_its_line_is_the_same(self) -> None:
        """Of two lines that are alike, each has its own."""
        endpoint = "tcp:0:interface=127.0.0.1"
        self.use(endpoint, endpoint)
        first, second = self.listeners.open
        self.assertNotEqual(port_of(first), port_of(second))
        self.assertEqual(self.use(endpoint, endpoint), [])
        self.assertEqual([listener.port for listener in self.listeners.open], [first.port, second.port])
        (gone,) = self.use(endpoint)
        self.assertEqual(({gone.port, self.listeners.open[0].port}), {first.port, second.port})
        self.use(endpoint, f"{endpoint}:backlog=10")
        self.assertEqual(len({port_of(listener) for listener in self.listeners.open}), 2)

    async def test_a_socket_has_one_purpose(self) -> None:
        """That of clients does not become the admin listener's: connections to it would be the other's."""
        self.use(endpoint := free())
        self.assertIn("Address already in use", self.not_prepared(admin=endpoint))

    async def test_what_was_opened_is_closed_when_a_later_one_fails(self) -> None:
        """What was open before stays."""
        self.use(stays := free())
        new = free()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            said = self.not_prepared(new, stays, f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1")
        self.assertIn("Address already in use", said)
        self.assertFalse(is_taken(new))
        self.assertTrue(await self.answers(stays))

    async def test_what_was_opened_can_be_closed_again(self) -> None:
        """Another part of the configuration is not good. It is closed at once, and nobody is served who has found it meanwhile."""
        self.use(stays := free())
        prepared = self.prepare(stays, new := free())
        with socket.create_connection(("127.0.0.1", number_of(new)), timeout=10) as client:
            prepared.undo()
            self.assertFalse(is_taken(new))
            self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertTrue(await self.answers(stays))

    async def test_listeners_are_closed_by_their_purpose(self) -> None:
        """Operators may look while clients come no more."""
        endpoints = [free(), free(), free()]
        self.use(*endpoints[:2], admin=endpoints[2])
        await self.listeners.close(CLIENTS)
        self.assertEqual([await self.answers(endpoint) for endpoint in endpoints], [False, False, True])


class Tls(ChangingTestCase):
    """Listeners whose connections are TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def endpoint(self, name: str, number: int = 0) -> str:
        """Return an endpoint that has its certificate from a file."""
        return f"ssl:{number}:privateKey={self.folder / name}:interface=127.0.0.1"

    async def shown(self, listener: Listener) -> str:
        """Return the certificate that a client is shown."""
        return await deferToThread(ssl.get_server_certificate, ("127.0.0.1", port_of(listener)))

    async def test_a_renewed_certificate_counts_from_the_change_on(self) -> None:
        """The socket stays, although the endpoint is written as before. Until the change is used, the old one is shown."""
        before, after = make("before"), make("after")
        before.write(self.folder / "file")
        self.use(self.endpoint("file"))
        (listener,) = self.listeners.open
        self.assertRegex(listener.address, r"^https://127\.0\.0\.1:\d+$")
        self.assertEqual(await self.shown(listener), before.pem.decode())
        after.write(self.folder / "file")
        prepared = self.prepare(self.endpoint("file"))
        self.assertEqual((prepared.opened, await self.shown(listener)), ([], before.pem.decode()))
        self.assertEqual(self.put_to_use(prepared), [])
        self.assertIs(self.listeners.open[0].port, listener.port)
        self.assertEqual(await self.shown(listener), after.pem.decode())

    async def test_the_certificate_may_come_from_another_file(self) -> None:
        """And once more: each change is compared with the one before."""
        number = number_of(free())
        shown, ports = [], set()
        made = {name: make(name) for name in "abc"}
        for name in "abca":
            made[name].write(self.folder / name)
            self.use(self.endpoint(name, number))
            (listener,) = self.listeners.open
            shown.append(await self.shown(listener))
            ports.add(listener.port)
        self.assertEqual((shown, len(ports)), ([made[name].pem.decode() for name in "abca"], 1))

    async def test_a_certificate_that_is_not_good_changes_nothing(self) -> None:
        """It is said which file it is, or what is wrong with it; of one that is new, nothing listens."""
        good = make("good")
        good.write(self.folder / "good")
        number = number_of(free())
        (self.folder / "nothing").write_text("nothing")
        (self.folder / "other").write_bytes(good.pem + make("other").key_pem)
        no_pair = "its files hold no certificate with the key that fits it"
        for opened in (False, True):
            for name, piece in (("absent", f"{self.folder}/absent: No such file or directory"), ("nothing", no_pair), ("other", no_pair)):
                said = self.not_prepared(self.endpoint(name, number))
                self.assertEqual(said, f"cannot listen on {self.endpoint(name, number)} for clients: {piece}")
            if not opened:
                self.assertFalse(is_taken(f"tcp:{number}"))
                self.use(self.endpoint("good", number))
        self.assertEqual(await self.shown(self.listeners.open[0]), good.pem.decode())

    async def test_a_plain_listener_does_not_become_one_of_tls(self) -> None:
        """They are one socket, which does not know what it was opened for."""
        make("a").write(self.folder / "a")
        self.use(plain := free())
        self.assertIn("restart", self.not_prepared(self.endpoint("a", number_of(plain))))


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
            listener = self.listen(f"unix:{path}{option}", ADMIN)
            self.assertEqual(await self.greeting(socket.AF_UNIX, str(path)), b"hello")
            await listener.close()
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
        listener = self.listen(f"unix:{path}")
        path.unlink()
        os.unlink(f"{path}.lock")
        await listener.close()


def free() -> str:
    """Return an endpoint at a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp:{probe.getsockname()[1]}:interface=127.0.0.1"


def number_of(endpoint: str) -> int:
    """Return the number of an endpoint's port."""
    return int(endpoint.split(":")[1])


def is_taken(endpoint: str) -> bool:
    """Whether somebody has the port of an endpoint."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number_of(endpoint)))
        except OSError:
            return True
        return False


def port_of(listener: Listener) -> int:
    """Return the number of a listener's port."""
    port: Any = listener.port
    return int(port.getHost().port)


def _receive(client: socket.socket, received: list[bytes]) -> list[bytes]:
    with contextlib.suppress(BlockingIOError):
        received.append(client.recv(100))
    return received
