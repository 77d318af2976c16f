"""A platform's status is asked of the registry, and outlives the registry's outages."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.status_store import StatusStore
from nnogw.settings import LifecycleSettings
from tests.identity.doubles import ManualAgent, ReadableLedger, ScriptedService, an_exchange

OUTAGE = ("registry-outage", "registry")
UNKNOWN = ("platform-status-unknown", "registry")


class PlatformStatusesTestCase(SynchronousTestCase):
    """A registry that answers as the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = ReadableLedger()
        self.registry = ScriptedService()
        self.registry.answers({"id": "p1", "status": "active"})
        self.statuses = self.ask_through(self.registry.agent())

    def ask_through(self, agent: Any, service_keys: tuple[str, ...] = ("key-1", "key-2"), **settings: Any) -> PlatformStatuses:
        """Return statuses with a store of their own, which is `self.store` from now on."""
        lifecycle = LifecycleSettings(**settings)
        self.store = StatusStore(lifecycle, clock=self.clock, ledger=self.ledger)
        return PlatformStatuses(agent, lifecycle, self.store, clock=self.clock, service_keys=service_keys, base_url="http://r/base")

    def ask(self, platform_id: str = "p1") -> str | Deferred[str | None] | None:
        return self.statuses.status(platform_id, an_exchange())

    def learn(self, platform_id: str = "p1") -> str | None:
        """Ask the registry, and return what it says."""
        status = self.ask(platform_id)
        assert isinstance(status, Deferred), status
        return self.successResultOf(status)


class QuestionTests(PlatformStatusesTestCase):
    """What the registry is asked, and what its answers mean."""

    def test_the_registry_is_asked_with_the_first_service_key_and_the_ids(self) -> None:
        self.assertEqual(self.learn(), "active")
        asked = self.registry.asked[0]
        self.assertEqual((asked.method, asked.url), (b"GET", "http://r/base/p1"))
        self.assertEqual(asked.headers.getRawHeaders("Authorization"), ["Bearer key-1"])
        self.assertEqual(asked.headers.getRawHeaders("X-Nno-Request-Id"), ["request-1"])
        self.assertEqual(asked.headers.getRawHeaders("X-Nno-Trace-Id"), ["trace-1"])

    def test_without_a_service_key_none_is_sent(self) -> None:
        self.statuses = self.ask_through(self.registry.agent(), service_keys=())
        self.learn()
        self.assertIsNone(self.registry.asked[0].headers.getRawHeaders("Authorization"))

    def test_an_id_is_one_segment_of_the_path(self) -> None:
        """Whatever is in it."""
        agent = ManualAgent()
        self.statuses = self.ask_through(agent)
        for platform_id in ("a/../b", "a?b=c#d", "..%2f", "é", "a b", "..a", ";x"):
            self.ask(platform_id)
        self.assertEqual(
            [uri.removeprefix(b"http://r/base/") for uri in agent.uris],
            [b"a%2F..%2Fb", b"a%3Fb%3Dc%23d", b"..%252f", b"%C3%A9", b"a%20b", b"..a", b"%3Bx"],
        )

    def test_nobody_is_asked_about_a_dot_segment(self) -> None:
        """It may be taken for the way up, even percent-encoded."""
        for platform_id in (".", ".."):
            self.assertIsNone(self.ask(platform_id))
        self.assertEqual(self.registry.asked, [])

    def test_404_is_an_unknown_platform_and_kept_as_such(self) -> None:
        self.registry.answers({"status": "active"}, 404)
        self.assertIsNone(self.learn())
        self.assertIsNone(self.ask())
        self.assertEqual((len(self.registry.asked), self.ledger.current), (1, {}))

    def test_every_other_answer_is_an_outage(self) -> None:
        """When it is given for several platforms."""
        answers = [(status, b'{"status": "active"}') for status in (201, 204, 301, 400, 401, 403, 429, 500, 503)]
        answers += [(200, body) for body in (b"", b"x", b"null", b"[]", b'"active"', b"{}", b'{"status": 1}', b'{"status": null}')]
        answers += [(200, b'{"status": "active"}' + b" " * 65536)]
        for self.registry.status, self.registry.body in answers:
            self.statuses = self.ask_through(self.registry.agent())
            for platform_id in ("p1", "p2", "p3"):
                self.assertEqual(self.ledger.current, {})
                self.assertIsNone(self.learn(platform_id))
            for state in (OUTAGE, UNKNOWN):
                self.assertIn("registry: ", self.ledger.current.pop(state))
        self.assertEqual(len(self.registry.asked), 3 * len(answers))

    def test_a_registry_that_does_not_answer_is_given_up(self) -> None:
        self.statuses = self.ask_through(ManualAgent())
        status = self.ask()
        assert isinstance(status, Deferred)
        self.clock.advance(2)
        self.assertIsNone(self.successResultOf(status))


