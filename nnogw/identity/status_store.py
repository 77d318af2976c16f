"""What survives a change of the configuration: the statuses in memory, the calls to the registry under way, and whether it is down."""

from __future__ import annotations

from nnogw.identity.freshness import Kept, Source
from nnogw.identity.lru import LruTable
from nnogw.identity.single_flight import SingleFlight
from nnogw.interfaces import Clock, DegradedLedger
from nnogw.observability.outage import Outage
from nnogw.settings import LifecycleSettings


class StatusStore:
    """The statuses of platforms in memory, and all else that is known of the registry (a `nnogw.interfaces.PlatformTable`).

    What is done with it is the policy of `nnogw.identity.platforms.PlatformStatuses`, one for each generation of the configuration.

    Args:
        settings: the bound, at first.
        clock: monotonic time.
        ledger: told of ``registry-outage`` and ``platform-status-unknown``.

    Attributes:
        known: platform → its status; None: the registry does not know the platform.
        flights: the questions under way, by platform.
        outage: knows whether the registry is in an outage.
        source: decides who may ask the registry.
    """

    def __init__(self, settings: LifecycleSettings, *, clock: Clock, ledger: DegradedLedger) -> None:
        self.known: LruTable[str, Kept[str | None]] = LruTable(settings.max_entries)
        self.flights: SingleFlight[str, str | None] = SingleFlight()
        self.outage = Outage("registry-outage", "registry", seconds=clock.seconds, ledger=ledger)
        self.source = Source(self.outage, probes=0)  # `on_unknown` decides meanwhile

    def bound(self, settings: LifecycleSettings) -> None:
        """Let another bound count."""
        self.known.resize(settings.max_entries)

    def forget(self, platform_id: str) -> None:
        """Drop what is known of a platform."""
        self.known.drop(platform_id)
        self.flights.detach(platform_id)

    def forget_all(self) -> int:
        """Drop everything, and return how many statuses there were."""
        self.flights.detach_all()
        return self.known.clear()

    def start_anew(self) -> None:
        """Forget everything: the registry is another one, of which nothing is known."""
        self.forget_all()
        self.outage.forget()
