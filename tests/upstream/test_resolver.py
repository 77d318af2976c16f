"""Names are looked up one at a time, remembered, and hold nobody up."""

from __future__ import annotations

import socket
import threading

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from nnogw.observability.ledger import Ledger
from nnogw.upstream.resolver import FAILURE_LIFE, MAX_ADDRESSES, MAX_LOOKUPS, PATIENCE, STALE_LIVES, LookupFailed, Resolver, system_lookup
from tests.upstream.doubles import Names

NO_SUCH = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
SILENT = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Asking(SynchronousTestCase):
    """A resolver whose lookups the test answers."""

    def setUp(self) -> None:
        self.names = Names(a=["192.0.2.1", "192.0.2.2"], b=["2001:db8::1"])
        self.resolve = self.names.resolver.resolve

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.names.reactor.advance(seconds)

    def known(self, host: str = "a") -> tuple[str, ...]:
        """Look `host` up, and return its addresses."""
        asked = self.resolve(host)
        self.names.answer()
        return self.successResultOf(asked)


class Lookups(Asking):
    """How often the system is asked."""

    def test_many_at_a_time_cost_one_lookup(self) -> None:
        """Each of them gets the addresses, in the system's order."""
        waiting = [self.resolve("a") for _ in range(1000)]
        self.assertEqual(len(self.names.held), 1)
        self.names.answer()
        for asked in waiting:
            self.assertEqual(self.successResultOf(asked), ("192.0.2.1", "192.0.2.2"))
        self.assertEqual(self.names.asked, ["a"])

    def test_an_answer_serves_for_its_life(self) -> None:
        """Without another lookup."""
        self.known()
        self.pass_time(29.9)
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
        self.assertEqual(self.names.held, [])

    def test_after_that_it_is_renewed_while_nobody_waits(self) -> None:
        """The last addresses serve until the new ones are there."""
        self.known()
        self.names.known["a"] = ["192.0.2.9"]
        self.pass_time(30)
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
        self.assertEqual(len(self.names.held), 1)
        self.names.answer()
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.9",))

    def test_one_that_hangs_holds_up_its_own_name_only(self) -> None:
        """Others are looked up meanwhile."""
        hangs = self.resolve("a")
        (held,) = self.names.held
        self.names.held.clear()
        self.assertEqual(self.known("b"), ("2001:db8::1",))
        self.assertNoResult(hangs)
        held()
        self.successResultOf(hangs)

    def test_who_stops_waiting_leaves_the_others_alone(self) -> None:
        """And the lookup, whose answer is kept."""
        first, second = self.resolve("a"), self.resolve("a")
        second.addCallback(lambda addresses: (first.cancel(), addresses)[1])
        gone = self.resolve("a")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        third = self.resolve("a")
        self.names.answer()
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(third)

    def test_one_who_leaves_because_another_got_its_answer_gets_none(self) -> None:
        """In the middle of the round."""
        first, second = self.resolve("a"), self.resolve("a")
        first.addCallback(lambda _: second.cancel())
        self.names.answer()
        self.failureResultOf(second, CancelledError)

    def test_addresses_are_distinct_and_not_too_many(self) -> None:
        """The system names one for each protocol."""
        self.names.known["a"] = ["192.0.2.1", "192.0.2.1", *(f"198.51.100.{number}" for number in range(200))]
        addresses = self.known()
        self.assertEqual(len(addresses), MAX_ADDRESSES)
        self.assertEqual(addresses[:2], ("192.0.2.1", "198.51.100.0"))

    def test_there_is_a_bound_on_lookups_in_all(self) -> None:
        """Beyond it a name that is not known fails at once, and one that is known serves."""
        self.known()
        self.pass_time(31)
        silent = [self.resolve(f"silent{number}") for number in range(MAX_LOOKUPS)]
        self.assertIn("64 other names are being looked up", self.failureResultOf(self.resolve("b"), LookupFailed).getErrorMessage())
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
        for number in range(MAX_LOOKUPS):
            self.names.known[f"silent{number}"] = SILENT
        self.names.answer()
        for asked in silent:
            self.failureResultOf(asked, LookupFailed)
        self.assertEqual(self.known("b"), ("2001:db8::1",))

    def test_no_thread_is_a_failure_like_any_other(self) -> None:
        """The next one may have more luck."""

        def no_thread(work: object) -> None:
            raise RuntimeError("can't start new thread")

        resolver = Resolver(self.names.reactor, life=30, ledger=Ledger(), lookup=lambda host: [], start=no_thread)
        for _ in range(2):
            self.assertIn("can't start new thread", self.failureResultOf(resolver.resolve("a"), LookupFailed).getErrorMessage())
            self.pass_time(FAILURE_LIFE)