class KeepingTests(PlatformStatusesTestCase):
    """How long a status is kept."""

    def test_a_status_is_kept_for_its_ttl(self) -> None:
        self.learn()
        self.registry.answers({"status": "suspended"})
        self.clock.advance(29.9)
        self.assertEqual(self.ask(), "active")
        self.clock.advance(0.1)
        self.assertEqual(self.learn(), "suspended")

    def test_each_platform_has_its_own_status(self) -> None:
        self.learn("p1")
        self.registry.answers({"status": "suspended"})
        self.assertEqual(self.learn("p2"), "suspended")
        self.assertEqual(self.ask("p1"), "active")

    def test_statuses_are_bounded(self) -> None:
        self.statuses = self.ask_through(self.registry.agent(), max_entries=2)
        for platform_id in ("p1", "p2", "p3"):
            self.learn(platform_id)
        self.assertEqual(self.store.forget_all(), 2)

    def test_a_forgotten_status_is_asked_for_again(self) -> None:
        self.learn("p1")
        self.learn("p2")
        self.store.forget("p1")
        self.registry.answers({"status": "suspended"})
        self.assertEqual((self.learn("p1"), self.ask("p2")), ("suspended", "active"))


class SingleFlightTests(PlatformStatusesTestCase):
    """Many requests of one platform."""

    def setUp(self) -> None:
        super().setUp()
        self.agent = ManualAgent()
        self.statuses = self.ask_through(self.agent)

    def asked(self) -> Deferred[str | None]:
        status = self.ask()
        assert isinstance(status, Deferred)
        return status

    def test_they_share_one_call_and_one_who_leaves_disturbs_nobody(self) -> None:
        waiting = [self.asked() for _ in range(1000)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.assertEqual((len(self.agent.requests), self.agent.cancelled), (1, 0))
        self.agent.requests[0].errback(Refused())
        self.assertEqual({self.successResultOf(status) for status in waiting[1:]}, {None})

    def test_a_status_that_comes_after_it_was_forgotten_is_not_kept(self) -> None:
        for forget in (lambda: self.store.forget("p1"), self.store.forget_all):
            status = self.asked()
            forget()
            self.registry.agent().request(b"GET", b"http://r/p1").chainDeferred(self.agent.requests[-1])
            self.assertEqual(self.successResultOf(status), "active")
            self.assertEqual(self.store.forget_all(), 0)


class OutageTests(PlatformStatusesTestCase):
    """What happens while the registry is away."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.learn(), "active")
        self.registry.answers({}, 500)

    def test_the_last_known_status_serves_on_and_then_ends(self) -> None:
        self.clock.advance(30)
        self.assertEqual(self.learn(), "active")
        self.assertEqual(self.ledger.current, {})
        self.clock.advance(299.9)
        self.assertEqual(self.ask(), "active")
        self.assertEqual(self.ledger.current, {OUTAGE: "registry: answered 500"})
        self.clock.advance(0.1)
        self.assertIsNone(self.learn())
        self.assertEqual(self.ledger.current, {OUTAGE: "registry: answered 500", UNKNOWN: "registry: answered 500"})

    def test_once_the_outage_is_known_nobody_waits_for_it(self) -> None:
        """The registry is asked beside the requests, once a second."""
        self.clock.advance(30)
        self.learn()
        for _ in range(100):
            self.clock.advance(0.1)
            self.assertEqual(self.ask(), "active")
        self.assertLessEqual(len(self.registry.asked), 12)

    def test_a_registry_that_hangs_is_not_asked_by_every_request(self) -> None:
        self.clock.advance(30)
        self.learn()
        agent = ManualAgent()
        self.statuses._client._client._agent._agent = agent
        self.clock.advance(1)
        for _ in range(100):
            self.assertEqual(self.ask(), "active")
        self.assertEqual(len(agent.requests), 1)

    def test_a_registry_that_is_back_is_heard(self) -> None:
        self.clock.advance(30)
        self.learn()
        self.registry.answers({"status": "suspended"})
        self.clock.advance(1)
        self.assertEqual(self.ask(), "active")
        self.assertEqual(self.ask(), "suspended")

    def test_an_outage_is_over_when_a_status_is_known_again(self) -> None:
        for platform_id in ("p2", "p3", "p4"):
            self.assertIsNone(self.learn(platform_id))
        self.assertEqual(set(self.ledger.current), {OUTAGE, UNKNOWN})
        self.registry.answers({"status": "active"})
        self.clock.advance(1)
        self.assertIsNone(self.ask("p2"))
        self.assertEqual(self.ask("p2"), "active")
        self.assertEqual(self.ledger.current, {})

    def test_one_platform_that_the_registry_fails_for_is_no_outage(self) -> None:
        """Others are well, or remembered."""
        for _ in range(60):
            self.ask("p2")
            self.clock.advance(1)
        self.assertGreater(len(self.registry.asked), 50)
        self.assertEqual(self.ledger.current, {})

    def test_a_status_that_was_forgotten_does_not_come_back_by_an_outage(self) -> None:
        agent = ManualAgent()
        self.statuses = self.ask_through(agent, ttl=0)
        first = self.ask()
        assert isinstance(first, Deferred)
        self.registry.answers({"status": "active"})
        self.registry.agent().request(b"GET", b"http://r/p1").chainDeferred(agent.requests[0])
        self.successResultOf(first)
        second = self.ask()
        assert isinstance(second, Deferred)
        self.store.forget("p1")
        agent.requests[1].errback(Refused())
        self.assertIsNone(self.successResultOf(second))
        self.assertEqual(self.store.forget_all(), 0)


class SilenceTests(PlatformStatusesTestCase):
    """A registry that hangs, and was never heard of before."""

    def setUp(self) -> None:
        super().setUp()
        self.agent = ManualAgent()
        self.statuses = self.ask_through(self.agent)

    def wait_in_vain(self, platform_id: str) -> None:
        """Ask and wait for the registry's time limit."""
        status = self.ask(platform_id)
        assert isinstance(status, Deferred), status
        self.clock.advance(2)
        self.assertIsNone(self.successResultOf(status))

    def back(self, call: int, status: str = "suspended") -> None:
        """Answer a call that is under way."""
        self.registry.answers({"status": status})
        self.registry.agent().request(b"GET", b"http://r/p").chainDeferred(self.agent.requests[call])

    def test_whoever_finds_it_out_waits_and_nobody_does_again(self) -> None:
        """For one platform: its status is unknown at once, and asked for beside the requests, one call at a time."""
        self.wait_in_vain("p1")
        for _ in range(300):
            self.assertIsNone(self.ask("p1"))
            self.clock.advance(0.1)
        self.assertGreater(len(self.agent.requests), 5)
        self.assertLess(len(self.agent.requests), 15)

    def test_of_many_platforms_none_waits(self) -> None:
        """When it is known that the registry is down; it is asked about one at a time."""
        for platform_id in ("p1", "p2", "p3"):
            self.wait_in_vain(platform_id)
        self.assertEqual(set(self.ledger.current), {OUTAGE, UNKNOWN})
        self.assertEqual([self.ask(f"q{number}") for number in range(100)], [None] * 100)
        self.assertEqual(len(self.agent.requests), 4)

    def test_a_registry_that_is_back_is_heard_and_then_asked_by_all(self) -> None:
        for platform_id in ("p1", "p2", "p3"):
            self.wait_in_vain(platform_id)
        self.assertIsNone(self.ask("q"))
        self.back(-1)
        self.assertEqual(self.ask("q"), "suspended")
        self.assertEqual(self.ledger.current, {})
        waiting = [self.ask("r"), self.ask("s")]
        self.back(-2)
        self.back(-1)
        self.assertEqual([self.successResultOf(status) for status in waiting], ["suspended", "suspended"])

    def test_a_platform_that_was_not_answered_for_is_learnt_beside_the_requests(self) -> None:
        self.wait_in_vain("p1")
        self.clock.advance(1)
        self.assertIsNone(self.ask("p1"))
        self.back(-1)
        self.assertEqual(self.ask("p1"), "suspended")
