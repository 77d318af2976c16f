"""A verdict is kept for a while, never for too long, and never for a credential's neighbour."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import AuthUnavailable
from nnogw.exchange import Identity
from nnogw.identity.verdicts import VerdictCache
from nnogw.interfaces import Verdict
from nnogw.settings import VerdictCacheSettings
from tests.identity.doubles import ManualJudge, ReadableLedger, an_exchange

ADA = Identity("session", "ada", platform_id="p1")
BOB = Identity("session", "bob", platform_id="p1")
EVE = Identity("session", "eve", platform_id="p2")
OUTAGE = ("iam-outage", "iam")
STALE = ("stale-verdicts", "iam")


class VerdictCacheTestCase(SynchronousTestCase):
    """A cache before a judge that the test answers for, at jitter's middle: lives are what the settings say."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.wall = 1_700_000_000.0
        self.jitter = 0.5
        self.judge = ManualJudge()
        self.ledger = ReadableLedger()
        self.cache = self.a_cache()

    def a_cache(self, **settings: Any) -> VerdictCache:
        return VerdictCache(
            VerdictCacheSettings(**settings),
            self.judge,
            clock=self.clock,
            ledger=self.ledger,
            now=lambda: self.wall,
            jitter=lambda: self.jitter,
        )

    def ask(self, token: bytes = b"token", kind: str = "session") -> Verdict | Deferred[Verdict]:
        return (self.cache.session if kind == "session" else self.cache.api_key)(token, an_exchange())

    def asked(self, token: bytes = b"token", kind: str = "session") -> Deferred[Verdict]:
        """Ask for what is not in memory."""
        verdict = self.ask(token, kind)
        assert isinstance(verdict, Deferred), verdict
        return verdict

    def learn(self, identity: Identity | None, token: bytes = b"token", kind: str = "session") -> None:
        """Have the cache ask, and answer `identity`."""
        verdict = self.asked(token, kind)
        self.judge.answers[-1].callback(identity)
        self.assertEqual(self.successResultOf(verdict), Verdict(identity, "miss"))

    def fail_once(self, token: bytes = b"token", reason: str = "away") -> Deferred[Verdict]:
        verdict = self.asked(token)
        self.judge.answers[-1].errback(AuthUnavailable(reason=reason))
        return verdict

    def assertKept(self, identity: Identity | None, token: bytes = b"token", kind: str = "session") -> None:
        self.assertEqual(self.ask(token, kind), Verdict(identity, "hit"))

    def assertNotKept(self, token: bytes = b"token", kind: str = "session") -> None:
        """Ask, and answer with an outage, which leaves nothing behind."""
        verdict = self.ask(token, kind)
        assert isinstance(verdict, Deferred), verdict
        self.judge.answers[-1].errback(AuthUnavailable())
        self.failureResultOf(verdict, AuthUnavailable)


