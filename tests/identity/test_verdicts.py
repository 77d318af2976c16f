"""A verdict is kept for a while, never for too long, and never for a credential's neighbour."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import AuthUnavailable, RateLimited
from nnogw.exchange import Identity
from nnogw.identity.failure_limit import FailureLimit
from nnogw.identity.iam import IamSilent
from nnogw.identity.verdict_store import VerdictStore
from nnogw.identity.verdicts import VerdictCache
from nnogw.interfaces import Verdict
from nnogw.limiting.memory import MemoryStore
from nnogw.settings import AuthSettings, VerdictCacheSettings
from tests.identity.doubles import ManualAuthenticator, ReadableLedger, an_exchange

ADA = Identity("session", "ada", platform_id="p1")
BOB = Identity("session", "bob", platform_id="p1")
EVE = Identity("session", "eve", platform_id="p2")
OUTAGE = ("iam-outage", "iam")
STALE = ("stale-verdicts", "iam")


class VerdictCacheTestCase(SynchronousTestCase):
    """A cache before an authenticator that the test answers for, at jitter's middle: lives are what the settings say."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.wall = 1_700_000_000.0
        self.jitter = 0.5
        self.authenticator = ManualAuthenticator()
        self.ledger = ReadableLedger()
        self.cache = self.a_cache()

    def a_cache(self, **settings: Any) -> VerdictCache:
        """Return a cache with a store of its own, which is `self.store` from now on."""
        return self.a_policy(AuthSettings(cache=VerdictCacheSettings(**settings)))

    def a_policy(self, auth: AuthSettings, **collaborators: Any) -> VerdictCache:
        """Return a cache that keeps to `auth`."""
        self.store = VerdictStore(auth, clock=self.clock, ledger=self.ledger)
        return VerdictCache(
            auth,
            self.authenticator,
            self.store,
            clock=self.clock,
            now=lambda: self.wall,
            jitter=lambda: self.jitter,
            **collaborators,
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
        self.authenticator.answers[-1].callback(identity)
        self.assertEqual(self.successResultOf(verdict), Verdict(identity, "miss"))

    def fail_once(self, token: bytes = b"token", reason: str = "away") -> Deferred[Verdict]:
        verdict = self.asked(token)
        self.authenticator.answers[-1].errback(AuthUnavailable(reason=reason))
        return verdict

    def assertKept(self, identity: Identity | None, token: bytes = b"token", kind: str = "session") -> None:
        self.assertEqual(self.ask(token, kind), Verdict(identity, "hit"))

    def assertNotKept(self, token: bytes = b"token", kind: str = "session") -> None:
        """Ask, and answer with an outage, which leaves nothing behind."""
        verdict = self.ask(token, kind)
        assert isinstance(verdict, Deferred), verdict
        self.authenticator.answers[-1].errback(AuthUnavailable())
        self.failureResultOf(verdict, AuthUnavailable)


class LifeTests(VerdictCacheTestCase):
    """How long a verdict lives."""

    def test_a_valid_verdict_lives_for_its_ttl(self) -> None:
        self.learn(ADA)
        self.clock.advance(59.9)
        self.assertKept(ADA)
        self.clock.advance(0.1)
        self.assertNotKept()
        self.assertEqual(self.authenticator.asked, [("session", b"token")] * 2)

    def test_what_is_remembered_of_a_session_is_told_without_a_question(self) -> None:
        """While it is fresh, and only if it is good: neither a refusal nor an API key's verdict counts."""
        self.assertIsNone(self.cache.remembered_session(b"token"))
        self.learn(ADA)
        self.learn(None, b"refused")
        self.learn(BOB, b"key", "apikey")
        self.assertEqual(self.cache.remembered_session(b"token"), Verdict(ADA, "hit"))
        self.assertEqual(self.store.hits, 1)
        for token in (b"refused", b"key"):
            self.assertIsNone(self.cache.remembered_session(token))
        self.clock.advance(60)
        self.assertIsNone(self.cache.remembered_session(b"token"))
        self.assertEqual(len(self.authenticator.answers), 3)

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
        self.assertEqual(self.store.entries, 0)

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
        self.assertEqual((self.store.entries, self.store.negative_entries), (0, 0))

    def test_a_new_verdict_replaces_its_opposite(self) -> None:
        self.learn(None)
        self.clock.advance(10)
        self.learn(ADA)
        self.assertEqual((self.store.entries, self.store.negative_entries), (1, 0))
        self.clock.advance(60)
        self.learn(None)
        self.assertEqual((self.store.entries, self.store.negative_entries), (0, 1))
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
        self.authenticator.answers[0].callback(ADA)
        self.assertEqual({self.successResultOf(verdict).identity for verdict in verdicts}, {ADA})
        self.assertEqual((self.store.calls, self.store.misses), (1, 1000))

    def test_one_who_leaves_does_not_disturb_the_others(self) -> None:
        first, second = self.asked(), self.asked()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.authenticator.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(second).identity, ADA)

    def test_when_all_have_left_the_verdict_is_kept_all_the_same(self) -> None:
        verdict = self.asked()
        verdict.cancel()
        self.failureResultOf(verdict, CancelledError)
        self.authenticator.answers[0].callback(ADA)
        self.assertKept(ADA)

    def test_an_outage_is_everyones_and_the_next_request_asks_again(self) -> None:
        verdicts = [self.asked(), self.asked()]
        self.authenticator.answers[0].errback(AuthUnavailable())
        for verdict in verdicts:
            self.failureResultOf(verdict, AuthUnavailable)
        self.learn(ADA)
        self.assertEqual((self.store.calls, self.store.failures), (2, 1))


