"""What is known of IAM outlives the configuration: one policy learns, and the next one knows."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import AuthUnavailable
from nnogw.exchange import Identity
from nnogw.identity.iam import IamSilent
from nnogw.identity.verdict_store import VerdictStore
from nnogw.identity.verdicts import VerdictCache
from nnogw.interfaces import Verdict
from nnogw.settings import AuthSettings, VerdictCacheSettings
from tests.identity.doubles import ManualAuthenticator, ReadableLedger, an_exchange

ADA = Identity("session", "ada", platform_id="p1")


class VerdictStoreTestCase(SynchronousTestCase):
    """A store, and the policies of several configurations one after another, each with an IAM that the test answers for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = ReadableLedger()
        self.store = VerdictStore(AuthSettings(), clock=self.clock, ledger=self.ledger)
        self.change()

    def change(self, **auth: Any) -> None:
        """Let another configuration take over."""
        settings = AuthSettings(**auth)
        self.iam = ManualAuthenticator()
        self.cache = VerdictCache(settings, self.iam, self.store, clock=self.clock, jitter=lambda: 0.5)
        self.store.bound(settings)

    def asked(self, token: bytes = b"token") -> Deferred[Verdict]:
        """Ask for what is not in memory."""
        verdict = self.cache.session(token, an_exchange())
        assert isinstance(verdict, Deferred), verdict
        return verdict

    def learn(self, identity: Identity | None, token: bytes = b"token") -> None:
        """Have IAM asked, and answer `identity`."""
        verdict = self.asked(token)
        self.iam.answers[-1].callback(identity)
        self.assertEqual(self.successResultOf(verdict), Verdict(identity, "miss"))

    def assertKept(self, identity: Identity | None, token: bytes = b"token") -> None:
        self.assertEqual(self.cache.session(token, an_exchange()), Verdict(identity, "hit"))

    def go_down(self) -> None:
        """Let IAM be silent until that is known."""
        for number in range(3):
            verdict = self.asked(b"silent-%d" % number)
            self.iam.answers[-1].errback(IamSilent(reason="no response within 2 s"))
            self.failureResultOf(verdict, AuthUnavailable)


class SharingTests(VerdictStoreTestCase):
    """What one policy leaves to the next."""

    def test_what_one_has_learnt_the_next_one_knows(self) -> None:
        """Refusals too; the counts go on."""
        self.learn(ADA)
        self.learn(None, b"other")
        self.change()
        self.assertKept(ADA)
        self.assertKept(None, b"other")
        self.assertEqual(self.cache.remembered_session(b"token"), Verdict(ADA, "hit"))
        self.assertEqual((self.iam.asked, self.store.hits, self.store.misses, self.store.calls), ([], 3, 2, 2))

    def test_another_life_counts_for_what_is_learnt_from_then_on(self) -> None:
        """What is in memory keeps the one that it came with."""
        self.learn(ADA)
        self.change(cache=VerdictCacheSettings(ttl=5))
        self.clock.advance(59)
        self.assertKept(ADA)
        self.clock.advance(1)
        self.learn(ADA)
        self.clock.advance(5)
        self.asked()

    def test_a_question_that_one_has_asked_is_not_asked_again_by_the_next(self) -> None:
        """Its answer is everyone's, and is kept."""
        iam, before = self.iam, self.asked()
        self.change()
        after = self.asked()
        iam.answers[0].callback(ADA)
        for verdict in (before, after):
            self.assertEqual(self.successResultOf(verdict).identity, ADA)
        self.assertKept(ADA)
        self.assertEqual((self.iam.asked, self.store.calls), ([], 1))

    def test_that_iam_is_down_the_next_one_knows(self) -> None:
        self.go_down()
        self.change()
        waiting = [self.asked(b"new-%d" % number) for number in range(3)]
        self.failureResultOf(waiting[2], AuthUnavailable)
        self.iam.answers[0].callback(ADA)
        self.assertEqual(self.ledger.current, {})

    def test_a_credential_that_one_forgets_is_forgotten_for_all(self) -> None:
        """Also while the one before has a question under way."""
        iam, before, earlier = self.iam, self.asked(), self.cache
        self.change()
        self.cache.forget("session", b"token")
        iam.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(before).identity, ADA)
        self.learn(ADA)
        earlier.forget_owner("session", b"token")
        self.asked()


