"""The certificates of an ``ssl:`` listener. They can be exchanged while it listens: connections that there are keep theirs."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Begins TLS as a server, with the certificates that were read last.

    Args:
        options: those at first, as `read_certificates` returns them.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self._options = options

    def differ(self, options: CertificateOptions) -> bool:
        """Whether `options` have another certificate than new connections have now."""
        return _certificate(options) != _certificate(self._options)

    def exchange(self, options: CertificateOptions) -> None:
        """Let new connections have the certificates of `options`."""
        self._options = options

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Return OpenSSL's part of a connection."""
        options: Any = self._options  # Any: it has no annotations
        return SSL.Connection(options.getContext(), None)


def read_certificates(description: str) -> CertificateOptions:
    """Read the certificates and the key that an ``ssl:`` endpoint string names.

    Raises:
        OSError: a file cannot be read.
        ValueError, SSL.Error, crypto.Error, VerifyError: a file does not hold what it should, or the key does not fit the certificate.
    """
    recorder = _Recorder()
    reactor: Any = recorder  # Any: as much of one as the endpoint needs
    endpoint = serverFromString(reactor, description)
    endpoint.listen(Factory()).addErrback(lambda failure: failure.raiseException())
    options: Any = recorder.options  # Any: as in `Certificates`
    options.getContext()  # which says whether the key fits
    return options  # type: ignore[no-any-return]  # as above


def _certificate(options: CertificateOptions) -> bytes:
    certificate = options.certificate
    assert certificate is not None  # each ``ssl:`` endpoint has one
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


class _Recorder:
    """Stands in for the reactor, and notes what an endpoint would listen with."""

    options: object = None

    def listenSSL(self, port: int, factory: object, contextFactory: object, **others: object) -> None:
        """Note `contextFactory`."""
        self.options = contextFactory
