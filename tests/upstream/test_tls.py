"""Services over TLS, with real sockets and certificates: verified by default, failing closed, and with a reason in words."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.trial.unittest import SynchronousTestCase, TestCase

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.loading.addresses import client_endpoint
from nnogw.observability.ledger import Ledger
from nnogw.settings import ServiceSettings
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.binding import BadBinding, parse_binding
from nnogw.upstream.resolver import Resolver
from nnogw.upstream.service import Service as Upstream
from nnogw.upstream.service import service_for
from nnogw.upstream.tls import VerifiedTls, read_files, tls_for
from nnogw.wire.http1.client import UpstreamRequest
from nnogw.wire.transport.write_batch import WriteBatch
from tests.doubles import Collected
from tests.integration.sockets import Service, Visit, ok, says, until
from tests.upstream.certificates import Made, make


def tls_of(description: str) -> VerifiedTls:
    """Return the TLS of a binding, whose files are read."""
    binding = parse_binding(description)
    return tls_for(binding, read_files(binding))


class TlsService(Service):
    """A service that speaks TLS.

    Args:
        test: the test that it serves.
        options: whose certificate it shows, and what it asks for.
    """

    def __init__(self, test: TestCase, options: CertificateOptions) -> None:
        super().__init__(test, says(ok(b"secret")))
        self.listening: Any = None
        self._options: Any = options

    async def listen(self) -> None:
        """Listen."""
        endpoint: Any = SSL4ServerEndpoint(reactor, 0, self._options, interface="127.0.0.1")
        self.listening = await endpoint.listen(self._port.factory)
        self.tls_port = self.listening.getHost().port

    async def stop(self) -> None:
        """Stop."""
        if self.listening is not None:
            await self.listening.stopListening()
        await super().stop()


class Plain(Visit):
    """A connection to a service that does not speak TLS: it says something else to the first bytes, and closes."""

    def __init__(self, service: Service, answer: bytes) -> None:
        super().__init__(service)
        self._answer = answer

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        super().dataReceived(data)
        self.send(self._answer)
        self.transport.loseConnection()


class OverTls(TestCase):
    """Who the service is, is checked before a byte of the request goes out."""

    def setUp(self) -> None:
        self.authority = make("an authority", authority=True)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "authorities.pem").write_bytes(make("another authority", authority=True).pem + self.authority.pem)
        (self.folder / "notes.txt").write_text("nothing")

    async def serve(self, made: Made, *, newest: int = SSL.TLS1_3_VERSION, **options: Any) -> TlsService:
        """Return a service that shows a certificate, and speaks no version of TLS above `newest`."""
        key, certificate = crypto.PKey.from_cryptography_key(made.key), crypto.X509.from_cryptography(made.certificate)
        shown = CertificateOptions(privateKey=key, certificate=certificate, **options)
        shown.getContext().set_max_proto_version(newest)  # lowerMaximumSecurityTo of Twisted 25.5 leaves the newest out, too
        service = TlsService(self, shown)
        await service.listen()
        return service

    def upstream(self, **settings: Any) -> Upstream:
        """Return the service as the gateway has it."""
        resolver = Resolver(reactor, life=30, ledger=Ledger())
        files = read_files(parse_binding(settings["binding"])) if "binding" in settings else None
        upstream = service_for("x", ServiceSettings(**settings), Addresses(reactor, WriteBatch(reactor), resolver), files)
        assert upstream is not None
        self.addCleanup(self.gone, upstream, resolver)
        return upstream

    def trusting(self, host: str, port: int, more: str = "") -> Upstream:
        """Return the service at a loopback port, whose certificate has to be for `host` and from our authority."""
        escaped = host.replace(":", "\\:")
        return self.upstream(binding=rf"tls:{escaped}:{port}:trustRoots={self.folder}:endpoint=tcp\:127.0.0.1\:{port}{more}")

    async def gone(self, upstream: Upstream, resolver: Resolver) -> None:
        """Close the connections of `upstream`."""
        upstream.pool.close()
        resolver.close()
        await until(lambda: not upstream.pool.open, "the end of the connections")

    async def served(self, upstream: Upstream) -> None:
        """It answers."""
        response = await upstream.send(UpstreamRequest(b"GET", b"/", b"localhost", []))
        collected = Collected()
        response.body.stream(collected)
        self.assertEqual((response.status, collected.data), (200, b"secret"))

    async def refused(self, upstream: Upstream, service: Service, *words: str) -> None:
        """It is not believed to be who it should be; why is for the log, and nothing has been sent."""
        failure = await self.assertFailure(upstream.send(UpstreamRequest(b"GET", b"/", b"localhost", [])), UpstreamFailed)
        self.assertEqual(failure.kind, "tls")
        self.assertTrue(failure.reason.startswith("TLS: "), failure.reason)
        for piece in words:
            self.assertIn(piece, failure.reason)
        await until(lambda: not upstream.pool.open, "the end of the connection")
        self.assertNotIn(b"GET", service.received)

    async def test_a_certificate_that_is_trusted_is_good(self) -> None:
        """Two requests share one connection; one of several authorities in a file is enough."""
        service = await self.serve(make("localhost", issuer=self.authority))
        upstream = self.upstream(binding=f"tls:localhost:{service.tls_port}:trustRoots={self.folder}")
        for _ in range(2):
            await self.served(upstream)
        self.assertEqual(upstream.pool.open, 1)

    async def test_it_may_be_for_any_kind_of_host(self) -> None:
        """Addresses, names as DNS has them, a full stop at the end, a wildcard, an underscore."""
        service = await self.serve(
            make("localhost", "127.0.0.1", "::1", "xn--bcher-kva.example", "*.nno.internal", "my_service", issuer=self.authority)
        )
        for host in ("127.0.0.1", "::1", "bücher.example", "registry.nno.internal.", "my_service"):
            await self.served(self.trusting(host, service.tls_port))

    async def test_a_certificate_of_another_name_is_not(self) -> None:
        """Which names it is for is said."""
        service = await self.serve(make("localhost", "registry.internal", issuer=self.authority))
        for host in ("elsewhere.example", "127.0.0.1"):
            await self.refused(
                self.trusting(host, service.tls_port), service, f"the certificate is for localhost, registry.internal, not for {host}"
            )
        many = await self.serve(make("a", "b", "c", "d", "e", issuer=self.authority))
        await self.refused(self.trusting("x", many.tls_port), many, "is for a, b, c, d, …, not for x")
        wild = await self.serve(make("*.internal", issuer=self.authority))
        await self.refused(self.trusting("a.internal", wild.tls_port), wild, "a name that is not allowed", "*.internal")
        nobody = await self.serve(make(issuer=self.authority))
        await self.refused(self.trusting("x", nobody.tls_port), nobody, "is for no name at all, not for x")

    async def test_what_is_wrong_with_a_certificate_is_said_in_words(self) -> None:
        """Self-signed, expired, not yet valid, of an authority that nobody knows."""
        stranger = make("a stranger", authority=True)
        old_authority = make("an old authority", authority=True, days=(-9, -1))
        (self.folder / "old.PEM").write_bytes(old_authority.pem)
        for made, words in (
            (make("localhost"), "the certificate is self-signed"),
            (make("localhost", issuer=self.authority, days=(-9, -1)), "the certificate has expired"),
            (make("localhost", issuer=self.authority, days=(1, 9)), "the certificate is not valid yet"),
            (make("localhost", issuer=stranger), "the certificate was issued by an unknown authority"),
            (make("localhost", issuer=old_authority), "a certificate of the chain (CN=an old authority) has expired"),
        ):
            service = await self.serve(made)
            await self.refused(self.trusting("localhost", service.tls_port), service, words)

    async def test_a_chain_that_ends_in_a_stranger_is_not_trusted(self) -> None:
        """Although the service sends it whole."""
        stranger = make("a stranger", authority=True)
        service = await self.serve(make("localhost", issuer=stranger), extraCertChain=[crypto.X509.from_cryptography(stranger.certificate)])
        await self.refused(self.trusting("localhost", service.tls_port), service, "unknown authority", "self-signed certificate")

    async def test_without_authorities_of_its_own_the_systems_count(self) -> None:
        """By a binding and by a URL."""
        service = await self.serve(make("localhost", issuer=self.authority))
        for settings in ({"binding": f"tls:localhost:{service.tls_port}"}, {"url": f"https://localhost:{service.tls_port}"}):
            await self.refused(self.upstream(**settings), service, "unknown authority")

    async def test_plain_http_behind_a_tls_address_is_said_to_be_that(self) -> None:
        """It answers in its own way, or hangs up."""

        def plain(answer: bytes) -> Service:
            service = Service(self, lambda _: None)
            service._port.factory.buildProtocol = lambda _: Plain(service, answer)
            return service

        talks, hangs_up = plain(b"HTTP/1.1 400 Bad Request\r\n\r\n"), plain(b"")
        await self.refused(self.upstream(url=f"https://localhost:{talks.port}"), talks, "does not speak TLS")
        await self.refused(self.upstream(binding=f"tls:127.0.0.1:{hangs_up.port}"), hangs_up, "does it speak TLS?")

    async def test_a_service_that_speaks_only_old_versions_is_said_to_do_that(self) -> None:
        """TLS 1.1 and older."""
        old = make("localhost", issuer=self.authority)
        service = await self.serve(old, newest=SSL.TLS1_1_VERSION, insecurelyLowerMinimumTo=TLSVersion.TLSv1_0)
        await self.refused(self.trusting("localhost", service.tls_port), service, "no version of TLS")

    async def test_a_client_certificate_is_shown_where_it_is_asked_for(self) -> None:
        """Without one, the refusal comes after the handshake in TLS 1.3, and is a failure of TLS all the same."""
        authority: Any = Certificate(crypto.X509.from_cryptography(self.authority.certificate))
        ours = make("gateway", issuer=self.authority).write(self.folder / "ours")
        strange = make("gateway").write(self.folder / "strange")
        for newest in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            service = await self.serve(
                make("localhost", issuer=self.authority), trustRoot=trustRootFromCertificates([authority]), newest=newest
            )
            await self.served(self.trusting("localhost", service.tls_port, f":certificate={ours}:privateKey={ours}"))
            for more in ("", f":certificate={strange}"):
                failure = await self.assertFailure(
                    self.trusting("localhost", service.tls_port, more).send(UpstreamRequest(b"GET", b"/", b"localhost", [])),
                    UpstreamFailed,
                )
                self.assertEqual(failure.kind, "tls", failure.reason)
                self.assertIn("client certificate", failure.reason)

    async def test_a_handshake_that_never_ends_is_cut_in_time(self) -> None:
        """``connect_timeout`` holds for it, too."""
        silent = Service(self, lambda _: None)
        upstream = self.upstream(url=f"https://localhost:{silent.port}", connect_timeout=0.2)
        failure = await self.assertFailure(upstream.send(UpstreamRequest(b"GET", b"/", b"localhost", [])), UpstreamTimeout)
        self.assertEqual(failure.end, "timeout:connect")
        await silent.visits[0].until_closed()
        await until(lambda: not upstream.pool.open, "the end of the connection")

    async def test_cancelling_cuts_a_handshake(self) -> None:
        """The client has left, or the gateway stops."""
        silent = Service(self, lambda _: None)
        upstream = self.upstream(url=f"https://localhost:{silent.port}")
        sending = upstream.send(UpstreamRequest(b"GET", b"/", b"localhost", []))
        await until(lambda: bool(silent.received), "the handshake")
        sending.cancel()
        await silent.visits[0].until_closed()
        self.failureResultOf(sending)

    async def test_a_tls_service_that_is_not_there_is_known_at_once(self) -> None:
        """By a name, whose addresses all refuse; nothing waits for a time limit."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        failure = await self.assertFailure(
            self.upstream(binding=f"tls:localhost:{port}").send(UpstreamRequest(b"GET", b"/", b"localhost", [])), UpstreamFailed
        )
        self.assertEqual((failure.kind, failure.reason), ("connect", "cannot connect: connection refused"))


