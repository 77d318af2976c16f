"""A bounded table drops what was not used for the longest time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.lru import LruTable


class LruTableTests(SynchronousTestCase):
    """A table of three."""

    def setUp(self) -> None:
        self.table: LruTable[str, int] = LruTable(3)
        for value, key in enumerate("abc"):
            self.table.put(key, value)

    def keys(self) -> set[str]:
        return {key for key in "abcdef" if self.table.get(key) is not None}

    def test_a_full_table_drops_the_least_recently_used(self) -> None:
        """Reading and writing are both uses."""
        self.table.get("a")
        self.table.put("b", 9)
        self.table.put("d", 3)
        self.assertEqual(self.keys(), {"a", "b", "d"})
        self.assertEqual(self.table.evictions, 1)

    def test_a_value_is_replaced_in_place(self) -> None:
        self.table.put("a", 7)
        self.assertEqual((self.table.get("a"), len(self.table), self.table.evictions), (7, 3, 0))

    def test_what_is_dropped_is_gone(self) -> None:
        self.table.drop("a")
        self.table.drop("never there")
        self.assertEqual(self.keys(), {"b", "c"})

    def test_dropping_tells_whether_there_was_anything(self) -> None:
        self.assertEqual([self.table.drop("a"), self.table.drop("a")], [True, False])

    def test_an_update_is_neither_a_use_nor_a_new_entry(self) -> None:
        self.table.update("a", 7)
        self.table.update("never there", 8)
        self.table.put("d", 3)
        self.assertEqual(self.keys(), {"b", "c", "d"})

    def test_whatever_leaves_is_told(self) -> None:
        """Evicted, replaced, dropped, chosen for dropping, cleared; not what is updated."""
        left: list[tuple[str, int]] = []
        table: LruTable[str, int] = LruTable(2, lambda key, value: left.append((key, value)))
        for value, key in enumerate("abbcdef"):
            table.put(key, value)
        self.assertEqual(left, [("b", 1), ("a", 0), ("b", 2), ("c", 3), ("d", 4)])
        left.clear()
        table.update("e", 9)
        table.drop("e")
        table.drop_where(lambda value: value == 6)
        table.put("g", 7)
        table.clear()
        self.assertEqual(left, [("e", 9), ("f", 6), ("g", 7)])

    def test_values_can_be_chosen_for_dropping(self) -> None:
        self.assertEqual(self.table.drop_where(lambda value: value > 0), 2)
        self.assertEqual(self.keys(), {"a"})

    def test_clearing_tells_how_many_there_were(self) -> None:
        self.assertEqual((self.table.clear(), len(self.table)), (3, 0))

    def test_a_smaller_table_drops_what_was_not_used_for_the_longest_time(self) -> None:
        """At once: each of them counts, and is told."""
        left: list[str] = []
        table: LruTable[str, int] = LruTable(4, lambda key, value: left.append(key))
        for value, key in enumerate("abcd"):
            table.put(key, value)
        table.get("a")
        table.resize(2)
        self.assertEqual((left, table.evictions, len(table)), (["b", "c"], 2, 2))
        table.put("e", 4)
        self.assertEqual((left, table.evictions), (["b", "c", "d"], 3))
        table.resize(0)
        self.assertEqual((left, len(table)), (["b", "c", "d", "a", "e"], 0))

    def test_a_larger_table_has_room_for_more(self) -> None:
        self.table.resize(4)
        for value, key in enumerate("de"):
            self.table.put(key, value)
        self.assertEqual((self.keys(), self.table.evictions), ({"b", "c", "d", "e"}, 1))

    def test_a_table_of_none_keeps_nothing(self) -> None:
        table: LruTable[str, int] = LruTable(0)
        table.put("a", 1)
        self.assertEqual(len(table), 0)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.lists(st.integers(0, 20), max_size=40), min_size=1, max_size=4), st.lists(st.integers(0, 5), min_size=4, max_size=4))
    def test_it_holds_exactly_the_keys_used_last(self, keys: list[list[int]], bounds: list[int]) -> None:
        """Whatever is put: the last different keys are there, as many as its bound allows, which may change meanwhile."""
        table: LruTable[int, str] = LruTable(5)
        latest: list[int] = []
        for some, bound in zip(keys, bounds, strict=False):
            table.resize(bound)
            for key in some:
                table.put(key, "value")
            latest = list(dict.fromkeys([*reversed(some), *latest[:bound]]))[:bound]
            self.assertEqual(set(table._entries), set(latest))