class LifeTests(VerdictCacheTestCase):
    """How long a verdict lives."""

    def test_a_valid_verdict_lives_for_its_ttl(self) -> None:
        self.learn(ADA)
        self.clock.advance(59.9)
        self.assertKept(ADA)
        self.clock.advance(0.1)
        self.assertNotKept()
        self.assertEqual(self.judge.asked, [("session", b"token")] * 2)

    def test_what_is_remembered_of_a_session_is_told_without_a_question(self) -> None:
        """While it is fresh, and only if it is good: neither a refusal nor an API key's verdict counts."""
        self.assertIsNone(self.cache.remembered_session(b"token"))
        self.learn(ADA)
        self.learn(None, b"refused")
        self.learn(BOB, b"key", "apikey")
        self.assertEqual(self.cache.remembered_session(b"token"), Verdict(ADA, "hit"))
        self.assertEqual(self.cache.hits, 1)
        for token in (b"refused", b"key"):
            self.assertIsNone(self.cache.remembered_session(token))
        self.clock.advance(60)
        self.assertIsNone(self.cache.remembered_session(b"token"))
        self.assertEqual(len(self.judge.answers), 3)

    def test_a_refusal_lives_for_its_own_ttl(self) -> None:
        self.learn(None)
        self.clock.advance(9.9)
        self.assertKept(None)
        self.clock.advance(0.1)
        self.assertNotKept()

    def test_lives_differ_by_a_tenth_either_way(self) -> None:
        """So that what was learnt together does not all end together."""
        for jitter, life in ((0.0, 54), (0.25, 57), (0.999999, 65.9999)):
            self.cache, self.jitter = self.a_cache(), jitter
            self.learn(ADA)
            self.clock.advance(life - 0.01)
            self.assertKept(ADA)
            self.clock.advance(0.02)
            self.assertNotKept()

    def test_a_verdict_never_outlives_its_session(self) -> None:
        self.learn(Identity("session", "ada", expires_at=self.wall + 5))
        self.clock.advance(4.9)
        self.assertIsInstance(self.ask(), Verdict)
        self.clock.advance(0.1)
        self.assertNotKept()

    def test_a_session_that_is_over_is_not_kept(self) -> None:
        self.learn(Identity("session", "ada", expires_at=self.wall))
        self.assertEqual(self.cache.entries, 0)

    def test_a_long_session_does_not_lengthen_a_life(self) -> None:
        self.learn(Identity("session", "ada", expires_at=self.wall + 86_400))
        self.clock.advance(60)
        self.assertNotKept()

    def test_a_wall_clock_that_is_set_back_lengthens_no_life(self) -> None:
        self.learn(Identity("session", "ada", expires_at=self.wall + 5))
        self.wall -= 3600
        self.clock.advance(5)
        self.assertNotKept()

    def test_an_outage_is_never_kept(self) -> None:
        self.failureResultOf(self.fail_once(), AuthUnavailable)
        self.learn(ADA)
        self.assertKept(ADA)

    def test_no_ttl_keeps_nothing(self) -> None:
        self.cache = self.a_cache(ttl=0, negative_ttl=0)
        self.learn(ADA)
        self.learn(None)
        self.assertNotKept()
        self.assertEqual((self.cache.entries, self.cache.negative_entries), (0, 0))

    def test_a_new_verdict_replaces_its_opposite(self) -> None:
        self.learn(None)
        self.clock.advance(10)
        self.learn(ADA)
        self.assertEqual((self.cache.entries, self.cache.negative_entries), (1, 0))
        self.clock.advance(60)
        self.learn(None)
        self.assertEqual((self.cache.entries, self.cache.negative_entries), (0, 1))
        self.assertKept(None)

    def test_a_session_and_an_api_key_of_one_spelling_are_two_credentials(self) -> None:
        self.learn(ADA, b"nno_x")
        self.learn(None, b"nno_x", "apikey")
        self.assertKept(ADA, b"nno_x")
        self.assertKept(None, b"nno_x", "apikey")


class SingleFlightTests(VerdictCacheTestCase):
    """Many requests with one new credential."""

    def test_a_thousand_requests_cost_one_call(self) -> None:
        verdicts = [self.asked() for _ in range(1000)]
        self.judge.answers[0].callback(ADA)
        self.assertEqual({self.successResultOf(verdict).identity for verdict in verdicts}, {ADA})
        self.assertEqual((self.cache.calls, self.cache.misses), (1, 1000))

    def test_one_who_leaves_does_not_disturb_the_others(self) -> None:
        first, second = self.asked(), self.asked()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.judge.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(second).identity, ADA)

    def test_when_all_have_left_the_verdict_is_kept_all_the_same(self) -> None:
        verdict = self.asked()
        verdict.cancel()
        self.failureResultOf(verdict, CancelledError)
        self.judge.answers[0].callback(ADA)
        self.assertKept(ADA)

    def test_an_outage_is_everyones_and_the_next_request_asks_again(self) -> None:
        verdicts = [self.asked(), self.asked()]
        self.judge.answers[0].errback(AuthUnavailable())
        for verdict in verdicts:
            self.failureResultOf(verdict, AuthUnavailable)
        self.learn(ADA)
        self.assertEqual((self.cache.calls, self.cache.failures), (2, 1))


