"""Which URLs and origins the gateway takes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading.urls import origin, service_url, store_url


class ServiceUrlTests(SynchronousTestCase):
    """Where services are in development."""

    def test_http_and_https_with_a_base_path_are_good(self) -> None:
        """Or empty: no URL."""
        for value in (
            "",
            "http://localhost:8788",
            "https://iam.internal",
            "http://[::1]:80/",
            "http://a_b:8788/api/v1/onboarding",
            "HTTP://a",
            "https://a_b.internal.",
            "https://10.0.0.4",
        ):
            self.assertEqual(service_url(value), "", value)

    def test_anything_else_is_bad(self) -> None:
        """Also what a browser would forgive."""
        for value in (
            "localhost:8788",
            "//localhost",
            "ftp://a",
            "http://",
            "http:///path",
            "http://user:password@a",
            "http://@a",
            "http://a?b=1",
            "http://a?",
            "http://a#b",
            "http://a b",
            "http://a\n",
            "http://a:0",
            "http://a:65536",
            "http://a:x",
            "http://[::1",
            "http://[::x]",
            "http://[v1.a:b]",
            "http://a%62",
            "http://a..b",
            "http://10.0.0.256",
            "https://1234",
            "http://é",
            "http://a/../b",
            "http://a/%2e%2e/b",
            "http://a/%zz",
            8788,
            None,
        ):
            self.assertNotEqual(service_url(value), "", repr(value))

    def test_what_people_write_instead_is_answered_with_the_url(self) -> None:
        """An endpoint string belongs into another option."""
        self.assertEqual(service_url("localhost:8788/api"), 'a URL: "http://localhost:8788/api"')
        self.assertEqual(service_url("iam.internal"), 'a URL: "http://iam.internal"')
        for value in ("unix:/run/a.sock", "tcp:10.0.0.4:8080"):
            self.assertTrue(service_url(value).endswith("; an endpoint string is given as binding, in the environment as NNO_…"), value)


class StoreUrlTests(SynchronousTestCase):
    """Where rate limits will be shared."""

    def test_redis_in_its_three_forms_is_good(self) -> None:
        """Or empty: the table in memory."""
        for value in ("", "redis://a", "redis://:password@a:6379/0", "rediss://a", "unix:///run/redis.sock", "unix:/run/redis.sock?db=1"):
            self.assertEqual(store_url(value), "", value)

    def test_anything_else_is_bad(self) -> None:
        """Without a place to go."""
        for value in ("a", "redis:a", "redis://", "redis://a:x", "http://a", "unix:", "unix:///", "redis://a b", 1, None):
            self.assertNotEqual(store_url(value), "", repr(value))


class OriginTests(SynchronousTestCase):
    """Who may read the answers."""

    def test_origins_as_browsers_send_them_are_good(self) -> None:
        """Also of applications that are no web pages."""
        for value in (
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:3000",
            "https://*.example.com",
            "https://*.example.com:8443",
            "capacitor://localhost",
        ):
            self.assertEqual(origin(value), "", value)

    def test_a_near_miss_is_told_right(self) -> None:
        """A browser's origin would never be equal to it."""
        for value, meant in (
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com/path", "https://app.example.com"),
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("https://*.Example.com/", "https://*.example.com"),
        ):
            self.assertEqual(origin(value), f'the origin as browsers send it: "{meant}"', value)

    def test_anything_else_is_bad(self) -> None:
        """``null`` above all: whoever sends it cannot be known."""
        for value in (
            "null",
            "",
            "example.com",
            "https://",
            "https://*",
            "https://*.com",
            "http://*.example.com",
            "https://a.*.example.com",
            "https://a*.example.com",
            "https://user:password@example.com",
            "https://example.com:0",
            "https://é.example",
            "https://a.example\n",
            1,
            None,
        ):
            self.assertTrue(origin(value).startswith("an origin as browsers send it"), repr(value))