class OutageTests(VerdictCacheTestCase):
    """What happens while IAM is away."""

    def test_the_ledger_knows_when_an_outage_begins_and_ends(self) -> None:
        for token in (b"1", b"2", b"3"):
            self.assertEqual(self.ledger.current, {})
            self.failureResultOf(self.fail_once(token, "answered 500"), AuthUnavailable)
        self.assertEqual(self.ledger.current, {OUTAGE: "answered 500"})
        self.learn(None)
        self.assertEqual(self.ledger.current, {})

    def test_one_failing_token_among_good_ones_is_no_outage(self) -> None:
        """Neither where IAM is asked about the good ones nor where they are remembered."""
        for number in range(50):
            self.failureResultOf(self.fail_once(b"bad", "answered 500"), AuthUnavailable)
            self.assertEqual(self.ledger.current, {})
            if number < 25:
                self.learn(ADA, b"good-%d" % number)

    def test_by_default_no_verdict_outlives_its_life(self) -> None:
        self.learn(ADA)
        self.clock.advance(60)
        self.failureResultOf(self.fail_once(), AuthUnavailable)

    def test_a_stale_verdict_may_bridge_an_outage(self) -> None:
        """The request that finds the outage out waits for IAM; later ones do not, and IAM is asked beside them, once a second."""
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA)
        self.clock.advance(60)
        self.assertEqual(self.successResultOf(self.fail_once()), Verdict(ADA, "stale"))
        for _ in range(10):
            self.assertEqual(self.ask(), Verdict(ADA, "stale"))
        self.assertEqual(len(self.authenticator.answers), 2)
        self.clock.advance(1)
        for _ in range(10):
            self.assertEqual(self.ask(), Verdict(ADA, "stale"))
        self.assertEqual(len(self.authenticator.answers), 3)
        self.assertEqual((self.store.stale, self.store.failures), (21, 1))
        self.authenticator.answers[-1].callback(None)
        self.assertKept(None)

    def test_while_iam_is_known_to_be_down_no_stale_verdict_waits(self) -> None:
        """Not even the first request of a session."""
        self.cache = self.a_cache(stale_if_error=30)
        for number in range(20):
            self.learn(ADA, b"%d" % number)
        self.clock.advance(60)
        self.go_down()
        asked = len(self.authenticator.answers)
        for number in range(20):
            self.assertEqual(self.ask(b"%d" % number), Verdict(ADA, "stale"))
        self.assertEqual(len(self.authenticator.answers), asked + 1)
        self.assertEqual(set(self.ledger.current), {OUTAGE, STALE})
        self.authenticator.answers[-1].callback(ADA)
        self.assertEqual(self.ledger.current, {})
        self.assertIsInstance(self.ask(b"19"), Deferred)

    def test_a_probe_that_fails_is_followed_by_another_after_a_pause(self) -> None:
        """Whose session it is about does not matter."""
        self.cache = self.a_cache(stale_if_error=30)
        self.learn(ADA, b"1")
        self.learn(ADA, b"2")
        self.clock.advance(60)
        self.go_down()
        asked = len(self.authenticator.answers)
        self.ask(b"1")
        self.authenticator.answers[-1].errback(IamSilent())
        self.ask(b"2")
        self.assertEqual(len(self.authenticator.answers), asked + 1)
        self.clock.advance(1)
        self.ask(b"2")
        self.ask(b"1")
        self.assertEqual(len(self.authenticator.answers), asked + 2)

    def test_while_iam_is_known_to_be_down_few_new_credentials_wait_for_it(self) -> None:
        """The others are told at once; the first response is heard, and all may ask again."""
        self.go_down()
        waiting = [self.asked(b"new-%d" % number) for number in range(10)]
        for verdict in waiting[2:]:
            self.failureResultOf(verdict, AuthUnavailable)
        self.assertNoResult(waiting[0])
        self.authenticator.answers[-1].callback(ADA)
        self.assertEqual(self.successResultOf(waiting[1]).identity, ADA)
        later = [self.asked(b"later-%d" % number) for number in range(10)]
        for verdict in later:
            self.assertNoResult(verdict)

    def test_a_source_that_fails_quickly_keeps_nobody_out_when_it_is_back(self) -> None:
        """Whoever asks is let ask, as nobody else waits."""
        self.go_down()
        self.failureResultOf(self.fail_once(b"new"), AuthUnavailable)
        self.learn(ADA, b"new")

    def go_down(self) -> None:
        """Let IAM be silent until that is known."""
        for number in range(3):
            verdict = self.asked(b"silent-%d" % number)
            self.authenticator.answers[-1].errback(IamSilent(reason="no response within 2 s"))
            self.failureResultOf(verdict, AuthUnavailable)

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
        self.authenticator.answers[-1].errback(ZeroDivisionError())
        self.failureResultOf(verdict, ZeroDivisionError)
        self.assertEqual((self.ledger.current, self.store.failures), ({}, 0))


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
        self.authenticator.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(before).identity, ADA)
        self.assertNoResult(after)
        self.authenticator.answers[1].callback(None)
        self.assertIsNone(self.successResultOf(after).identity)
        self.assertKept(None)

    def test_a_late_verdict_does_not_undo_a_newer_one(self) -> None:
        before = self.asked()
        self.cache.forget("session", b"token")
        self.learn(None)
        self.authenticator.answers[0].callback(ADA)
        self.successResultOf(before)
        self.assertKept(None)

    def test_all_verdicts_of_a_user_can_be_purged(self) -> None:
        self.learn(ADA, b"1")
        self.learn(ADA, b"2")
        self.learn(BOB, b"3")
        self.assertEqual(self.store.forget_user("ada"), 2)
        self.assertNotKept(b"1")
        self.assertKept(BOB, b"3")

    def test_the_owner_of_a_credential_loses_every_verdict(self) -> None:
        """One session may have several forms of token; an API key of the same user goes along."""
        self.learn(ADA, b"1")
        self.learn(ADA, b"2")
        self.learn(Identity("apikey", "ada", platform_id="p1"), b"nno_3", "apikey")
        self.learn(BOB, b"4")
        self.assertEqual(self.cache.forget_owner("session", b"1"), 3)
        for token, kind in ((b"1", "session"), (b"2", "session"), (b"nno_3", "apikey")):
            self.assertNotKept(token, kind)
        self.assertKept(BOB, b"4")

    def test_the_owner_may_be_known_though_the_credential_is_not_in_memory(self) -> None:
        self.learn(ADA, b"1")
        self.assertEqual(self.cache.forget_owner("session", b"unknown"), 0)
        self.assertKept(ADA, b"1")
        self.assertEqual(self.cache.forget_owner("session", b"unknown", "ada"), 1)
        self.assertNotKept(b"1")

    def test_a_credential_without_a_user_loses_its_own_verdict(self) -> None:
        """A refusal too, which may be out of date."""
        self.learn(Identity("apikey", platform_id="p1"), b"nno_1", "apikey")
        self.learn(Identity("apikey", platform_id="p1"), b"nno_2", "apikey")
        self.learn(None, b"refused")
        self.assertEqual(self.cache.forget_owner("apikey", b"nno_1"), 1)
        self.assertEqual(self.cache.forget_owner("session", b"refused"), 0)
        self.assertNotKept(b"nno_1", "apikey")
        self.assertKept(Identity("apikey", platform_id="p1"), b"nno_2", "apikey")
        self.assertNotKept(b"refused")

    def test_a_verdict_that_is_on_its_way_is_not_kept_when_its_user_is_forgotten(self) -> None:
        """It was asked for before the sessions ended; who asks after that waits for a new one."""
        self.learn(ADA, b"1")
        before = self.asked(b"2")
        self.cache.forget_owner("session", b"1")
        after = self.asked(b"2")
        self.authenticator.answers[1].callback(ADA)
        self.assertEqual(self.successResultOf(before).identity, ADA)
        self.assertNoResult(after)
        self.authenticator.answers[2].callback(None)
        self.assertIsNone(self.successResultOf(after).identity)
        self.assertKept(None, b"2")

    def test_what_is_known_of_users_is_as_small_as_what_is_known_of_tokens(self) -> None:
        """However an entry leaves: evicted, replaced, dropped."""
        self.cache = self.a_cache(max_entries=2)
        for number in range(10):
            self.learn(Identity("session", f"user-{number}"), b"%d" % number)
        self.assertEqual(set(self.store._of_user), {"user-8", "user-9"})
        self.clock.advance(60)
        self.learn(ADA, b"9")
        self.assertEqual(set(self.store._of_user), {"user-8", "ada"})
        self.cache.forget("session", b"9")
        self.assertEqual(set(self.store._of_user), {"user-8"})
        self.store.forget_all()
        self.assertEqual(self.store._of_user, {})

    def test_all_verdicts_of_a_platform_can_be_purged(self) -> None:
        for token, identity in ((b"1", ADA), (b"2", BOB), (b"3", EVE)):
            self.learn(identity, token)
        self.assertEqual(self.store.forget_platform("p1"), 2)
        self.assertKept(EVE, b"3")

    def test_everything_can_be_purged(self) -> None:
        self.learn(ADA, b"1")
        self.learn(None, b"2")
        self.assertEqual(self.store.forget_all(), 2)
        self.assertEqual((self.store.entries, self.store.negative_entries), (0, 0))

    def test_a_purge_also_reaches_verdicts_on_their_way(self) -> None:
        purges = (lambda: self.store.forget_user("ada"), lambda: self.store.forget_platform("p1"), self.store.forget_all)
        for number, purge in enumerate(purges):
            token = b"token-%d" % number
            verdict = self.asked(token)
            self.assertEqual(purge(), 0)
            self.authenticator.answers[-1].callback(ADA)
            self.successResultOf(verdict)
            self.assertNotKept(token)