class OutageTests(VerdictCacheTestCase):
    """What happens while IAM is away."""

    def test_the_ledger_knows_when_an_outage_begins_and_ends(self) -> None:
        self.failureResultOf(self.fail_once(reason="answered 500"), AuthUnavailable)
        self.assertEqual(self.ledger.current, {OUTAGE: "answered 500"})
        self.learn(None)
        self.assertEqual(self.ledger.current, {})

    def test_by_default_no_verdict_outlives_its_life(self) -> None:
        self.learn(ADA)
        self.clock.advance(60)
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_stale_verdict_may_bridge_an_outage(self) -> None:
        """IAM is asked each time, so that the first answer after the outage counts."""
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA)
        self.clock.advance(60)
        self.assertEqual(self.successResultOf(self.fail_once()), Verdict(ADA, "stale"))
        self.assertEqual(set(self.ledger.current), {OUTAGE, STALE})
        self.clock.advance(29.9)
        self.assertEqual(self.successResultOf(self.fail_once()), Verdict(ADA, "stale"))
        self.assertEqual((self.cache.stale, self.cache.failures), (2, 2))
        self.learn(None)
        self.assertEqual(self.ledger.current, {})
        self.assertKept(None)

    def test_a_stale_verdict_ends_too(self) -> None:
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA)
        self.clock.advance(90)
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_stale_verdict_never_outlives_its_session(self) -> None:
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(Identity("session", "ada", expires_at=self.wall + 70))
        self.clock.advance(69.9)
        self.assertEqual(self.successResultOf(self.fail_once()).cache, "stale")
        self.clock.advance(0.1)
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_refusal_bridges_nothing(self) -> None:
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(None)
        self.clock.advance(10)
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_bug_is_not_an_outage(self) -> None:
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA)
        self.clock.advance(60)
        verdict = self.asked()
        self.judge.answers[-1].errback(ZeroDivisionError())
        self.failureResultOf(verdict, ZeroDivisionError)
        self.assertEqual((self.ledger.current, self.cache.failures), ({}, 0))


class ForgettingTests(VerdictCacheTestCase):
    """Verdicts that are withdrawn."""

    def test_a_forgotten_credential_is_asked_about_again(self) -> None:
        self.learn(ADA)
        self.learn(BOB, b"other")
        self.cache.forget("session", b"token")
        self.assertNotKept()
        self.assertKept(BOB, b"other")

    def test_an_api_key_is_forgotten_as_an_api_key(self) -> None:
        self.learn(ADA, b"nno_x", "apikey")
        self.cache.forget("session", b"nno_x")
        self.assertKept(ADA, b"nno_x", "apikey")
        self.cache.forget("apikey", b"nno_x")
        self.assertNotKept(b"nno_x", "apikey")

    def test_a_forgotten_refusal_is_asked_about_again(self) -> None:
        self.learn(None)
        self.cache.forget("session", b"token")
        self.assertNotKept()

    def test_a_forgotten_verdict_bridges_no_outage(self) -> None:
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA)
        self.cache.forget("session", b"token")
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_verdict_that_comes_after_the_sign_out_is_not_kept(self) -> None:
        """It was asked for before; who asks after the sign-out does not get it."""
        before = self.asked()
        self.cache.forget("session", b"token")
        after = self.asked()
        self.judge.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(before).identity, ADA)
        self.assertNoResult(after)
        self.judge.answers[1].callback(None)
        self.assertIsNone(self.successResultOf(after).identity)
        self.assertKept(None)

    def test_a_late_verdict_does_not_undo_a_newer_one(self) -> None:
        before = self.asked()
        self.cache.forget("session", b"token")
        self.learn(None)
        self.judge.answers[0].callback(ADA)
        self.successResultOf(before)
        self.assertKept(None)

    def test_all_verdicts_of_a_user_can_be_purged(self) -> None:
        self.learn(ADA, b"1")
        self.learn(ADA, b"2")
        self.learn(BOB, b"3")
        self.assertEqual(self.cache.forget_user("ada"), 2)
        self.assertNotKept(b"1")
        self.assertKept(BOB, b"3")

    def test_all_verdicts_of_a_platform_can_be_purged(self) -> None:
        for token, identity in ((b"1", ADA), (b"2", BOB), (b"3", EVE)):
            self.learn(identity, token)
        self.assertEqual(self.cache.forget_platform("p1"), 2)
        self.assertKept(EVE, b"3")

    def test_everything_can_be_purged(self) -> None:
        self.learn(ADA, b"1")
        self.learn(None, b"2")
        self.assertEqual(self.cache.forget_all(), 2)
        self.assertEqual((self.cache.entries, self.cache.negative_entries), (0, 0))

    def test_a_purge_also_reaches_verdicts_on_their_way(self) -> None:
        purges = (lambda: self.cache.forget_user("ada"), lambda: self.cache.forget_platform("p1"), self.cache.forget_all)
        for number, purge in enumerate(purges):
            token = b"token-%d" % number
            verdict = self.asked(token)
            self.assertEqual(purge(), 0)
            self.judge.answers[-1].callback(ADA)
            self.successResultOf(verdict)
            self.assertNotKept(token)


