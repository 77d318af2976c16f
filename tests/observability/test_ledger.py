"""The ledger: which degraded states there are, since when, why and how often; the log hears of each once."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.observability.ledger import MAX_ENTRIES, QUIET, Ledger
from tests.observability.exchanges import NOON


class LedgerTests(SynchronousTestCase):
    """One entry a state and subject."""

    def setUp(self) -> None:
        self.now = NOON
        self.ledger = Ledger(lambda: self.now)

    def logged(self, call: Callable[[], object]) -> list[tuple[LogLevel, str]]:
        """Return what the program's log is told during `call`."""
        with capturedLogs() as events:
            call()
        return [(event["log_level"], event["log_format"].format(**event)) for event in events]

    def flap(self, seconds: float, state: str = "iam-outage") -> None:
        """Begin and end a state ten times a second."""
        for _ in range(round(seconds * 10)):
            self.ledger.begin(state, "iam", "no answer")
            self.ledger.end(state, "iam")
            self.now += 0.1

    def test_an_entry_says_since_when_why_and_how_often(self) -> None:
        """The latest reason counts."""
        self.ledger.begin("iam-outage", "iam", "answered 500")
        self.now += 60
        self.ledger.begin("iam-outage", "iam", "no answer in time")
        self.assertEqual(
            self.ledger.document(),
            [
                {
                    "state": "iam-outage",
                    "subject": "iam",
                    "since": "2026-01-01T12:00:00.000+00:00",
                    "reason": "no answer in time",
                    "count": 2,
                }
            ],
        )

    def test_the_log_hears_of_the_beginning_and_the_end_alone(self) -> None:
        """However often it is noticed in between."""
        self.assertEqual(
            self.logged(lambda: self.ledger.begin("iam-outage", "iam", "answered 500")),
            [(LogLevel.warn, "degraded: iam-outage of iam: answered 500")],
        )
        self.now += 1.5
        self.assertEqual(self.logged(lambda: self.ledger.begin("iam-outage", "iam", "answered 500")), [])
        self.assertEqual(
            self.logged(lambda: self.ledger.end("iam-outage", "iam")), [(LogLevel.info, "over: iam-outage of iam, after 1.5 s and 2 times")]
        )
        self.assertEqual(self.ledger.entries, [])

    def test_the_end_of_what_had_not_begun_is_nothing(self) -> None:
        """Every success says that there is no outage."""
        self.assertEqual(self.logged(lambda: self.ledger.end("iam-outage", "iam")), [])

    def test_states_of_different_subjects_are_entries_of_their_own(self) -> None:
        """The oldest comes first."""
        self.ledger.begin("log-unwritable", "a", "disk full")
        self.ledger.begin("log-unwritable", "b", "disk full")
        self.ledger.begin("iam-outage", "a", "no answer")
        self.ledger.end("log-unwritable", "a")
        self.assertEqual([(entry.state, entry.subject) for entry in self.ledger.entries], [("log-unwritable", "b"), ("iam-outage", "a")])

    def test_a_state_that_comes_and_goes_does_not_flood_the_log(self) -> None:
        """One of two servers fails: every other request begins the outage, the next one ends it."""
        said = self.logged(lambda: self.flap(2 * QUIET))
        self.assertEqual([level for level, _ in said], [LogLevel.warn, LogLevel.info] * 2)

    def test_a_state_that_stays_is_told_of_although_it_had_flapped(self) -> None:
        """As soon as the pause is over."""
        self.flap(1)
        self.assertEqual(self.logged(lambda: self.ledger.begin("iam-outage", "iam", "no answer")), [])
        self.now += QUIET
        self.assertEqual(
            self.logged(lambda: self.ledger.begin("iam-outage", "iam", "gone")), [(LogLevel.warn, "degraded: iam-outage of iam: gone")]
        )

    def test_a_clock_that_was_set_back_does_not_silence_it(self) -> None:
        """For as long as it was set back."""
        self.flap(1)
        self.now -= 3600
        self.assertEqual(len(self.logged(lambda: self.flap(1))), 2)

    def test_it_is_bounded(self) -> None:
        """The oldest entry makes room, whatever subjects there are."""
        for number in range(MAX_ENTRIES + 5):
            self.ledger.begin("address-set-aside", str(number), "refused")
        self.assertEqual(len(self.ledger.entries), MAX_ENTRIES)
        self.assertEqual(self.ledger.entries[0].subject, "5")
