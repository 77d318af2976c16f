"""Names whose lookups a test answers, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.testing import MemoryReactorClock

from nnogw.observability.ledger import Ledger
from nnogw.upstream.resolver import Resolver


class Reactor(MemoryReactorClock):
    """A reactor in memory, on which what comes from threads is done at once."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kw: object) -> None:  # noqa: A002
        callable(*args, **kw)


class Names:
    """What the system knows, and a resolver that asks it.

    Attributes:
        known: name → its addresses, or what its lookup raises.
        asked: every name that was looked up, in order.
        held: lookups that have begun and not ended.
    """

    def __init__(self, reactor: Any = None, **known: Any) -> None:
        self.reactor: Any = reactor or Reactor()
        self.known: dict[str, Sequence[str] | Exception] = known
        self.asked: list[str] = []
        self.held: list[Callable[[], None]] = []
        self.ledger = Ledger()
        self.resolver = Resolver(self.reactor, life=30, ledger=self.ledger, lookup=self._lookup, start=self.held.append)

    def _lookup(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        found = self.known[host]
        if isinstance(found, Exception):
            raise found
        return found

    def answer(self) -> None:
        """Let the lookups end that have begun."""
        held, self.held[:] = list(self.held), []
        for lookup in held:
            lookup()