class Malformed(SynchronousTestCase):
    """A certificate that cannot be read."""

    def test_it_is_refused(self) -> None:
        """OpenSSL would lose what is raised in its callback; the traceback is in the program's log."""
        failures: list[Any] = []

        class Transport:
            failVerification = staticmethod(failures.append)

        tls = tls_of("tls:a:443")
        connection = tls.clientConnectionForTLS(Transport())
        unreadable: Any = object()
        self.assertFalse(tls._check(connection, unreadable, 0, 0, 1))
        self.assertEqual([str(failure.value) for failure in failures], ["the certificate cannot be read"])
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class Files(SynchronousTestCase):
    """The files that a binding names."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def complaint(self, arguments: str) -> str:
        """Return what is wrong with a binding."""
        with self.assertRaises(BadBinding) as caught:
            tls_of(f"tls:a:443:{arguments}")
        return str(caught.exception)

    def test_what_is_wrong_with_one_is_said_at_load(self) -> None:
        """No certificate, no key, one that does not fit, one with a password."""
        one, other = make("a"), make("b")
        certificate, key, nothing = self.folder / "certificate", self.folder / "key", self.folder / "nothing"
        certificate.write_bytes(one.pem)
        key.write_bytes(other.key_pem)
        nothing.write_text("nothing")
        self.assertIn("no certificate (PEM) in", self.complaint(f"certificate={nothing}"))
        self.assertIn("no private key (PEM, not encrypted) in", self.complaint(f"certificate={certificate}"))
        self.assertIn("does not fit the certificate", self.complaint(f"certificate={certificate}:privateKey={key}"))
        self.assertIn("no certificate in", self.complaint(f"trustRoots={self.folder}"))
        for path in ("/nonexistent", str(nothing)):
            self.assertIn(f"{path}: ", client_endpoint(f"tls:a:443:trustRoots={path}"))
        self.assertIn("does not fit the certificate", client_endpoint(f"tls:a:443:certificate={certificate}:privateKey={key}"))

    def test_a_key_that_fits_is_good(self) -> None:
        """In one file with its certificate, or in two; the chain goes along."""
        authority = make("an authority", authority=True)
        made = make("a", issuer=authority)
        both, key = made.write(self.folder / "both"), self.folder / "key"
        both.write_bytes(both.read_bytes() + authority.pem)
        key.write_bytes(made.key_pem)
        for arguments in (f"certificate={both}", f"certificate={both}:privateKey={key}"):
            self.assertEqual(client_endpoint(f"tls:a:443:{arguments}"), "")
            connection = tls_of(f"tls:a:443:{arguments}").clientConnectionForTLS(None)
            self.assertIsInstance(connection, SSL.Connection)
