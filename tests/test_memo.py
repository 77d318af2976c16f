"""Results that are remembered by arguments which clients choose: bounded in bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

from twisted.trial.unittest import SynchronousTestCase

from nnogw.memo import Memo

ROOM = 64 * 1024


def kept_bytes(work: Callable[[bytes], object], arguments: Iterable[bytes]) -> int:
    """Return the bytes of memory that are in use after `work` has been called with all `arguments`, and were not before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for argument in arguments:
            work(argument)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


class MemoTests(SynchronousTestCase):
    """A pure function that is not called again for what it was called with a moment ago."""

    def setUp(self) -> None:
        self.calls: list[bytes] = []
        self.memo: Memo[bytes, bytes] = Memo(self.upper, ROOM)

    def upper(self, argument: bytes) -> bytes:
        """Return `argument` in capitals, and take note."""
        self.calls.append(argument)
        return argument.upper()

    def test_a_known_argument_is_not_worked_out_again(self) -> None:
        """Whatever else came between."""
        self.assertEqual([self.memo[argument] for argument in (b"a", b"b", b"a", b"b")], [b"A", b"B", b"A", b"B"])
        self.assertEqual(self.calls, [b"a", b"b"])

    def test_what_an_argument_leaves_behind_is_bounded_in_bytes(self) -> None:
        """However many there are, and however long they are."""
        for size in (8, 200, 15_000):
            memo: Memo[bytes, bytes] = Memo(bytes.upper, ROOM)
            kept = kept_bytes(memo.__getitem__, (b"%0*d" % (size, number) for number in range(3000)))
            self.assertLess(kept, ROOM + 1024, size)

    def test_tuples_count_with_what_they_contain(self) -> None:
        """A result that is larger than its argument does not get around the bound."""
        memo: Memo[bytes, tuple[bytes, ...]] = Memo(lambda argument: (argument * 2, argument * 3, (argument * 4,)), ROOM)
        kept = kept_bytes(memo.__getitem__, (b"%0100d" % number for number in range(3000)))
        self.assertLess(kept, ROOM + 1024)

    def test_a_full_memo_begins_again(self) -> None:
        """What is in use is back at its next use."""
        for number in range(2000):
            _ = self.memo[b"%d" % number]
        self.calls.clear()
        for _ in range(2):
            self.assertEqual(self.memo[b"ordinary"], b"ORDINARY")
        self.assertEqual(self.calls, [b"ordinary"])

    def test_a_long_argument_pushes_nothing_out(self) -> None:
        """It is worked out each time."""
        _ = self.memo[b"ordinary"]
        for _ in range(20):
            _ = self.memo[b"a" * 15_000]
        _ = self.memo[b"ordinary"]
        self.assertEqual(self.calls.count(b"ordinary"), 1)
        self.assertEqual(len(self.calls), 21)

    def test_a_failure_is_not_remembered(self) -> None:
        """The next call may succeed."""
        results = iter([ValueError("once"), 7])

        def fails_once(argument: str) -> int:
            result = next(results)
            if isinstance(result, ValueError):
                raise result
            return result

        memo: Memo[str, int] = Memo(fails_once)
        self.assertRaises(ValueError, memo.__getitem__, "x")
        self.assertEqual(memo["x"], 7)
