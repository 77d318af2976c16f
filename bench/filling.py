"""Fill the gateway's tables, each in a process of its own: what an entry costs, how many are held, and what they take."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence

from attrs import frozen
from parts import REQUEST_FIELDS, new_exchange, verdict_cache, verdict_store
from processes import resident_mib
from tables import print_table

from nnogw.fields import HeaderFields
from nnogw.limiting.memory import MemoryStore
from nnogw.settings import RateLimitSettings


@frozen
class Filled:
    """A table after many different entries were put in."""

    micros: float  # CPU time an entry
    held: int  # entries
    growth: float  # MiB


def verdicts(number: int) -> Filled:
    """Judge `number` tokens of sessions, with the default settings."""
    store = verdict_store()
    cache = verdict_cache(store)
    exchange = new_exchange(HeaderFields(REQUEST_FIELDS))

    def fill() -> None:
        for place in range(number):
            cache.session(b"session-%022d" % place, exchange)

    return _filled(number, fill, lambda: store.entries)


def windows(number: int) -> Filled:
    """Count a request of each of `number` keys, with the default settings."""
    settings = RateLimitSettings()
    store = MemoryStore(settings.max_keys, time.monotonic)

    def fill() -> None:
        for place in range(number):
            store.hit(f"192.0.2.1:/api/v1/platforms/{place:08}", settings.limit, settings.period)

    return _filled(number, fill, lambda: store.keys)


def report(name: str, fill: Callable[[int], Filled], numbers: Sequence[int]) -> None:
    """Print what the tables come to that `fill` makes, each in a new process."""
    rows = []
    for number in numbers:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            filled = pool.apply(fill, (number,))
        rows.append((f"{number}", f"{filled.micros:.1f}", f"{filled.held}", f"{filled.growth:.0f}"))
    print_table((name, "CPU µs each", "held", "MiB"), rows)


def _filled(number: int, fill: Callable[[], None], held: Callable[[], int]) -> Filled:
    memory = resident_mib(os.getpid())
    started = time.process_time()
    fill()
    spent = time.process_time() - started
    return Filled(spent / number * 1e6, held(), resident_mib(os.getpid()) - memory)
