"""Patterns that name requests by method and path: ``GET /health``, ``GET /api/v1/docs/*``. Pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable


class RequestPatterns:
    """A set of patterns. What matching costs does not depend on how many of them are exact.

    Args:
        patterns: ``METHOD /path``, the path canonical and without a query; ``*`` as its last character stands for anything.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[tuple[bytes, bytes]] = set()
        self._prefixes: dict[bytes, tuple[bytes, ...]] = {}
        for pattern in patterns:
            method, _, path = pattern.encode("ascii").partition(b" ")
            if path.endswith(b"*"):
                self._prefixes[method] = (*self._prefixes.get(method, ()), path[:-1])
            else:
                self._exact.add((method, path))

    def match(self, method: bytes, path: bytes) -> bool:
        """Return whether a request is named: `path` is canonical, or empty where the target was refused, which no pattern names."""
        return (method, path) in self._exact or path.startswith(self._prefixes.get(method, ()))