class BoundTests(VerdictCacheTestCase):
    """What an attacker cannot do."""

    def test_random_tokens_neither_fill_the_memory_nor_push_users_out(self) -> None:
        self.cache = self.a_cache(max_entries=100, max_negative_entries=1000)
        self.learn(ADA, b"a real user")
        for number in range(100_000):
            self.cache.session(b"%d" % number, an_exchange_once)
            self.authenticator.answers.pop().callback(None)
        self.assertEqual((self.store.entries, self.store.negative_entries), (1, 1000))
        self.assertEqual((self.store.evictions, self.store.refusals), (99_000, 100_000))
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
        self.authenticator.asked.clear()
        held: set[int] = set()
        frontier: list[Any] = [self.cache]
        while frontier:
            thing = frontier.pop()
            if id(thing) in held or thing in (self.authenticator, self.clock) or callable(thing):
                continue
            held.add(id(thing))
            if isinstance(thing, (bytes, str)):
                self.assertNotIn("nobody-else-has", str(thing))
            frontier.extend(gc.get_referents(thing))
        self.assertNotIn("nobody-else-has", repr(vars(self.store)))

    def test_digests_differ_from_process_to_process(self) -> None:
        """Each has a random key; processes that share a secret are given it."""
        digests = set()
        for key in (b"", b"", b"shared", b"shared"):
            store = VerdictStore(AuthSettings(), clock=self.clock, ledger=self.ledger, key=key)
            digests.add(store.digest("session", b"token"))
        self.assertEqual(len(digests), 3)

    def test_hits_and_misses_are_counted(self) -> None:
        self.learn(ADA)
        self.assertKept(ADA)
        self.learn(None, b"other")
        self.assertKept(None, b"other")
        self.assertEqual((self.store.hits, self.store.misses, self.store.refusals, self.store.calls), (2, 2, 1, 2))


