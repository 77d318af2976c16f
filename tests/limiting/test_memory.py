"""The windows in memory count exactly while there is room, and keep those near their limit when there is none."""

from __future__ import annotations

import tracemalloc

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.interfaces import Decision
from nnogw.limiting.memory import MemoryStore


@define
class UnboundedModel:
    """Fixed windows, as simple as they can be."""

    windows: dict[str, tuple[int, float]] = field(factory=dict)  # key → requests counted, end

    def hit(self, key: str, limit: int, period: float, now: float) -> Decision:
        count, ends = self.windows.get(key, (0, 0.0))
        if ends <= now:
            count, ends = 0, now + period
        ends = min(ends, now + period)  # which is no change, unless the period has become shorter
        allowed = count < limit
        count += allowed
        self.windows[key] = (count, ends)
        return Decision(allowed, limit, max(limit - count, 0), ends - now)


class WindowTests(SynchronousTestCase):
    """A table with room."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.25)
        self.store = MemoryStore(1000, self.clock.seconds)

    def test_a_look_tells_what_the_next_request_would_be_told_and_counts_nothing(self) -> None:
        """Whatever the length of its key."""
        for key in ("a", "a" * 1000):
            self.assertEqual(self.store.peek(key, 2), Decision(True, 2, 2, 0))
            self.store.hit(key, 2, 60)
            self.clock.advance(20)
            for _ in range(5):
                self.assertEqual(self.store.peek(key, 2), Decision(True, 2, 1, 40))
            self.store.hit(key, 2, 60)
            self.assertEqual(self.store.peek(key, 2), Decision(False, 2, 0, 40))
            self.clock.advance(40)
            self.assertEqual(self.store.peek(key, 2), Decision(True, 2, 2, 0))

    def test_a_window_opens_with_the_first_request_of_its_key(self) -> None:
        self.assertEqual(self.store.hit("a", 3, 60), Decision(True, 3, 2, 60))
        self.clock.advance(20)
        self.assertEqual(self.store.hit("a", 3, 60), Decision(True, 3, 1, 40))
        self.assertEqual(self.store.hit("b", 3, 60), Decision(True, 3, 2, 60))

    def test_over_the_limit_requests_are_refused_until_the_window_ends(self) -> None:
        """The moment of the end belongs to the next window."""
        for _ in range(3):
            self.store.hit("a", 3, 60)
        self.clock.advance(59.5)
        self.assertEqual(self.store.hit("a", 3, 60), Decision(False, 3, 0, 0.5))
        self.clock.advance(0.5)
        self.assertEqual(self.store.hit("a", 3, 60), Decision(True, 3, 2, 60))

    def test_refused_requests_do_not_make_the_window_longer(self) -> None:
        for _ in range(50):
            self.store.hit("a", 1, 10)
        self.clock.advance(10)
        self.assertTrue(self.store.hit("a", 1, 10).allowed)

    def test_a_limit_that_is_lowered_or_raised_holds_for_the_window_that_is_open(self) -> None:
        for _ in range(10):
            self.store.hit("a", 10, 60)
        self.assertEqual(self.store.hit("a", 5, 60), Decision(False, 5, 0, 60))
        self.assertEqual(self.store.hit("a", 100, 60), Decision(True, 100, 89, 60))

    def test_a_period_that_becomes_shorter_ends_an_open_window_no_later_than_a_new_one(self) -> None:
        """What was counted stays; one that becomes longer makes no open window longer."""
        for _ in range(3):
            self.store.hit("a", 10, 60)
        self.clock.advance(20)
        self.assertEqual(self.store.hit("a", 10, 600), Decision(True, 10, 6, 40))
        self.assertEqual(self.store.hit("a", 10, 5), Decision(True, 10, 5, 5))
        self.clock.advance(2)
        self.assertEqual(self.store.hit("a", 10, 5), Decision(True, 10, 4, 3))
        self.assertEqual(self.store.hit("a", 10, 60), Decision(True, 10, 3, 3))
        self.clock.advance(3)
        self.assertEqual(self.store.hit("a", 10, 60), Decision(True, 10, 9, 60))

    def test_long_keys_count_as_well_and_are_told_apart(self) -> None:
        long = "/" * 8000
        self.assertEqual(self.store.hit(long + "a", 5, 60).remaining, 4)
        self.assertEqual(self.store.hit(long + "b", 5, 60).remaining, 4)
        self.assertEqual(self.store.hit(long + "a", 5, 60).remaining, 3)

    def test_long_keys_take_no_more_room_than_short_ones(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            self.store.hit(f"{number}:/".ljust(8000, "x"), 5, 60)
        after, _ = tracemalloc.get_traced_memory()
        self.assertEqual(self.store.keys, 100)
        self.assertLess(after - before, 100 * 1000)

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abcdef"), st.sampled_from([1, 2, 3, 4, 5, 9]), st.sampled_from([0.5, 1, 10, 60]), st.integers(0, 80)
            ),
            max_size=200,
        )
    )
    def test_a_table_that_is_not_full_decides_like_an_unbounded_one(self, steps: list[tuple[str, int, float, int]]) -> None:
        """Also where limits and periods change while windows are open."""
        clock = Clock()
        store = MemoryStore(6, clock.seconds)
        model = UnboundedModel()
        for key, limit, period, pause in steps:
            clock.advance(pause / 4)  # which floats hold exactly
            self.assertEqual(store.hit(key, limit, period), model.hit(key, limit, period, clock.seconds()))
        self.assertEqual(store.evictions, 0)


class FullTableTests(SynchronousTestCase):
    """A table of ten."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(10, self.clock.seconds)

    def hits(self, key: str, count: int, limit: int = 4, period: float = 60) -> None:
        for _ in range(count):
            self.store.hit(key, limit, period)

    def remaining(self, key: str, limit: int = 4) -> int:
        return self.store.hit(key, limit, 60).remaining

    def test_minted_keys_push_out_one_another_and_nothing_near_its_limit(self) -> None:
        self.hits("at its limit", 4)
        self.hits("near its limit", 3)
        self.hits("half way", 2)
        for number in range(5000):
            self.store.hit(f"minted {number}", 4, 60)
        self.assertEqual((self.store.keys, self.store.evictions), (10, 5000 - 7))
        self.assertFalse(self.store.hit("at its limit", 4, 60).allowed)
        self.assertEqual((self.remaining("near its limit"), self.remaining("half way")), (0, 1))

    def test_what_is_over_goes_before_what_is_still_counted(self) -> None:
        """However much of its limit it had used, and wherever it stands among the others."""
        self.hits("short", 4, period=10)
        for number in range(9):
            self.store.hit(f"counted {number}", 100, 60)
        self.clock.advance(11)
        self.store.hit("newcomer", 100, 60)
        self.assertEqual((self.store.keys, self.store.evictions), (10, 0))
        self.assertEqual([self.remaining(f"counted {number}", 100) for number in range(9)], [98] * 9)

    def test_of_two_that_are_used_alike_the_one_that_ends_sooner_goes(self) -> None:
        self.hits("late", 1, period=600)
        self.hits("soon", 1, period=60)
        for number in range(8):
            self.hits(f"other {number}", 3)
        self.store.hit("newcomer", 4, 600)
        self.assertEqual((self.remaining("late"), self.store.evictions), (2, 1))
        self.assertEqual((self.remaining("soon"), self.store.evictions), (3, 2))

    def test_a_newcomer_among_none_but_used_up_windows_takes_the_place_of_the_one_that_ends_soonest(self) -> None:
        """Nobody is refused for want of room, and only one window is given up, however many newcomers there are."""
        for number in range(10):
            self.hits(f"used up {number}", 4)
            self.clock.advance(1)
        for number in range(100):
            self.assertEqual(self.store.hit(f"newcomer {number}", 4, 60), Decision(True, 4, 3, 60))
        self.assertEqual((self.store.keys, self.store.evictions), (10, 100))
        self.assertEqual([self.store.hit(f"used up {number}", 4, 60).allowed for number in range(9, 0, -1)], [False] * 9)
        self.assertTrue(self.store.hit("used up 0", 4, 60).allowed)

    def test_a_window_whose_limit_changes_belongs_elsewhere_from_then_on(self) -> None:
        """One that had used up its limit has hardly used a higher one, and is the first to make room; the other way round, the last."""
        self.hits("raised", 4)
        self.hits("raised", 1, limit=100)
        self.hits("lowered", 3, limit=100)
        self.hits("lowered", 1, limit=3)
        for number in range(8):
            self.hits(f"half used {number}", 2)
        self.hits("newcomer", 3)
        self.assertEqual(self.store.peek("raised", 100).remaining, 100)
        self.hits("another", 1)
        self.assertFalse(self.store.peek("lowered", 3).allowed)
        self.assertEqual((self.store.keys, self.store.evictions), (10, 2))

    def test_a_window_whose_period_changes_goes_when_it_ends_now(self) -> None:
        """It is over before the others, and is cleared away when the next one opens."""
        for number in range(10):
            self.hits(f"window {number}", 2)
        self.hits("window 7", 1, period=5)
        self.clock.advance(5)
        self.hits("newcomer", 1)
        self.assertEqual((self.store.keys, self.store.evictions, self.remaining("window 7")), (10, 0, 3))

    def test_with_a_lower_bound_it_makes_room_at_once(self) -> None:
        """As for newcomers: the least used windows go first. With a higher one nothing happens."""
        for number in range(5):
            self.hits(f"half used {number}", 2)
            self.hits(f"used up {number}", 4)
        self.store.bound(20)
        self.assertEqual((self.store.keys, self.store.evictions), (10, 0))
        self.store.bound(5)
        self.assertEqual((self.store.keys, self.store.evictions), (5, 5))
        self.assertEqual([self.store.peek(f"used up {number}", 4).allowed for number in range(5)], [False] * 5)
        self.hits("newcomer", 1)
        self.assertEqual((self.store.keys, self.store.evictions), (5, 6))

    def test_a_window_that_begins_again_begins_at_the_bottom(self) -> None:
        self.hits("regular", 4)
        self.clock.advance(60)
        self.hits("regular", 1)
        self.clock.advance(1)
        for number in range(10):
            self.hits(f"half used {number}", 2)
        self.assertEqual(self.remaining("regular"), 3)

    def test_after_a_wave_of_keys_the_table_shrinks_again(self) -> None:
        """Each newcomer clears away more than itself."""
        for number in range(10):
            self.store.hit(f"wave {number}", 4, 60)
        self.clock.advance(61)
        for number in range(9):
            self.store.hit(f"newcomer {number}", 4, 60)
            self.clock.advance(20)
        self.assertLessEqual(self.store.keys, 5)

    def test_a_table_of_one_counts_whoever_came_last(self) -> None:
        store = MemoryStore(1, self.clock.seconds)
        self.assertEqual([store.hit(key, 5, 60).remaining for key in "aabba"], [4, 3, 4, 3, 4])

    @settings(deadline=None)
    @given(
        st.integers(1, 8),
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from([10, 60]), st.integers(0, 7)), max_size=300),
    )
    def test_it_never_grows_and_what_is_used_up_stays_refused(self, max_keys: int, steps: list[tuple[int, int, int]]) -> None:
        """As long as not every window is used up."""
        clock = Clock()
        store = MemoryStore(max_keys, clock.seconds)
        used_up: dict[str, float] = {}  # key → end
        for number, period, pause in steps:
            clock.advance(pause // 4)
            key = f"{number} {period}"
            used_up = {key: ends for key, ends in used_up.items() if ends > clock.seconds()}
            decision = store.hit(key, 2 + number % 3, period)
            self.assertLessEqual(store.keys, max_keys)
            if key in used_up:
                self.assertEqual((decision.allowed, decision.reset), (False, used_up[key] - clock.seconds()))
            elif decision.remaining == 0:
                used_up[key] = clock.seconds() + decision.reset
                if len(used_up) == max_keys:
                    return
            else:
                self.assertTrue(decision.allowed)
