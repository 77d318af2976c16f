"""Where connections lead: to an address directly, to the addresses of a name in turn."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nnogw.upstream.binding import parse_binding
from nnogw.upstream.endpoints import ATTEMPT_DELAY, endpoint_for
from nnogw.upstream.resolver import FAILURE_LIFE, LookupFailed
from nnogw.upstream.tls import TlsFiles, tls_for
from nnogw.wire.transport.connect_errors import StillResolving
from tests.upstream.doubles import Names


class Connecting(SynchronousTestCase):
    """On a reactor in memory."""

    def setUp(self) -> None:
        self.names = Names(a=["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        self.reactor = self.names.reactor
        self.made: list[Protocol] = []

    def build(self, address: object) -> Protocol:
        """Build a protocol."""
        self.made.append(Protocol())
        return self.made[-1]

    def connect(self, description: str) -> Deferred[Any]:
        """Connect to where a binding says."""
        binding = parse_binding(description)
        tls = tls_for(binding, TlsFiles()) if binding.scheme == "tls" else None
        self.endpoint = endpoint_for(binding, self.reactor, self.names.resolver, tls)
        return self.again()

    def again(self) -> Deferred[Any]:
        """Connect once more."""
        factory = Factory()
        factory.buildProtocol = self.build  # type: ignore[method-assign]
        return self.endpoint.connect(factory)

    @property
    def tried(self) -> list[tuple[str, int]]:
        """Where connections were tried, in order."""
        return [attempt[:2] for attempt in self.reactor.tcpClients]

    def refuse(self, number: int) -> None:
        """Refuse one of them."""
        self.reactor.tcpClients[number][2].clientConnectionFailed(None, Failure(Refused()))

    def accept(self, number: int) -> Protocol:
        """Take one of them."""
        protocol = self.reactor.tcpClients[number][2].buildProtocol(None)
        protocol.makeConnection(StringTransport())
        return self.made[-1]

    def given_up(self, number: int) -> bool:
        """Whether the gateway has stopped trying one of them."""
        return bool(self.reactor.connectors[number].stoppedConnecting)

    def nothing_is_left(self) -> None:
        """No timer runs."""
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class Addresses(Connecting):
    """Literal ones."""

    def test_they_are_connected_to_without_a_lookup(self) -> None:
        """Over IPv4 and IPv6, plain and with TLS."""
        for scheme in ("tcp", "tls"):
            self.connect(f"{scheme}:192.0.2.1:80")
            self.connect(rf"{scheme}:\:\:1:81")
        self.assertEqual(self.tried, [("192.0.2.1", 80), ("::1", 81)] * 2)
        self.assertEqual(self.names.held, [])

    def test_a_refusal_is_known_at_once(self) -> None:
        """No time passes: an outage is not to keep every request waiting."""
        for number, binding in enumerate(("tcp:192.0.2.1:80", r"tcp:\:\:1:80", "tls:192.0.2.1:443", r"tls:\:\:1:443")):
            connecting = self.connect(binding)
            self.refuse(number)
            self.failureResultOf(connecting, Refused)

    def test_cancelling_gives_up(self) -> None:
        """As an ordinary cancellation, whatever the endpoint."""
        for number, binding in enumerate(("tcp:192.0.2.1:80", "tls:192.0.2.1:443", r"tls:x:443:endpoint=tcp\:192.0.2.1\:80")):
            connecting = self.connect(binding)
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.assertTrue(self.given_up(number))

    def test_timeout_and_bind_address_are_passed_on(self) -> None:
        """Without a time of its own, an attempt has a day: whoever connects gives it up long before."""
        self.connect("tcp:192.0.2.1:80:timeout=2:bindAddress=192.0.2.9")
        self.connect("tls:192.0.2.1:80")
        self.assertEqual([attempt[3:] for attempt in self.reactor.tcpClients], [(2, ("192.0.2.9", 0)), (86_400, None)])

    def test_a_socket_that_is_a_file(self) -> None:
        """For TLS, too."""
        self.connect("unix:/run/a:timeout=2:lockfile=1")
        self.connect(r"tls:registry.internal:443:endpoint=unix\:/run/b")
        self.assertEqual(
            [(path, timeout, check) for path, _, timeout, check in self.reactor.unixClients], [("/run/a", 2, True), ("/run/b", 86_400, 0)]
        )
        self.assertEqual(self.tried, [])


class NamesInTurn(Connecting):
    """Names, whose addresses are tried in order."""

    def test_a_name_is_resolved_first(self) -> None:
        """With the port that the binding says, plain and with TLS."""
        for scheme in ("tcp", "tls"):
            self.connect(f"{scheme}:a:80")
        self.assertEqual(self.tried, [])
        self.names.answer()
        self.assertEqual(self.tried, [("192.0.2.1", 80), ("192.0.2.1", 80)])
        self.assertEqual(self.names.asked, ["a"])

    def test_the_next_is_tried_as_soon_as_one_has_refused(self) -> None:
        """The last refusal is the result, at once."""
        connecting = self.connect("tcp:a:80")
        self.names.answer()
        for number in range(3):
            self.assertNoResult(connecting)
            self.assertEqual(len(self.tried), number + 1)
            self.refuse(number)
        self.failureResultOf(connecting, Refused)
        self.assertEqual(self.tried, [("192.0.2.1", 80), ("192.0.2.2", 80), ("2001:db8::1", 80)])
        self.nothing_is_left()

    def test_one_that_says_nothing_has_the_next_beside_it(self) -> None:
        """The first that takes the connection counts; the others are given up."""
        connecting = self.connect("tcp:a:80")
        self.names.answer()
        self.reactor.advance(ATTEMPT_DELAY)
        self.assertEqual(len(self.tried), 2)
        self.reactor.advance(ATTEMPT_DELAY)
        self.assertEqual(len(self.tried), 3)
        self.refuse(0)
        protocol = self.accept(1)
        self.assertIs(self.successResultOf(connecting), protocol)
        self.assertEqual([self.given_up(number) for number in range(3)], [False, False, True])
        self.nothing_is_left()

    def test_one_that_is_made_at_once_leaves_the_others_alone(self) -> None:
        """They are never tried."""
        connecting = self.connect("tcp:a:80")
        self.names.answer()
        protocol = self.accept(0)
        self.assertIs(self.successResultOf(connecting), protocol)
        self.reactor.advance(10)
        self.assertEqual(len(self.tried), 1)

    def test_cancelling_gives_up_whatever_goes_on(self) -> None:
        """Nothing is left behind, and nothing is tried any more."""
        connecting = self.connect("tcp:a:80")
        self.names.answer()
        self.reactor.advance(ATTEMPT_DELAY)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual([self.given_up(number) for number in range(2)], [True, True])
        self.nothing_is_left()
        self.reactor.advance(10)
        self.assertEqual(len(self.tried), 2)

    def test_cancelling_a_lookup_says_what_was_missing(self) -> None:
        """The lookup itself goes on, for the next."""
        connecting = self.connect("tcp:a:80")
        connecting.cancel()
        self.assertEqual(self.failureResultOf(connecting, StillResolving).getErrorMessage(), "the name a was not resolved")
        self.names.answer()
        self.assertEqual(self.tried, [])
        self.again()
        self.assertEqual(self.tried, [("192.0.2.1", 80)])

    def test_a_name_that_cannot_be_resolved_fails(self) -> None:
        """With the resolver's words."""
        self.names.known["a"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        connecting = self.connect("tls:a:443")
        self.names.answer()
        self.assertIn("Name or service not known", self.failureResultOf(connecting, LookupFailed).getErrorMessage())

    def test_a_bind_address_picks_its_family(self) -> None:
        """A socket of one family cannot connect to the other."""
        self.connect(r"tcp:a:80:bindAddress=\:\:1")
        self.names.answer()
        self.assertEqual(self.tried, [("2001:db8::1", 80)])
        self.names.known["b"] = ["192.0.2.1"]
        connecting = self.connect(r"tcp:b:80:bindAddress=\:\:1")
        self.names.answer()
        self.assertIn("no IPv6 address", self.failureResultOf(connecting, LookupFailed).getErrorMessage())

    def test_connections_begin_with_another_address_each(self) -> None:
        """Of the family that the system prefers; a service with several gets its share on each."""
        self.connect("tcp:a:80")
        self.names.answer()
        for _ in range(3):
            self.again()
        self.assertEqual([host for host, _ in self.tried], ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"])

    def test_a_service_that_has_moved_is_found_after_one_failure(self) -> None:
        """Not only when its addresses are due."""
        self.names.known["a"] = ["192.0.2.1"]
        connecting = self.connect("tcp:a:80")
        self.names.answer()
        self.reactor.advance(FAILURE_LIFE)
        self.names.known["a"] = ["192.0.2.7"]
        self.refuse(0)
        self.failureResultOf(connecting, Refused)
        self.again()
        self.names.answer()
        self.again()
        self.assertEqual([host for host, _ in self.tried], ["192.0.2.1", "192.0.2.1", "192.0.2.7"])