class BoundTests(VerdictStoreTestCase):
    """Other bounds."""

    def test_with_lower_ones_what_was_not_used_for_the_longest_time_goes(self) -> None:
        """Of each table by itself; what is known of users is as small as that."""
        for number in range(4):
            self.learn(Identity("session", f"user-{number}"), b"good-%d" % number)
            self.learn(None, b"bad-%d" % number)
        self.change(cache=VerdictCacheSettings(max_entries=1, max_negative_entries=2))
        self.assertEqual((self.store.entries, self.store.negative_entries, self.store.evictions), (1, 2, 5))
        self.assertEqual(set(self.store._of_user), {"user-3"})
        self.assertKept(Identity("session", "user-3"), b"good-3")
        self.assertKept(None, b"bad-2")

    def test_with_higher_ones_there_is_room_for_more(self) -> None:
        self.change(cache=VerdictCacheSettings(max_entries=1))
        self.change(cache=VerdictCacheSettings(max_entries=2))
        for token in (b"1", b"2", b"3"):
            self.learn(ADA, token)
        self.assertEqual((self.store.entries, self.store.evictions), (2, 1))

    def test_calls_to_iam_keep_to_other_bounds_at_once(self) -> None:
        """Those that wait begin, each by the policy that it came to."""
        self.change(max_calls_per_address=1)
        iam = self.iam
        for token in (b"1", b"2"):
            self.asked(token)
        self.assertEqual((len(iam.asked), self.store.queue.waiting), (1, 1))
        self.change(max_calls_per_address=2)
        self.asked(b"3")
        self.assertEqual((len(iam.asked), self.iam.asked, self.store.queue.waiting), (2, [], 1))


class AnotherIamTests(VerdictStoreTestCase):
    """`start_anew`: IAM is another one."""

    def test_nothing_of_what_the_one_before_has_said_counts(self) -> None:
        """Neither what it has let in nor what it has refused."""
        self.learn(ADA)
        self.learn(None, b"other")
        self.store.start_anew()
        self.change()
        self.assertIsNone(self.cache.remembered_session(b"token"))
        self.learn(None)
        self.learn(ADA, b"other")
        self.assertEqual((self.store.entries, self.store.negative_entries), (1, 1))

    def test_what_the_one_before_is_still_being_asked_is_not_kept(self) -> None:
        """It is for those who have asked it; whoever comes later asks the other one."""
        iam, before = self.iam, self.asked()
        self.store.start_anew()
        self.change()
        after = self.asked()
        iam.answers[0].callback(ADA)
        self.assertEqual(self.successResultOf(before).identity, ADA)
        self.assertNoResult(after)
        self.iam.answers[0].callback(None)
        self.assertIsNone(self.successResultOf(after).identity)
        self.assertKept(None)

    def test_that_the_one_before_does_not_answer_any_more_says_nothing_of_the_other(self) -> None:
        """It is why the other one was put in its place: the questions under way end when their time is over."""
        iam = self.iam
        before = [self.asked(b"%d" % number) for number in range(3)]
        self.store.start_anew()
        self.change()
        for number, verdict in enumerate(before):
            iam.answers[number].errback(IamSilent(reason="no response within 2 s"))
            self.failureResultOf(verdict, AuthUnavailable)
        self.assertEqual(self.ledger.current, {})
        for number in range(10):
            self.assertNoResult(self.asked(b"new-%d" % number))

    def test_that_the_one_before_is_down_says_nothing_of_the_other(self) -> None:
        """All may wait for it, and the ledger has no entry."""
        self.change(cache=VerdictCacheSettings(stale_if_error=30))
        self.learn(ADA)
        self.clock.advance(60)
        self.go_down()
        self.assertEqual(self.cache.session(b"token", an_exchange()), Verdict(ADA, "stale"))
        self.assertEqual(set(self.ledger.current), {("iam-outage", "iam"), ("stale-verdicts", "iam")})
        self.store.start_anew()
        self.change()
        self.assertEqual(self.ledger.current, {})
        for number in range(10):
            self.assertNoResult(self.asked(b"new-%d" % number))
        self.assertEqual(len(self.iam.asked), 10)
