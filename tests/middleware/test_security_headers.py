"""The security headers are on every answer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.middleware.security_headers import SecurityHeaders
from nnogw.settings import SecurityHeaderSettings
from tests.doubles import Further, exchange, values


class SecurityHeadersTests(SynchronousTestCase):
    """Decided on before anything else happens."""

    def test_the_three_are_decided_on_before_it_goes_on(self) -> None:
        """So that they are on errors too."""
        request, further = exchange(), Further()
        self.assertIs(SecurityHeaders(SecurityHeaderSettings())(request, further), further.waiting)
        self.assertEqual(
            values(request),
            {
                b"X-Content-Type-Options": b"nosniff",
                b"X-Frame-Options": b"DENY",
                b"Referrer-Policy": b"strict-origin-when-cross-origin",
            },
        )

    def test_values_are_settings_and_an_empty_one_leaves_its_header_out(self) -> None:
        """The upstream's own comes through then."""
        request = exchange()
        SecurityHeaders(SecurityHeaderSettings(frame_options="SAMEORIGIN", referrer_policy=""))(request, Further())
        self.assertEqual(values(request), {b"X-Content-Type-Options": b"nosniff", b"X-Frame-Options": b"SAMEORIGIN"})
