"""Patterns that name requests by method and path: ``GET /health``, ``GET /api/v1/docs/*``. Pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable


class RequestPatterns:
    """A set of patterns, which match requests by their method and canonical path.

    A path may hold one ``*``. At the end it stands for anything, slashes included. In the middle it is a whole segment, and stands for any
    number of segments, none included: ``/api/*/sign-out`` matches ``/api/sign-out`` and ``/api/v1/iam/sign-out``.

    Args:
        patterns: ``METHOD /path`` each, as `nnogw.loading.values` lets them pass.

    Attributes:
        methods: those that any pattern has. Most requests have another one, and need not be matched.
    """

    __slots__ = ("_paths", "_prefixes", "_surroundings", "methods")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.methods: set[bytes] = set()
        self._paths: set[tuple[bytes, bytes]] = set()
        self._prefixes: dict[bytes, tuple[bytes, ...]] = {}
        self._surroundings: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}
        for pattern in patterns:
            method, _, path = pattern.encode().partition(b" ")
            self.methods.add(method)
            before, star, after = path.partition(b"*")
            if after:
                self._surroundings[method] = (*self._surroundings.get(method, ()), (before, after))
            elif star:
                self._prefixes[method] = (*self._prefixes.get(method, ()), before)
            else:
                self._paths.add((method, path))

    def match(self, method: bytes, path: bytes) -> bool:
        """Return whether a request is named: `path` is canonical, or empty where the target was refused, which no pattern names."""
        if (method, path) in self._paths or path.startswith(self._prefixes.get(method, ())):
            return True
        for before, after in self._surroundings.get(method, ()):
            # Of no segments, one slash is the end of what is before and the beginning of what is after.
            if path.endswith(after) and path.startswith(before) and len(path) >= len(before) + len(after) - 1:
                return True
        return False
