"""Why there is no connection is said in words, in the log's reason."""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, NoRouteError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import ServiceUnavailable, UpstreamFailed, UpstreamTimeout
from nnogw.wire.transport.connect_errors import ConnectFailed, HandshakeFailed, StillResolving, cannot_connect, connection_broke, timed_out


def openssl(*reasons: str) -> SSL.Error:
    """Return what pyOpenSSL raises."""
    return SSL.Error([("SSL routines", "", reason) for reason in reasons])


class ConnectErrors(SynchronousTestCase):
    """From what is raised to what an operator reads."""

    def told(self, error: Exception) -> tuple[str, str]:
        """Return kind and reason."""
        translated = cannot_connect(Failure(error)).value
        assert isinstance(translated, UpstreamFailed), translated
        return translated.kind, translated.reason

    def test_what_the_system_says_is_said_shortly(self) -> None:
        """In its own words."""
        for error, reason in (
            (Refused(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
            (NoRouteError(errno.EHOSTUNREACH, "No route to host"), "no route to host"),
            (ConnectError(errno.ENOENT, "No such file or directory"), "no such file or directory"),
            (ConnectError(string="bind failed"), "bind failed"),
            (ConnectFailed("the name x cannot be resolved: Name or service not known"), None),
            (ValueError(), "ValueError"),
        ):
            self.assertEqual(self.told(error), ("connect", f"cannot connect: {reason or error}"))

    def test_each_failure_of_tls_has_its_words(self) -> None:
        """The kind is for the metrics."""
        for said, words in (
            ("wrong version number", "does not speak TLS"),
            ("packet length too long", "does not speak TLS"),
            ("http request", "does not speak TLS"),
            ("tlsv1 alert protocol version", "no version of TLS"),
            ("unsupported protocol", "no version of TLS"),
            ("sslv3 alert handshake failure", "no cipher in common"),
            ("ssl/tls alert handshake failure", "no cipher in common"),
            ("tlsv13 alert certificate required", "wants a client certificate"),
            ("tlsv1 alert unknown ca", "does not know the authority of the gateway's client certificate"),
            ("sslv3 alert certificate expired", "client certificate has expired"),
            ("sslv3 alert bad certificate", "refused the gateway's client certificate"),
            ("tlsv1 unrecognized name", "no certificate for this name"),
            ("unexpected eof while reading", "closed the connection in the TLS handshake"),
            ("something of next year", "the handshake failed: something of next year"),
        ):
            kind, reason = self.told(openssl(said))
            self.assertEqual(kind, "tls")
            self.assertTrue(reason.startswith("TLS: "), reason)
            self.assertIn(words, reason)
        for error in (SSL.SysCallError(-1, "Unexpected EOF"), SSL.ZeroReturnError(), ConnectionLost(), ConnectionDone()):
            kind, reason = self.told(error)
            self.assertEqual(kind, "tls")
            self.assertIn("closed the connection in the", reason)
        self.assertEqual(self.told(SSL.Error()), ("tls", "TLS: the handshake failed"))
        self.assertEqual(self.told(HandshakeFailed("the certificate has expired")), ("tls", "TLS: the certificate has expired"))

    def test_what_takes_too_long_is_a_timeout(self) -> None:
        """Which step it was is said where it is known."""
        translated = cannot_connect(Failure(ConnectTimeout())).value
        assert isinstance(translated, UpstreamTimeout)
        self.assertEqual((translated.end, translated.reason), ("timeout:connect", "no connection in time"))
        for outcome, reason in (
            (Failure(CancelledError()), "no connection in time"),
            (Failure(StillResolving("the name x was not resolved")), "the name x was not resolved in time"),
        ):
            late = timed_out(outcome)
            self.assertEqual((late.end, late.reason), ("timeout:connect", reason))

    def test_the_gateways_own_and_cancellations_stay_as_they_are(self) -> None:
        """They are no news of the upstream."""
        for error in (CancelledError(), StillResolving("x"), ServiceUnavailable(), UpstreamTimeout()):
            self.assertIs(cannot_connect(Failure(error)).value, error)

    def test_tls_may_also_fail_once_it_stands(self) -> None:
        """With TLS 1.3, a missing client certificate is refused after the handshake."""
        broke = connection_broke(Failure(openssl("tlsv13 alert certificate required")))
        self.assertEqual(broke.kind, "tls")
        self.assertIn("wants a client certificate", broke.reason)
        broke = connection_broke(Failure(ConnectionLost()))
        self.assertEqual((broke.kind, broke.reason.startswith("the connection broke: ")), ("reset", True))
