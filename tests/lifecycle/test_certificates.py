"""The certificates of a listener are read before anything changes, and exchanged under the feet of nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nnogw.lifecycle.certificates import Certificates, read_certificates
from tests.upstream.certificates import Made, make


class CertificatesTests(SynchronousTestCase):
    """Files that an endpoint string names."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, name: str, made: Made | None = None) -> str:
        """Write a key and its certificate to a file, and return the endpoint that has both from there."""
        path = (made or make(name)).write(self.folder / name)
        return f"ssl:0:privateKey={path}:interface=127.0.0.1"

    def test_what_begins_later_has_the_other_certificate(self) -> None:
        """What has begun keeps its own."""
        one, other = (read_certificates(self.write(name)) for name in "ab")
        certificates = Certificates(one)
        verifyObject(IOpenSSLServerConnectionCreator, certificates)
        before = certificates.serverConnectionForTLS(None)
        self.assertEqual([certificates.differ(options) for options in (one, other)], [False, True])
        certificates.exchange(other)
        after = certificates.serverConnectionForTLS(None)
        contexts = [connection.get_context() for connection in (before, after)]
        self.assertEqual(contexts, [options.getContext() for options in (one, other)])

    def test_a_certificate_and_its_key_may_be_in_two_files_and_the_chain_in_a_third(self) -> None:
        """As the endpoint string says."""
        authority = make("an authority", authority=True)
        made = make("a", issuer=authority)
        for name, content in (("key", made.key_pem), ("certificate", made.pem), ("chain", authority.pem)):
            (self.folder / name).write_bytes(content)
        options: Any = read_certificates(
            f"ssl:0:privateKey={self.folder}/key:certKey={self.folder}/certificate:extraCertChain={self.folder}/chain"
        )
        self.assertEqual(options.certificate.to_cryptography(), made.certificate)
        self.assertEqual([found.to_cryptography() for found in options.extraCertChain], [authority.certificate])

    def test_the_files_are_read_each_time(self) -> None:
        """Whoever renews a certificate writes it to the same file."""
        names = []
        for name in ("before", "after"):
            made = make(name)
            options: Any = read_certificates(self.write("file", made))
            names.append(options.certificate.to_cryptography() == made.certificate)
        self.assertEqual(names, [True, True])

    def test_what_is_wrong_with_a_file_is_raised_at_once(self) -> None:
        """One that is not there, one that holds something else, a key that does not fit."""
        self.assertRaises(FileNotFoundError, read_certificates, f"ssl:0:privateKey={self.folder}/absent")
        (self.folder / "nothing").write_text("nothing")
        self.assertRaises(crypto.Error, read_certificates, f"ssl:0:privateKey={self.folder}/nothing")
        (self.folder / "certificate").write_bytes(make("a").pem)
        (self.folder / "key").write_bytes(make("b").key_pem)
        self.assertRaises(VerifyError, read_certificates, f"ssl:0:privateKey={self.folder}/key:certKey={self.folder}/certificate")
