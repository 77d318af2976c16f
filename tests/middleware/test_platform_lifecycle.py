"""Nobody gets through on behalf of a suspended platform."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import PlatformSuspended, ServiceUnavailable
from nnogw.exchange import Exchange, Identity
from nnogw.middleware.platform_lifecycle import PlatformLifecycle
from nnogw.settings import LifecycleSettings
from tests.doubles import Further, exchange


class Statuses:
    """Says what it is told to (a `nnogw.interfaces.PlatformStatusSource`)."""

    def __init__(self, answer: str | Deferred[str | None] | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def status(self, platform_id: str, request: Exchange) -> str | Deferred[str | None] | None:
        """Return the status."""
        self.asked.append(platform_id)
        return self.answer


def of(identity: Identity | None) -> Exchange:
    """Return a request of `identity`."""
    request = exchange()
    request.identity = identity
    return request


_USER = Identity("session", "u1", platform_id="p1")
_DENY = LifecycleSettings(on_unknown="deny")


class PlatformLifecycleTests(SynchronousTestCase):
    """By the verdict's word, or the registry's."""

    def test_a_blocked_status_is_451(self) -> None:
        """At once, or when the registry has answered."""
        error = self.assertRaises(
            PlatformSuspended, PlatformLifecycle(LifecycleSettings(), statuses=Statuses("suspended")), of(_USER), Further()
        )
        self.assertEqual((error.status, error.message), (451, "This platform has been suspended."))
        waiting: Deferred[str | None] = Deferred()
        answer = PlatformLifecycle(LifecycleSettings(), statuses=Statuses(waiting))(of(_USER), Further())
        waiting.callback("suspended")
        self.failureResultOf(answer, PlatformSuspended)

    def test_which_statuses_are_blocked_is_a_setting(self) -> None:
        """Others pass."""
        lifecycle = PlatformLifecycle(LifecycleSettings(blocked=("closed", "frozen")), statuses=Statuses("suspended"))
        further = Further()
        self.assertIs(lifecycle(of(_USER), further), further.waiting)
        self.assertRaises(
            PlatformSuspended, PlatformLifecycle(LifecycleSettings(blocked=("frozen",)), statuses=Statuses("frozen")), of(_USER), Further()
        )

    def test_the_verdicts_own_word_goes_before_the_registrys(self) -> None:
        """Which is not asked then."""
        statuses = Statuses("active")
        lifecycle = PlatformLifecycle(LifecycleSettings(), statuses=statuses)
        suspended = Identity("session", "u1", platform_id="p1", platform_status="suspended")
        self.assertRaises(PlatformSuspended, lifecycle, of(suspended), Further())
        self.assertEqual(statuses.asked, [])

    def test_who_acts_for_no_platform_is_not_asked_about(self) -> None:
        """The service key, a user without one, and nobody."""
        statuses = Statuses("suspended")
        for identity in (None, Identity("service", platform_id="p1"), Identity("session", "u1")):
            further = Further()
            self.assertIs(PlatformLifecycle(_DENY, statuses=statuses)(of(identity), further), further.waiting)
        self.assertEqual(statuses.asked, [])

    def test_an_unknown_status_is_let_in_or_kept_out_as_it_is_set(self) -> None:
        """Never learnt, or no registry to ask."""
        for statuses in (Statuses(None), None):
            further = Further()
            self.assertIs(PlatformLifecycle(LifecycleSettings(), statuses=statuses)(of(_USER), further), further.waiting)
            error = self.assertRaises(ServiceUnavailable, PlatformLifecycle(_DENY, statuses=statuses), of(_USER), Further())
            self.assertIn((b"Retry-After", b"5"), error.headers)
