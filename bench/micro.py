"""Measure the gateway's parts by themselves, in this process: µs a call, the least of several rounds.

What else goes on in the machine can only add time, so that the least is the nearest to what the code costs.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable
from functools import partial
from itertools import count
from time import monotonic

import machine
from in_memory import GatewayInMemory, request_head
from parts import (
    ANSWER_FIELDS,
    DEFAULT_TABLE,
    REQUEST_FIELDS,
    TOKEN,
    ScriptedProxy,
    ended_exchange,
    new_exchange,
    pipeline,
    route_table,
    verdict_cache,
    verdict_store,
)
from tables import print_table
from twisted.internet.defer import Deferred

from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.headers import end_to_end_request, end_to_end_response, forwarded_fields
from nnogw.interfaces import Proceed
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.metrics import RequestMetrics
from nnogw.observability.request_log import format_line
from nnogw.pipeline import chain

#: What is measured: a call without arguments.
Case = Callable[[], object]

_ROUND = 0.1  # seconds, about
_FULL = 10_000  # entries of a small table, which is full before it is measured


def cases() -> dict[str, Case]:
    """Return every measurement's name, and what is called."""
    return {**_requests(), **_middlewares(), **_headers(), **_paths(), **_verdicts(), **_limits(), **_observability()}


def _requests() -> dict[str, Case]:
    gateway = GatewayInMemory()
    head = request_head()
    if b" 200 " not in gateway.exchange(head):
        raise RuntimeError("the gateway in memory does not answer with 200")
    run = pipeline()
    fields = HeaderFields(REQUEST_FIELDS)
    return {
        "whole request, in memory": lambda: gateway.exchange(head),
        "chain of middlewares, proxy scripted": lambda: run(new_exchange(fields)),
        "- of which the exchange": lambda: new_exchange(fields),
    }


def _middlewares() -> dict[str, Case]:
    def go_on(_: Exchange, proceed: Proceed) -> Deferred[Response]:
        return proceed()

    def come_back(_: Exchange, proceed: Proceed) -> Deferred[Response]:
        return proceed().addCallback(_as_it_is)

    async def wait(_: Exchange, proceed: Proceed) -> Response:
        return await proceed()

    exchange = new_exchange(HeaderFields(REQUEST_FIELDS))
    answer = ScriptedProxy([])
    runs = {
        "a chain of nothing but an answer": chain([answer]),
        "- with ten steps that go on": chain([*[go_on] * 10, answer]),
        "- with ten that add a callback": chain([*[come_back] * 10, answer]),
        "- with ten that are async def": chain([*[wait] * 10, answer]),
    }
    return {name: partial(run, exchange) for name, run in runs.items()}


def _as_it_is(response: Response) -> Response:
    return response


def _headers() -> dict[str, Case]:
    request = HeaderFields(REQUEST_FIELDS)
    answer = HeaderFields(ANSWER_FIELDS)
    return {
        "header section, 12 fields": lambda: HeaderFields(REQUEST_FIELDS),
        "end_to_end_request, 12 fields": lambda: end_to_end_request(request, forward_credentials=True),
        "end_to_end_response, 7 fields": lambda: end_to_end_response(answer),
        "forwarded_fields": lambda: forwarded_fields(request, peer="127.0.0.1", secure=False, peer_trusted=False),
    }


def _paths() -> dict[str, Case]:
    large = route_table(1000)
    plain, escaped = b"/api/v1/platforms/abc?limit=20", b"/api/v1/platforms/a%20b%2Fc/%7Ehome"
    return {
        "path matching, 7 routes": lambda: DEFAULT_TABLE.resolve(plain),
        "path matching, 1000 routes": lambda: large.resolve(plain),
        "path matching, escapes in the path": lambda: DEFAULT_TABLE.resolve(escaped),
    }


def _verdicts() -> dict[str, Case]:
    exchange = new_exchange(HeaderFields(REQUEST_FIELDS))
    known = verdict_cache(verdict_store())
    known.session(TOKEN, exchange)
    full = verdict_cache(verdict_store(_FULL))
    tokens = count()
    for _ in range(_FULL):
        full.session(b"%d" % next(tokens), exchange)
    return {
        "verdict cache, hit": lambda: known.remembered_session(TOKEN),
        "verdict cache, new tokens, table full": lambda: full.session(b"%d" % next(tokens), exchange),
    }


def _limits() -> dict[str, Case]:
    known = MemoryStore(_FULL, monotonic)
    full = MemoryStore(_FULL, monotonic)
    keys = count()
    for _ in range(_FULL):
        full.hit(str(next(keys)), 100, 60)
    return {
        "rate limiter, hit": lambda: known.hit("127.0.0.1:/api/v1/platforms/abc", 10**9, 60),
        "rate limiter, minted keys, table full": lambda: full.hit(str(next(keys)), 100, 60),
    }


def _observability() -> dict[str, Case]:
    ended = ended_exchange()
    metrics = RequestMetrics()
    return {"log line": lambda: format_line(ended), "metrics of a request": lambda: metrics.observe(ended)}


def least(chosen: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return the least time of one call of each, in µs. The rounds of all go in turn, so that a slow moment is not one's alone."""
    timers = {name: timeit.Timer(case) for name, case in chosen.items()}
    numbers = {}
    for name, timer in timers.items():
        number, taken = timer.autorange()
        numbers[name] = max(round(number * _ROUND / taken), 1)
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(rounds):
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(numbers[name]) / numbers[name] * 1e6)
    return best


def main() -> None:
    """Run every measurement, or those that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of measurements; without any, all are made")
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    options = parser.parse_args()
    chosen = {name: case for name, case in cases().items() if not options.names or any(part in name for part in options.names)}
    print(f"{machine.description()}; least of {options.rounds} rounds\n")
    print_table(("part", "µs"), [(name, f"{time:.2f}") for name, time in least(chosen, options.rounds).items()])


if __name__ == "__main__":
    main()
