"""What is suggested in place of what people write; the rules' own tests show it in their words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading.suggestions import for_client_endpoint, for_server_endpoint, for_url


class SuggestionTests(SynchronousTestCase):
    """Only where what was meant is plain."""

    def test_what_is_good_is_left_alone(self) -> None:
        """Also where it looks like ``HOST:PORT``."""
        for value in (
            "tcp:8787",
            "tcp:0",
            "tcp6:8787",
            "ssl:443",
            "tcp:80:interface=127.0.0.1",
            "tcp6:80:interface=\\:\\:1",
            "unix:/a",
            "tcp:80:interface=:backlog=9",
        ):
            self.assertEqual(for_server_endpoint(value), "", value)
        for value in ("tcp:a:80", "tls:a:443", "unix:/a"):
            self.assertEqual(for_client_endpoint(value), "", value)
        for value in ("http://a", "https://a:1/b", "HTTP://a"):
            self.assertEqual(for_url(value), "", value)

    def test_of_what_is_nothing_nothing_is_suggested(self) -> None:
        """It is for the rules to say what they expect."""
        for value in ("", "nonsense", "tcp", "tcp:", "65536", "127.0.0.1", "stdio:", "haproxy:80", True, 3.5, None, [], "80\n", "/a\n"):
            self.assertEqual(for_server_endpoint(value), "", repr(value))
            if not isinstance(value, str) or ":" not in value:
                self.assertEqual(for_client_endpoint(value), "", repr(value))
        for value in ("ftp://a", "//a", "a b", "http:/a"):
            self.assertEqual(for_url(value), "", value)
