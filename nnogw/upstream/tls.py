"""TLS to services: who they are is checked, and what is wrong with a certificate is said in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSPattern, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, platformTrust, trustRootFromCertificates
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from nnogw.upstream.binding import BadBinding, Binding, as_address
from nnogw.wire.transport.connect_errors import HandshakeFailed

log = Logger()

_UNKNOWN = "was issued by an unknown authority"
#: OpenSSL's numbers (openssl-verification-options(1), x509_vfy.h) → what they say of a certificate.
_IN_WORDS = {
    2: _UNKNOWN,  # UNABLE_TO_GET_ISSUER_CERT
    7: "has a signature that does not fit",
    9: "is not valid yet; or is this machine's clock wrong?",
    10: "has expired",
    18: "is self-signed",
    19: "was issued by an unknown authority: the chain ends in a self-signed certificate that is not trusted",
    20: _UNKNOWN,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: f"{_UNKNOWN}, or the upstream does not send the whole chain",  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    22: "has a chain that is too long",
    23: "has been revoked",
    24: "is no certificate of an authority",
    26: "is not meant for servers",
    66: "has a key that is too weak",
    67: "was issued with a key that is too weak",
    68: "was signed with a hash that is too weak",
}
_NAMES_SHOWN = 4


@implementer(IOpenSSLClientConnectionCreator)
class VerifiedTls:
    """Begins TLS as a client, and accepts nobody but `host`.

    Twisted's own `optionsForClientTLS` says of a refused certificate only "certificate verify failed".

    Args:
        host: the name or address that the upstream's certificate has to be for, in ASCII.
        trust_root: the authorities that are trusted; the system's by default.
        certificate, key: the gateway's own, if the upstream wants to see one.
        chain: what leads from there to its authority.

    Raises:
        SSL.Error: the key does not fit the certificate.
    """

    def __init__(
        self,
        host: str,
        *,
        trust_root: Any = None,  # Any: an IOpenSSLTrustRoot, which Twisted does not export
        certificate: crypto.X509 | None = None,
        key: crypto.PKey | None = None,
        chain: list[crypto.X509] | None = None,
    ) -> None:
        self._host = host.removesuffix(".")
        is_name = as_address(host) is None
        self._server_name = self._host.encode("ascii") if is_name else b""  # no address is sent (RFC 6066 §3)
        self._identity: ServiceID = DNS_ID(self._host) if is_name else IPAddress_ID(self._host)
        options = CertificateOptions(
            trustRoot=trust_root or platformTrust(), certificate=certificate, privateKey=key, extraCertChain=chain or None
        )
        self._context: SSL.Context = options.getContext()
        self._context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._check)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return OpenSSL's part of a connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if self._server_name:
            connection.set_tlsext_host_name(self._server_name)
        return connection

    def _check(self, connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, good: int) -> bool:
        """Judge one certificate of the chain; called by OpenSSL, which loses whatever is raised here."""
        try:
            if not good:
                refusal = _refusal(certificate, number, depth)
            elif depth == 0:
                refusal = self._other_name(certificate)
            else:
                refusal = ""
        except Exception:  # whatever a malformed certificate leads to
            log.failure("a certificate cannot be checked")
            refusal = "the certificate cannot be read"
        if refusal:
            connection.get_app_data().failVerification(Failure(HandshakeFailed(refusal)))
        return not refusal

    def _other_name(self, certificate: crypto.X509) -> str:
        """Return why `certificate` is not one of the upstream's; empty if it is."""
        try:
            patterns = extract_patterns(certificate)
            if "." not in self._host:  # no wildcard is for it, and service-identity before 26.1 fails over the two
                patterns = [pattern for pattern in patterns if not (isinstance(pattern, DNSPattern) and b"*" in pattern.pattern)]
            verify_service_identity(patterns, [self._identity], [])
        except (VerificationError, CertificateError) as error:
            names = _names(certificate)
            if names and isinstance(error, CertificateError):
                return f"the certificate has a name that is not allowed: {error}"
            shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
            return f"the certificate is for {shown or 'no name at all'}, not for {self._host}"
        return ""


@frozen
class TlsFiles:
    """What is in the files that a ``tls`` binding names: PEM, as it was read.

    Attributes:
        authorities: the files of the authorities that are trusted; none for the system's.
        certificate, key: the gateway's own certificate, with its chain, and its key.
    """

    authorities: tuple[bytes, ...] = field(default=(), repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)


def read_files(binding: Binding) -> TlsFiles:
    """Read the files that a ``tls`` binding names.

    Raises:
        OSError: a file cannot be read.
    """
    authorities: tuple[bytes, ...] = ()
    if binding.trust_roots:
        found = (path for path in sorted(Path(binding.trust_roots).iterdir()) if path.suffix.lower() == ".pem")
        authorities = tuple(path.read_bytes() for path in found)
    if not binding.certificate:
        return TlsFiles(authorities)
    certificate = Path(binding.certificate).read_bytes()
    return TlsFiles(authorities, certificate, Path(binding.private_key).read_bytes() if binding.private_key else certificate)


def tls_for(binding: Binding, files: TlsFiles) -> VerifiedTls:
    """Return the TLS of a ``tls`` binding.

    Args:
        binding: where the service is, and the names of the files.
        files: what is in them.

    Raises:
        BadBinding: a file does not hold what it should.
    """
    trust_root = _authorities(binding.trust_roots, files.authorities) if binding.trust_roots else None
    if not binding.certificate:
        return VerifiedTls(binding.host, trust_root=trust_root)
    certificates = _certificates(files.certificate)
    if not certificates:
        raise BadBinding(f"there is no certificate (PEM) in {binding.certificate}")
    path = binding.private_key or binding.certificate
    key = _private_key(path, files.key)
    try:
        return VerifiedTls(binding.host, trust_root=trust_root, certificate=certificates[0], key=key, chain=certificates[1:])
    except SSL.Error:
        raise BadBinding(f"the key in {path} does not fit the certificate in {binding.certificate}") from None


def _authorities(directory: str, files: Sequence[bytes]) -> Any:  # Any: as `trust_root`
    found = [Certificate(certificate) for content in files for certificate in _certificates(content)]
    if not found:
        raise BadBinding(f"there is no certificate in {directory} (*.pem)")
    return trustRootFromCertificates(found)


def _certificates(content: bytes) -> list[crypto.X509]:
    """Return the certificates in the content of a PEM file, none if it holds other things."""
    try:
        return [crypto.X509.from_cryptography(found) for found in x509.load_pem_x509_certificates(content)]
    except ValueError:
        return []


def _private_key(path: str, content: bytes) -> crypto.PKey:
    try:
        key = load_pem_private_key(content, None)
        return crypto.PKey.from_cryptography_key(key)  # type: ignore[arg-type]  # a kind that it does not know is its TypeError
    except (ValueError, TypeError):  # a TypeError if it is encrypted
        raise BadBinding(f"there is no private key (PEM, not encrypted) in {path}") from None


def _refusal(certificate: crypto.X509, number: int, depth: int) -> str:
    subject = certificate.to_cryptography().subject.rfc4514_string()
    which = "the certificate" if depth == 0 else f"a certificate of the chain ({subject})"
    return f"{which} {_IN_WORDS.get(number, f'is not good (error {number} of OpenSSL)')}"


def _names(certificate: crypto.X509) -> list[str]:
    """Return the names and addresses that `certificate` is for."""
    try:
        extension = certificate.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = extension.value.get_values_for_type(x509.DNSName)
    return [*names, *map(str, extension.value.get_values_for_type(x509.IPAddress))]
