"""The steps of a pipeline lie around one another, and whatever one of them does comes out as a Deferred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import NotFound
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.interfaces import Middleware, Proceed
from nnogw.limiting.memory import MemoryStore
from nnogw.middleware.cors import Cors
from nnogw.middleware.error_handler import ErrorHandler
from nnogw.middleware.rate_limiter import RateLimiter
from nnogw.middleware.refusal import refusal
from nnogw.pipeline import chain
from nnogw.settings import CorsSettings, RateLimitSettings


def a_request(*fields: tuple[bytes, bytes]) -> Exchange:
    return Exchange(b"GET", b"/api/x", HeaderFields(fields), "192.0.2.1", ip="192.0.2.1", path=b"/api/x")


class ChainTests(SynchronousTestCase):
    """Steps that leave a trace."""

    def setUp(self) -> None:
        self.trace: list[str] = []
        self.answer = Response(200)

    def step(self, name: str) -> Middleware:
        """Return a step that notes when it is entered, and when the answer or failure comes back."""

        def run(exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
            self.trace.append(f"into {name}")
            return proceed().addBoth(out)

        def out(outcome: object) -> object:
            self.trace.append(f"out of {name}")
            return outcome

        return run

    def innermost(self, exchange: Exchange, proceed: Proceed) -> Response:
        self.trace.append("innermost")
        return self.answer

    def test_steps_run_in_order_and_the_answer_comes_back_in_the_opposite_one(self) -> None:
        run = chain([self.step("a"), self.step("b"), self.innermost])
        self.assertIs(self.successResultOf(run(a_request())), self.answer)
        self.assertEqual(self.trace, ["into a", "into b", "innermost", "out of b", "out of a"])

    def test_every_step_sees_the_same_exchange(self) -> None:
        seen: list[Exchange] = []

        def look(exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
            seen.append(exchange)
            return proceed()

        run = chain(iter([look, look, self.innermost]))
        exchanges = [a_request(), a_request()]
        for exchange in exchanges:
            self.successResultOf(run(exchange))
        self.assertEqual(seen, [exchanges[0], exchanges[0], exchanges[1], exchanges[1]])

    def test_a_step_that_answers_keeps_the_request_from_those_behind_it(self) -> None:
        run = chain([self.step("a"), lambda exchange, proceed: Response(204), self.innermost])
        self.assertEqual(self.successResultOf(run(a_request())).status, 204)
        self.assertEqual(self.trace, ["into a", "out of a"])

    def test_a_step_that_raises_at_once_fails_into_those_around_it(self) -> None:
        def refuse(exchange: Exchange, proceed: Proceed) -> Response:
            raise NotFound

        run = chain([self.step("a"), refuse, self.innermost])
        self.failureResultOf(run(a_request()), NotFound)
        self.assertEqual(self.trace, ["into a", "out of a"])

    def test_a_step_may_let_the_answer_wait(self) -> None:
        waiting: Deferred[Response] = Deferred()
        result = chain([self.step("a"), lambda exchange, proceed: waiting])(a_request())
        self.assertNoResult(result)
        waiting.callback(self.answer)
        self.assertIs(self.successResultOf(result), self.answer)

    def test_cancelling_reaches_what_the_innermost_step_waits_for(self) -> None:
        """Through plain steps and coroutines alike."""
        cancelled: list[Deferred[Response]] = []
        waiting: Deferred[Response] = Deferred(cancelled.append)

        async def wait(exchange: Exchange, proceed: Proceed) -> Response:
            return await proceed()

        result = chain([self.step("a"), wait, self.step("b"), lambda exchange, proceed: waiting])(a_request())
        result.cancel()
        self.assertEqual(cancelled, [waiting])
        self.failureResultOf(result)

    def test_a_step_may_be_a_coroutine(self) -> None:
        pause: Deferred[None] = Deferred()

        async def patient(exchange: Exchange, proceed: Proceed) -> Response:
            await pause
            response = await proceed()
            self.trace.append("out of the coroutine")
            return response

        result = chain([patient, self.innermost])(a_request())
        self.assertEqual(self.trace, [])
        pause.callback(None)
        self.assertIs(self.successResultOf(result), self.answer)
        self.assertEqual(self.trace, ["innermost", "out of the coroutine"])

    def test_a_coroutine_can_catch_what_fails_behind_it(self) -> None:
        async def forgiving(exchange: Exchange, proceed: Proceed) -> Response:
            try:
                return await proceed()
            except NotFound:
                return self.answer

        result = chain([forgiving, lambda exchange, proceed: fail(NotFound())])(a_request())
        self.assertIs(self.successResultOf(result), self.answer)

    def test_a_coroutine_that_raises_fails(self) -> None:
        async def refuse(exchange: Exchange, proceed: Proceed) -> Response:
            raise NotFound

        self.failureResultOf(chain([refuse])(a_request()), NotFound)

    def test_a_step_of_somebody_elses_goes_on_once(self) -> None:
        """A second ``proceed()`` would send the request twice; nothing further in runs again."""

        def twice(exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
            proceed()
            return proceed()

        run = chain([self.step("a"), twice, self.step("b"), self.innermost])
        failure = self.failureResultOf(run(a_request()), RuntimeError)
        self.assertIn("called proceed() twice", failure.getErrorMessage())
        self.assertEqual(self.trace, ["into a", "into b", "innermost", "out of b", "out of a"])

    def test_a_step_of_somebody_elses_returns_a_response(self) -> None:
        """One that forgets to is a bug that is told, instead of a client that waits for ever."""

        def at_once(exchange: Exchange, proceed: Proceed) -> Any:
            return None

        def later(exchange: Exchange, proceed: Proceed) -> Any:
            return proceed().addCallback(lambda response: None)

        async def awaited(exchange: Exchange, proceed: Proceed) -> Any:
            await proceed()

        for step in (at_once, later, awaited):
            failure = self.failureResultOf(chain([step, self.innermost])(a_request()), TypeError)
            self.assertIn("returned NoneType, expected a Response", failure.getErrorMessage())

    def test_going_on_behind_the_last_step_is_a_bug(self) -> None:
        self.failureResultOf(chain([self.step("a")])(a_request()), RuntimeError)
        self.failureResultOf(chain([])(a_request()), RuntimeError)


class RefusalTests(SynchronousTestCase):
    """What is refused far out is answered as a browser application can read it."""

    def test_a_429_carries_the_cors_fields_and_the_state_of_the_limit(self) -> None:
        reached: list[Exchange] = []

        def innermost(exchange: Exchange, proceed: Callable[[], Deferred[Response]]) -> Deferred[Response]:
            reached.append(exchange)
            return succeed(Response(200))

        limiter = RateLimiter(RateLimitSettings(limit=1), store=MemoryStore(10, Clock().seconds))
        run = chain([ErrorHandler(), limiter, Cors(CorsSettings(origins=("https://app.example",))), refusal, innermost])
        exchanges = [a_request((b"Origin", b"https://app.example")) for _ in range(2)]
        first, second = (self.successResultOf(run(exchange)) for exchange in exchanges)
        self.assertEqual((first.status, second.status, reached), (200, 429, exchanges[:1]))
        self.assertIn((b"retry-after", b"Retry-After", b"60"), second.fields)
        self.assertEqual(exchanges[1].response_fields[b"access-control-allow-origin"][2], b"https://app.example")
        self.assertEqual(exchanges[1].response_fields[b"ratelimit"][2], b'"default";r=0;t=60')
        self.assertEqual(exchanges[1].reason, 'over the limit "default" of 1 requests in 60 s')