class Failures(Asking):
    """What becomes of names that cannot be resolved."""

    def failed(self, host: str, error: Exception | list[str]) -> str:
        """Look `host` up in vain, and return why."""
        self.names.known[host] = error
        asked = self.resolve(host)
        self.names.answer()
        return self.failureResultOf(asked, LookupFailed).getErrorMessage()

    def test_it_is_said_in_words(self) -> None:
        """With the name."""
        self.assertEqual(self.failed("x", NO_SUCH), "the name x cannot be resolved: Name or service not known")
        self.assertEqual(self.failed("y", []), "the name y has no address")
        self.assertEqual(self.failed("z", UnicodeError("label too long")), "the name z cannot be resolved: label too long")

    def test_a_bug_in_a_lookup_leaves_nobody_waiting(self) -> None:
        """It goes its own way, but the wait ends."""
        self.names.known["x"] = ZeroDivisionError()
        asked = self.resolve("x")
        self.assertRaises(ZeroDivisionError, self.names.answer)
        self.failureResultOf(asked, LookupFailed)

    def test_a_failure_is_remembered_briefly(self) -> None:
        """A service that has just been started is found soon."""
        self.failed("x", NO_SUCH)
        self.assertIn("not known", self.failureResultOf(self.resolve("x"), LookupFailed).getErrorMessage())
        self.assertEqual(self.names.held, [])
        self.pass_time(FAILURE_LIFE)
        self.names.known["x"] = ["192.0.2.3"]
        self.assertEqual(self.known("x"), ("192.0.2.3",))

    def test_the_last_good_answer_serves_through_an_outage(self) -> None:
        """However long it is, and without a wait; it is asked again every other second."""
        self.known()
        self.names.known["a"] = SILENT
        for _ in range(STALE_LIVES * 2):
            self.pass_time(30)
            self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
            self.names.answer()
            self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
            self.assertEqual(self.names.held, [])

    def test_the_ledger_says_which_name_and_why(self) -> None:
        """Until it is resolved again."""
        self.known()
        self.names.known["a"] = SILENT
        self.pass_time(30)
        self.resolve("a")
        self.names.answer()
        (entry,) = self.names.ledger.entries
        self.assertEqual((entry.state, entry.subject), ("name-unresolved", "a"))
        self.assertIn("Temporary failure", entry.reason)
        self.names.known["a"] = ["192.0.2.1"]
        self.pass_time(FAILURE_LIFE)
        self.resolve("a")
        self.names.answer()
        self.assertEqual(self.names.ledger.entries, [])

    def test_addresses_that_nobody_has_asked_for_in_a_long_time_are_the_last_resort(self) -> None:
        """They may be somebody else's by now: new ones are waited for, but not for long, and by nobody after that."""
        self.known()
        self.pass_time(STALE_LIVES * 30)
        first, second = self.resolve("a"), self.resolve("a")
        self.pass_time(PATIENCE - 0.1)
        self.assertNoResult(first)
        self.pass_time(0.1)
        for asked in (first, second, self.resolve("a")):
            self.assertEqual(self.successResultOf(asked), ("192.0.2.1", "192.0.2.2"))
        self.names.known["a"] = ["192.0.2.9"]
        self.names.answer()
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.9",))

    def test_new_addresses_that_come_in_time_are_taken(self) -> None:
        """No timer is left behind."""
        self.known()
        self.pass_time(STALE_LIVES * 30)
        self.names.known["a"] = ["192.0.2.9"]
        self.assertEqual(self.known(), ("192.0.2.9",))
        self.assertEqual(self.names.reactor.getDelayedCalls(), [])

    def test_addresses_that_take_no_connection_are_looked_up_again(self) -> None:
        """At most every other second: a service that is down costs no more than that."""
        self.known()
        self.names.resolver.doubt("a")
        self.resolve("a")
        self.assertEqual(self.names.held, [])
        self.pass_time(FAILURE_LIFE)
        self.names.resolver.doubt("a")
        self.names.known["a"] = ["192.0.2.9"]
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
        self.names.answer()
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.9",))
        self.names.resolver.doubt("never asked for")

    def test_names_that_are_not_configured_any_more_are_forgotten(self) -> None:
        """Those that still are keep their addresses; a failure of the others is no degraded state any more."""
        self.known("a")
        self.failed("x", NO_SUCH)
        self.names.resolver.keep({"a"}, 30)
        self.assertEqual(self.names.ledger.entries, [])
        self.assertEqual(self.successResultOf(self.resolve("a")), ("192.0.2.1", "192.0.2.2"))
        self.names.resolver.keep({"x"}, 30)
        self.assertNoResult(self.resolve("a"))

    def test_one_that_is_being_looked_up_is_forgotten_afterwards(self) -> None:
        """Whoever waits for it gets its addresses, or hears why there are none."""
        self.names.known["x"] = NO_SUCH
        asked, failing = self.resolve("a"), self.resolve("x")
        self.names.resolver.keep((), 30)
        self.assertNoResult(asked)
        self.names.answer()
        self.assertEqual(self.successResultOf(asked), ("192.0.2.1", "192.0.2.2"))
        self.failureResultOf(failing, LookupFailed)
        self.assertEqual((self.names.resolver._names, self.names.ledger.entries), ({}, []))

    def test_one_that_is_not_configured_any_more_is_still_resolved(self) -> None:
        """For a request that began before; it is not remembered."""
        self.names.resolver.keep((), 30)
        for _ in range(2):
            self.assertEqual(self.known("b"), ("2001:db8::1",))
        self.assertEqual((self.names.asked, self.names.resolver._names), (["b", "b"], {}))
        self.names.resolver.doubt("b")

    def test_another_life_counts_for_the_next_answer(self) -> None:
        """What is known keeps the one that it came with."""
        self.known()
        self.names.resolver.keep({"a"}, 5)
        self.pass_time(29)
        self.known()
        self.assertEqual(len(self.names.asked), 1)
        self.pass_time(1)
        self.known()
        self.pass_time(5)
        self.known()
        self.assertEqual(len(self.names.asked), 3)

    def test_closing_ends_every_wait(self) -> None:
        """And what is found out later is of no interest."""
        self.known("b")
        self.pass_time(STALE_LIVES * 30)
        waiting = [self.resolve("a"), self.resolve("b")]
        self.names.resolver.close()
        for asked in (*waiting, self.resolve("a")):
            self.assertIn("stopping", self.failureResultOf(asked, LookupFailed).getErrorMessage())
        self.names.answer()
        self.assertEqual(self.names.reactor.getDelayedCalls(), [])