class BoundTests(VerdictCacheTestCase):
    """What an attacker cannot do."""

    def test_random_tokens_neither_fill_the_memory_nor_push_users_out(self) -> None:
        self.cache = self.a_cache(max_entries=100, max_negative_entries=1000)
        self.learn(ADA, b"a real user")
        for number in range(100_000):
            self.cache.session(b"%d" % number, an_exchange_once)
            self.judge.answers.pop().callback(None)
        self.assertEqual((self.cache.entries, self.cache.negative_entries), (1, 1000))
        self.assertEqual((self.cache.evictions, self.cache.refusals), (99_000, 100_000))
        self.assertKept(ADA, b"a real user")

    def test_valid_verdicts_are_bounded_and_the_least_used_goes(self) -> None:
        self.cache = self.a_cache(max_entries=2)
        self.learn(ADA, b"1")
        self.learn(ADA, b"2")
        self.assertKept(ADA, b"1")
        self.learn(ADA, b"3")
        self.assertKept(ADA, b"1")
        self.assertNotKept(b"2")

    def test_no_credential_is_kept_in_memory(self) -> None:
        """Neither as a key nor within anything else that the cache holds on to."""
        token = b"a-token-that-" + b"nobody-else-has"
        self.learn(ADA, token)
        self.learn(None, token, "apikey")
        self.judge.asked.clear()
        held: set[int] = set()
        frontier: list[Any] = [self.cache]
        while frontier:
            thing = frontier.pop()
            if id(thing) in held or thing in (self.judge, self.clock) or callable(thing):
                continue
            held.add(id(thing))
            if isinstance(thing, (bytes, str)):
                self.assertNotIn("nobody-else-has", str(thing))
            frontier.extend(gc.get_referents(thing))
        self.assertNotIn("nobody-else-has", repr(vars(self.cache)))

    def test_digests_differ_from_process_to_process(self) -> None:
        """Each has a random key; processes that share a secret are given it."""
        digests = set()
        for key in (b"", b"", b"shared", b"shared"):
            cache = VerdictCache(VerdictCacheSettings(), self.judge, clock=self.clock, ledger=self.ledger, key=key)
            cache.session(b"token", an_exchange())
            digests.update(cache._flights._flights)
        self.assertEqual(len(digests), 3)

    def test_hits_and_misses_are_counted(self) -> None:
        self.learn(ADA)
        self.assertKept(ADA)
        self.learn(None, b"other")
        self.assertKept(None, b"other")
        self.assertEqual((self.cache.hits, self.cache.misses, self.cache.refusals, self.cache.calls), (2, 2, 1, 2))


an_exchange_once = an_exchange()