class GuessingTests(VerdictCacheTestCase):
    """Random tokens of one address."""

    def a_guess(self, token: bytes, ip: str = "192.0.2.66") -> Deferred[Verdict]:
        exchange = an_exchange()
        exchange.ip = ip
        verdict = self.cache.session(token, exchange)
        assert isinstance(verdict, Deferred), verdict
        return verdict

    def limited(self, limit: int = 0, stale_if_error: float = 0, **calls: Any) -> None:
        auth = AuthSettings(cache=VerdictCacheSettings(stale_if_error=stale_if_error), **calls)
        self.cache = self.a_policy(auth, failures=FailureLimit(limit, 60, MemoryStore(100, self.clock.seconds)))

    def test_they_hold_up_nobody_else(self) -> None:
        """Sixteen of them are under way; the others wait, and another address's new token does not."""
        self.limited()
        guesses = [self.a_guess(b"guess-%d" % number) for number in range(800)]
        self.assertEqual((len(self.authenticator.answers), self.store.queue.waiting), (16, 784))
        good = self.a_guess(b"good", "192.0.2.1")
        self.authenticator.answers[-1].callback(ADA)
        self.assertEqual(self.successResultOf(good).identity, ADA)
        self.clock.advance(3)
        for guess in guesses[16:]:
            self.assertIn("no turn within 3 s", self.failureResultOf(guess, AuthUnavailable).value.reason)
        self.assertEqual(self.ledger.current, {})

    def test_the_addresses_of_an_ipv6_network_count_as_one(self) -> None:
        self.limited(max_calls_per_address=1)
        self.a_guess(b"1", "2001:db8::1")
        self.a_guess(b"2", "2001:db8::2")
        self.a_guess(b"3", "2001:db8:0:1::1")
        self.assertEqual([token for _, token in self.authenticator.asked], [b"1", b"3"])

    def test_who_leaves_gives_up_its_turn_if_nobody_else_waits_for_it(self) -> None:
        """The call of a token that others wait for is made all the same."""
        self.limited(max_calls_per_address=1)
        self.a_guess(b"first")
        alone, one, other = self.a_guess(b"alone"), self.a_guess(b"shared"), self.a_guess(b"shared")
        for leaver in (alone, one):
            leaver.cancel()
            self.failureResultOf(leaver, CancelledError)
        self.assertEqual(self.store.queue.waiting, 1)
        self.authenticator.answers[0].callback(None)
        self.assertEqual([token for _, token in self.authenticator.asked], [b"first", b"shared"])
        self.authenticator.answers[1].callback(ADA)
        self.assertEqual(self.successResultOf(other).identity, ADA)
        self.assertNoResult(self.a_guess(b"alone"))

    def test_a_call_that_waits_does_not_begin_when_iam_has_gone_down_meanwhile(self) -> None:
        """Else each would wait for IAM's time limit after it has waited for its turn."""
        self.limited(max_calls_per_address=1)
        guesses = [self.a_guess(b"guess-%d" % number) for number in range(10)]
        for number in range(3):
            self.authenticator.answers[number].errback(IamSilent(reason="no response within 2 s"))
        for guess in guesses:
            self.failureResultOf(guess, AuthUnavailable)
        self.assertEqual((len(self.authenticator.asked), self.store.queue.under_way, self.store.queue.waiting), (3, 0, 0))

    def test_a_stale_verdict_serves_where_no_turn_comes(self) -> None:
        """As in an outage: IAM cannot be asked."""
        self.limited(max_calls_per_address=1, stale_if_error=30)
        first = self.a_guess(b"known")
        self.authenticator.answers[0].callback(ADA)
        self.successResultOf(first)
        self.clock.advance(70)
        self.a_guess(b"guess")
        again = self.a_guess(b"known")
        self.clock.advance(3)
        self.assertEqual(self.successResultOf(again), Verdict(ADA, "stale"))

    def test_beyond_the_limit_of_failures_iam_is_not_asked(self) -> None:
        """Whoever is known goes on, from that address too; so do the others from theirs."""
        self.limited(3)
        known = self.a_guess(b"known")
        self.authenticator.answers[-1].callback(ADA)
        self.successResultOf(known)
        for number in range(3):
            guess = self.a_guess(b"guess-%d" % number)
            self.authenticator.answers[-1].callback(None)
            self.assertIsNone(self.successResultOf(guess).identity)
        error = self.failureResultOf(self.a_guess(b"guess-4"), RateLimited).value
        self.assertEqual(error.headers, ((b"Retry-After", b"60"),))
        self.assertEqual(self.store.calls, 4)
        exchange = an_exchange()
        exchange.ip = "192.0.2.66"
        self.assertEqual(self.cache.session(b"known", exchange), Verdict(ADA, "hit"))
        self.assertNoResult(self.a_guess(b"other", "192.0.2.1"))
        self.clock.advance(59.9)
        self.failureResultOf(self.a_guess(b"guess-5"), RateLimited)
        self.clock.advance(0.1)
        self.assertNoResult(self.a_guess(b"guess-5"))

    def test_a_credential_that_was_good_is_no_guess_when_its_life_is_over(self) -> None:
        """IAM is asked about it again, from an address that may ask about no other."""
        self.limited(1)
        known = self.a_guess(b"known")
        self.authenticator.answers[-1].callback(ADA)
        self.successResultOf(known)
        self.clock.advance(66)
        guess = self.a_guess(b"guess")
        self.authenticator.answers[-1].callback(None)
        self.successResultOf(guess)
        self.failureResultOf(self.a_guess(b"another"), RateLimited)
        known = self.a_guess(b"known")
        self.authenticator.answers[-1].callback(ADA)
        self.assertEqual(self.successResultOf(known).identity, ADA)

    def test_it_counts_for_guesses_that_wait_for_their_turn_too(self) -> None:
        """They came before the limit was reached, and are not asked about after it."""
        self.limited(3, max_calls_per_address=1)
        guesses = [self.a_guess(b"guess-%d" % number) for number in range(10)]
        for number in range(3):
            self.authenticator.answers[number].callback(None)
        for guess in guesses[3:]:
            self.failureResultOf(guess, RateLimited)
        self.assertEqual(len(self.authenticator.asked), 3)

    def test_a_refusal_that_is_remembered_is_no_further_guess(self) -> None:
        """A page that goes on with an expired token does not lock its office out."""
        self.limited(2)
        guess = self.a_guess(b"expired")
        self.authenticator.answers[-1].callback(None)
        self.successResultOf(guess)
        exchange = an_exchange()
        exchange.ip = "192.0.2.66"
        for _ in range(10):
            self.assertEqual(self.cache.session(b"expired", exchange), Verdict(None, "hit"))
        self.assertNoResult(self.a_guess(b"new"))


an_exchange_once = an_exchange()