class Threads(TestCase):
    """With the real system, and in real threads."""

    async def test_localhost_has_addresses(self) -> None:
        """From /etc/hosts, without any DNS."""
        resolver = Resolver(reactor, life=30, ledger=Ledger())
        self.addCleanup(resolver.close)
        addresses = await resolver.resolve("localhost")
        self.assertTrue({"127.0.0.1", "::1"} & set(addresses), addresses)
        self.assertEqual(list(dict.fromkeys(system_lookup("localhost"))), list(addresses))

    async def test_lookups_hang_in_threads_that_nobody_waits_for_at_the_end(self) -> None:
        """One for each name, none of them the reactor's."""
        released, threads = threading.Event(), []
        self.addCleanup(released.set)

        def hangs(host: str) -> list[str]:
            threads.append(threading.current_thread())
            released.wait()
            return ["192.0.2.1"]

        resolver = Resolver(reactor, life=30, ledger=Ledger(), lookup=hangs)
        waiting: list[Deferred[tuple[str, ...]]] = [resolver.resolve(f"name{number % 12}") for number in range(100)]
        while len(threads) < 12:
            await deferLater(reactor, 0.01)
        self.assertEqual([thread.daemon for thread in threads], [True] * 12)
        released.set()
        for asked in waiting:
            self.assertEqual(await asked, ("192.0.2.1",))
        self.assertEqual(len(threads), 12)
        resolver.close()
