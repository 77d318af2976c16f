"""Services over TLS, with real sockets and certificates: verified by default, and failing closed."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, serverFromString, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.trial.unittest import TestCase

from nnogw.errors import UpstreamFailed
from nnogw.settings import ServiceSettings
from nnogw.upstream.service import Upstream, upstream_for
from nnogw.wire.client import UpstreamRequest
from nnogw.wire.outlet import Turn
from nnogw.wire.pool import ConnectionPool
from tests.doubles import Collected
from tests.integration.sockets import Service, ok, says, until


class TlsService(Service):
    """A service that speaks TLS, under a certificate of its own making."""

    def __init__(self, test: TestCase, pem: Path) -> None:
        super().__init__(test, says(ok(b"secret")))
        self.listening: Any = None
        self._pem = pem
        self._factory = self._port.factory

    async def listen(self) -> None:
        """Listen."""
        endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={self._pem}:certKey={self._pem}")
        self.listening = await endpoint.listen(self._factory)
        self.tls_port = self.listening.getHost().port

    async def stop(self) -> None:
        """Stop."""
        if self.listening is not None:
            await self.listening.stopListening()
        await super().stop()


def certificate(path: Path, name: str) -> bytes:
    """Write a key and a certificate of `name`, signed by itself, to `path`; returns the certificate (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made)
    return made


class OverTls(TestCase):
    """Who the service is, is checked before a byte of the request goes out."""

    async def setUp(self) -> None:
        self.pem = Path(self.mktemp()).absolute()
        self.authority = Certificate.loadPEM(certificate(self.pem, "localhost"))
        self.service = TlsService(self, self.pem)
        await self.service.listen()

    def trusting(self, name: str) -> Upstream:
        """Return the service, reached by `name` with its certificate as the only authority."""
        endpoint = wrapClientTLS(
            optionsForClientTLS(name, trustRoot=self.authority), HostnameEndpoint(reactor, "127.0.0.1", self.service.tls_port)
        )
        settings, clock = ServiceSettings(), reactor
        pool = ConnectionPool(endpoint, tls=True, clock=clock, turn=Turn(clock), settings=settings)
        self.addCleanup(self.gone, pool)
        return Upstream("x", "x", name.encode(), b"", pool, settings)

    async def gone(self, pool: ConnectionPool) -> None:
        """Close the connections of `pool`."""
        pool.close()
        await until(lambda: not pool.open, "the end of the connections")

    async def test_a_certificate_that_is_trusted_is_good(self) -> None:
        """Two requests share one connection."""
        service = self.trusting("localhost")
        for _ in range(2):
            response = await service.send(UpstreamRequest(b"GET", b"/", b"localhost", []))
            collected = Collected()
            response.body.stream(collected)
            self.assertEqual((response.status, collected.data), (200, b"secret"))
        self.assertEqual(service.pool.open, 1)

    async def test_a_certificate_of_another_name_is_not(self) -> None:
        """The request never goes out; the reason is for the log."""
        await self.refused(self.trusting("elsewhere.example"))

    async def test_a_certificate_of_an_unknown_authority_is_not(self) -> None:
        """By a binding and by a URL."""
        for settings in (
            ServiceSettings(binding=f"tls:localhost:{self.service.tls_port}"),
            ServiceSettings(url=f"https://localhost:{self.service.tls_port}"),
        ):
            upstream = upstream_for("x", settings, reactor, Turn(reactor))
            assert upstream is not None
            await self.refused(upstream)

    async def refused(self, upstream: Upstream) -> None:
        """The service is not believed to be who it should be."""
        failure = await self.assertFailure(upstream.send(UpstreamRequest(b"GET", b"/", b"localhost", [])), UpstreamFailed)
        self.assertTrue(failure.reason.startswith("TLS: "), failure.reason)
        await until(lambda: not upstream.pool.open, "the end of the connection")
        self.assertEqual(self.service.received, b"")
