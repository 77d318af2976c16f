"""Patterns name requests by method and path."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.patterns import RequestPatterns


class RequestPatternsTests(SynchronousTestCase):
    """Exact paths, and beginnings of paths."""

    def test_an_exact_pattern_names_one_method_and_path(self) -> None:
        """And nothing below it."""
        patterns = RequestPatterns(["GET /health"])
        self.assertTrue(patterns.match(b"GET", b"/health"))
        for method, path in ((b"HEAD", b"/health"), (b"get", b"/health"), (b"GET", b"/health/"), (b"GET", b"/"), (b"GET", b"")):
            self.assertFalse(patterns.match(method, path))

    def test_an_asterisk_names_everything_that_begins_so(self) -> None:
        """Slashes and nothing at all included; several for one method too."""
        patterns = RequestPatterns(["GET /a/*", "GET /b*", "POST /c/*"])
        for method, path in ((b"GET", b"/a/"), (b"GET", b"/a/b/c"), (b"GET", b"/b"), (b"GET", b"/bc"), (b"POST", b"/c/d")):
            self.assertTrue(patterns.match(method, path), path)
        for method, path in ((b"GET", b"/a"), (b"POST", b"/a/b"), (b"GET", b"/c/d"), (b"GET", b"")):
            self.assertFalse(patterns.match(method, path), path)

    def test_no_pattern_names_nothing(self) -> None:
        """As by default."""
        self.assertFalse(RequestPatterns([]).match(b"GET", b"/"))
