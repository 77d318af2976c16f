"""Patterns name requests by method and path."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.patterns import RequestPatterns


class RequestPatternsTests(SynchronousTestCase):
    """Methods and canonical paths."""

    def assertMatches(self, pattern: str, paths: list[str], others: list[str]) -> None:
        patterns = RequestPatterns(["GET /api/other", pattern])
        for path in paths:
            self.assertTrue(patterns.match(b"POST", path.encode()), path)
        for path in others:
            self.assertFalse(patterns.match(b"POST", path.encode()), path)

    def test_a_path_is_itself_alone(self) -> None:
        """With its own method."""
        self.assertMatches("POST /api/a", ["/api/a"], ["/api/a/", "/api/ab", "/api", "/api/other"])

    def test_an_asterisk_at_the_end_is_anything(self) -> None:
        """Slashes included."""
        self.assertMatches("POST /api/a/*", ["/api/a/", "/api/a/b", "/api/a/b/c"], ["/api/a", "/api/ab"])

    def test_an_asterisk_within_is_any_number_of_segments(self) -> None:
        """None included, and never a part of one."""
        self.assertMatches(
            "POST /api/*/out", ["/api/out", "/api/a/out", "/api/a/b/out"], ["/api", "/out", "/apiout", "/api/aout", "/api/out/a"]
        )

    def test_several_patterns_of_a_method_all_count(self) -> None:
        """Of every kind."""
        patterns = RequestPatterns(["POST /api/a", "POST /api/b", "POST /api/c/*", "POST /api/d/*", "POST /api/*/e", "POST /api/*/f"])
        for path in (b"/api/a", b"/api/b", b"/api/c/x", b"/api/d/x", b"/api/x/e", b"/api/x/f"):
            self.assertTrue(patterns.match(b"POST", path))
            self.assertFalse(patterns.match(b"GET", path))

    def test_no_pattern_matches_nothing(self) -> None:
        """An empty list is a way to turn it off."""
        self.assertFalse(RequestPatterns([]).match(b"GET", b"/api"))
