"""Addresses outlive the configurations that name them, with their connections and what is known of them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import UpstreamFailed
from nnogw.settings import ServiceSettings
from nnogw.upstream.address import Address, AddressKey
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.binding import BadBinding, parse_binding
from nnogw.upstream.service import service_for
from nnogw.upstream.tls import TlsFiles
from nnogw.wire.http1.client import UpstreamRequest
from nnogw.wire.transport.write_batch import WriteBatch
from tests.identity.doubles import ReadableLedger
from tests.upstream.certificates import make
from tests.upstream.doubles import Names
from tests.wire.upstream_connection import Endpoint, Line

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILING = ("service-failing", "billing")


class AddressesTests(SynchronousTestCase):
    """On a reactor in memory, where each address has an endpoint of its own."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.ledger = ReadableLedger()
        self.made: list[Endpoint] = []
        self.addresses = Addresses(self.reactor, WriteBatch(self.reactor), Names(self.reactor).resolver, self.ledger, self.endpoint)

    def endpoint(self, *_: object) -> Any:
        """Make an endpoint."""
        self.made.append(Endpoint(self.reactor))
        return self.made[-1]

    def find(self, binding: str = "tcp:192.0.2.9:80", service: str = "billing", files: TlsFiles | None = None) -> Address:
        """Find an address."""
        return self.addresses.find(AddressKey(service, parse_binding(binding), files or TlsFiles()), ServiceSettings())

    def send(self) -> Deferred[Any]:
        """Send a request to the service as the configuration has it now."""
        service = service_for("billing", ServiceSettings(binding="tcp:192.0.2.9:80"), self.addresses)
        assert service is not None
        self.addresses.keep([service.address])
        return service.send(UpstreamRequest(b"GET", b"/", b"billing", []))

    @property
    def line(self) -> Line:
        """The latest connection of the first address."""
        return self.made[0].lines[-1]

    def test_one_that_is_in_use_is_found_again(self) -> None:
        """With its connections, although the service has other settings."""
        found = self.find()
        self.addresses.keep([found])
        key = AddressKey("billing", parse_binding("tcp:host=192.0.2.9:port=80"), TlsFiles())
        self.assertIs(self.addresses.find(key, ServiceSettings(connect_timeout=1)), found)
        self.assertEqual(len(self.made), 1)

    def test_one_that_was_only_looked_for_is_not_in_use(self) -> None:
        """The configuration may turn out not to be good."""
        self.assertIsNot(self.find(), self.find())
        self.addresses.keep([])
        self.assertIsNot(self.find(), self.find())

    def test_whatever_makes_other_connections_makes_another_address(self) -> None:
        """The service, each part of the binding, and what is in the files of TLS."""
        authorities = TlsFiles((make("an authority", authority=True).pem,)), TlsFiles((make("another", authority=True).pem,))
        tls = "tls:a:443:trustRoots=/authorities"
        found = [
            self.find(),
            self.find(service="iam"),
            self.find("tcp:192.0.2.9:81"),
            self.find("tcp:192.0.2.9:80:bindAddress=192.0.2.1"),
            self.find("tcp:192.0.2.9:80:timeout=5"),
            *(self.find(tls, files=files) for files in authorities),
        ]
        self.addresses.keep(found)
        self.assertEqual(len({address.key for address in found}), 7)
        self.assertIs(self.find(), found[0])
        self.assertIs(self.find(tls, files=authorities[1]), found[-1])

    def test_files_that_do_not_hold_what_they_should_are_refused(self) -> None:
        """Nothing is in use then that was not."""
        found = self.find()
        self.addresses.keep([found])
        self.assertRaises(BadBinding, self.find, "tls:a:443:certificate=/c", files=TlsFiles((), b"nothing", b"nothing"))
        self.assertIs(self.find(), found)

    def test_what_stays_keeps_its_connections(self) -> None:
        """The next configuration uses them."""
        self.send()
        self.line.answer(OK)
        self.send()
        self.assertEqual((len(self.made), len(self.made[0].lines)), (1, 1))

    def test_what_goes_closes_its_connections_as_soon_as_nobody_uses_them(self) -> None:
        """Whoever has a response under way gets all of it; who comes back to the address later finds another one."""
        self.send()
        self.line.answer(OK)
        idle = self.line
        response = self.send()
        self.send()
        busy, kept = idle, self.line
        kept.answer(OK)
        self.assertIsNot(busy, kept)
        self.addresses.keep([])
        self.reactor.advance(0)
        self.assertEqual((busy.lost, kept.lost), (False, True))
        busy.answer(OK)
        self.assertEqual((self.successResultOf(response).status, busy.lost), (200, True))
        self.send()
        self.assertEqual(len(self.made), 2)

    def test_that_one_fails_is_no_degraded_state_any_more_when_it_goes(self) -> None:
        """While it stays, it is."""
        for _ in range(3):
            sending = self.send()
            self.line.lose()
            self.failureResultOf(sending, UpstreamFailed)
        self.assertEqual(list(self.ledger.current), [FAILING])
        self.addresses.keep([self.find()])
        self.assertEqual(list(self.ledger.current), [FAILING])
        self.addresses.keep([])
        self.assertEqual(self.ledger.current, {})

    def test_what_fails_behind_one_that_has_gone_is_no_degraded_state(self) -> None:
        """Nobody would ever end it: the requests that began before are the last."""
        sending = [self.send() for _ in range(3)]
        self.addresses.keep([self.find("tcp:192.0.2.10:80")])
        for number, line in enumerate(list(self.made[0].lines)):
            line.lose()
            self.failureResultOf(sending[number], UpstreamFailed)
        self.assertEqual(self.ledger.current, {})

    def test_closing_closes_what_is_in_use(self) -> None:
        """And gives up what is being made."""
        self.send()
        self.line.answer(OK)
        idle = self.line
        self.addresses.close()
        self.reactor.advance(0)
        self.assertTrue(idle.lost)
