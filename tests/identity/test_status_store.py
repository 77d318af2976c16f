"""What is known of the registry outlives the configuration."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.status_store import StatusStore
from nnogw.settings import LifecycleSettings
from tests.identity.doubles import ManualAgent, ReadableLedger, ScriptedService, an_exchange


class StatusStoreTests(SynchronousTestCase):
    """A store, and the policies of several configurations one after another, each with a registry of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = ReadableLedger()
        self.store = StatusStore(LifecycleSettings(), clock=self.clock, ledger=self.ledger)
        self.change()

    def change(self, agent: Any = None, **settings: Any) -> None:
        """Let another configuration take over; its registry says "active", unless there is an `agent`."""
        self.registry = ScriptedService()
        self.registry.answers({"status": "active"})
        lifecycle = LifecycleSettings(**settings)
        self.statuses = PlatformStatuses(agent or self.registry.agent(), lifecycle, self.store, clock=self.clock)
        self.store.bound(lifecycle)

    def ask(self, platform_id: str = "p1") -> str | Deferred[str | None] | None:
        return self.statuses.status(platform_id, an_exchange())

    def asked(self, platform_id: str = "p1") -> Deferred[str | None]:
        """Ask for what is not in memory."""
        status = self.ask(platform_id)
        assert isinstance(status, Deferred), status
        return status

    def test_what_one_policy_has_learnt_the_next_one_knows(self) -> None:
        """For as long as it was learnt for; another life counts for the next answer."""
        self.assertEqual(self.successResultOf(self.asked()), "active")
        self.change(ttl=5)
        self.clock.advance(29)
        self.assertEqual((self.ask(), self.registry.asked), ("active", []))
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(self.asked()), "active")
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(self.asked()), "active")
        self.assertEqual(len(self.registry.asked), 2)

    def test_a_question_that_one_policy_has_asked_is_not_asked_again_by_the_next(self) -> None:
        agent = ManualAgent()
        self.change(agent)
        before = self.asked()
        self.change()
        after = self.asked()
        self.registry.agent().request(b"GET", b"http://registry/p1").chainDeferred(agent.requests[0])
        self.assertEqual([self.successResultOf(status) for status in (before, after)], ["active", "active"])
        self.assertEqual((len(self.registry.asked), self.ask()), (1, "active"))

    def test_with_a_lower_bound_what_was_not_used_for_the_longest_time_goes(self) -> None:
        for platform_id in ("p1", "p2", "p3"):
            self.asked(platform_id)
        self.ask("p1")
        self.change(max_entries=2)
        self.assertEqual([self.ask(platform_id) for platform_id in ("p1", "p3")], ["active", "active"])
        self.assertIsInstance(self.ask("p2"), Deferred)

    def test_of_another_registry_nothing_is_known(self) -> None:
        """Neither statuses, nor what the one before is still being asked, nor that it was down."""
        agent = ManualAgent()
        self.asked("p1")
        self.change(agent)
        before = self.asked("p2")
        for platform_id in ("q1", "q2", "q3"):
            status = self.asked(platform_id)
            agent.requests[-1].errback(ConnectionRefusedError())
            self.assertIsNone(self.successResultOf(status))
        self.assertEqual(set(self.ledger.current), {("registry-outage", "registry"), ("platform-status-unknown", "registry")})
        self.store.start_anew()
        self.assertEqual(self.ledger.current, {})
        self.change()
        self.registry.answers({"status": "suspended"})
        self.assertEqual([self.successResultOf(self.asked(platform_id)) for platform_id in ("p1", "q1")], ["suspended", "suspended"])
        ScriptedService(b'{"status": "active"}').agent().request(b"GET", b"http://registry/p2").chainDeferred(agent.requests[0])
        self.assertEqual(self.successResultOf(before), "active")
        self.assertEqual(self.successResultOf(self.asked("p2")), "suspended")
