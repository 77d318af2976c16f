"""What is told of the running gateway: the same for Prometheus and for the status page, read from the real parts."""

from __future__ import annotations

import orjson
from prometheus_client import CollectorRegistry
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from nnogw import __version__
from nnogw.exchange import Exchange, Identity
from nnogw.identity.verdict_store import VerdictStore
from nnogw.identity.verdicts import VerdictCache
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.ledger import Ledger
from nnogw.observability.log_file import LogFile
from nnogw.observability.stats import ConfigurationStats, Stats
from nnogw.settings import AuthSettings, ServiceSettings, VerdictCacheSettings
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.resolver import Resolver
from nnogw.upstream.service import Service, service_for
from nnogw.wire.site import GatewaySite
from nnogw.wire.transport.write_batch import WriteBatch
from tests.doubles import Rules
from tests.identity.doubles import an_exchange
from tests.observability.exchanges import NOON


class KnowsAda:
    """Says that every token is Ada's, and refuses every key."""

    def session(self, token: bytes, exchange: Exchange) -> object:
        return succeed(Identity("session", "user-ada"))

    def api_key(self, key: bytes, exchange: Exchange) -> object:
        return succeed(None)


class NeverDone(Resource):
    """Answers nothing."""

    def render(self, request: object) -> int:
        return NOT_DONE_YET


class StatsTests(SynchronousTestCase):
    """Numbers are read when somebody asks."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        batch = WriteBatch(self.reactor)
        self.ledger = Ledger(lambda: NOON)
        auth = AuthSettings(cache=VerdictCacheSettings(max_entries=1))
        self.verdicts = VerdictStore(auth, clock=self.reactor, ledger=self.ledger)
        self.cache = VerdictCache(auth, KnowsAda(), self.verdicts, clock=self.reactor)
        self.limits = MemoryStore(2, self.reactor.seconds)
        resolver = Resolver(self.reactor, life=30, ledger=self.ledger)
        addresses = Addresses(self.reactor, batch, resolver)
        billing = service_for("billing", ServiceSettings(url="http://127.0.0.1:8791"), addresses)
        assert billing is not None
        self.billing = billing
        self.services: dict[str, Service | None] = {"billing": billing, "cli": None}
        self.configuration = ConfigurationStats(1, NOON, 0)
        self.site = GatewaySite(NeverDone(), self.reactor, Rules(), batch)
        self.log = LogFile("-", Clock(), self.ledger)
        self.stats = Stats(
            self.verdicts, self.limits, lambda: self.services, self.site, self.log, self.ledger, lambda: self.configuration, NOON
        )
        self.registry = CollectorRegistry()
        self.registry.register(self.stats)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def told(self) -> dict:
        """Return the document as it arrives."""
        return orjson.loads(orjson.dumps(self.stats.document()))

    def test_it_says_what_runs_since_when(self) -> None:
        """The version as a label, as is usual."""
        self.assertEqual(self.told()["started"], "2026-01-01T12:00:00.000+00:00")
        (build,) = [family for family in self.registry.collect() if family.name == "nnogw_build"]
        self.assertEqual(build.samples[0].name, "nnogw_build_info")
        self.assertEqual(build.samples[0].labels["version"], __version__)
        self.assertEqual(set(build.samples[0].labels), {"version", "python", "twisted"})

    def test_it_says_which_generation_of_the_configuration_serves(self) -> None:
        """Since when, and whether requests of earlier ones are still under way."""
        self.assertEqual(self.told()["configuration"], {"generation": 1, "since": "2026-01-01T12:00:00.000+00:00", "retiring": 0})
        self.configuration = ConfigurationStats(3, NOON + 90.5, 2)
        self.assertEqual(self.told()["configuration"], {"generation": 3, "since": "2026-01-01T12:01:30.500+00:00", "retiring": 2})
        names = ("generation", "changed_timestamp_seconds", "generations_retiring")
        self.assertEqual([self.value(f"nnogw_config_{name}") for name in names], [3, NOON + 90.5, 2])

    def test_every_metric_explains_itself(self) -> None:
        """In a sentence, with the nouns that operators know, under a name that says whose it is."""
        families = list(self.registry.collect())
        self.assertGreater(len(families), 10)
        for family in families:
            self.assertTrue(family.name.startswith("nnogw_"), family.name)
            self.assertRegex(family.documentation, r"\A[A-Z][^?]{10,}\.\Z")
            self.assertNotIn("uestion", family.documentation)

    def test_it_counts_verdicts(self) -> None:
        """What was in memory, what IAM was asked for, what had to make room."""
        for token in (b"a", b"a", b"b"):
            self.cache.session(token, an_exchange())
        self.cache.api_key(b"nno_x", an_exchange())
        self.assertEqual(
            self.told()["verdicts"],
            {
                "entries": 1,
                "negativeEntries": 1,
                "hits": 1,
                "misses": 3,
                "stale": 0,
                "refusals": 1,
                "evictions": 1,
                "iamCalls": 3,
                "iamFailures": 0,
                "iamCallsUnderWay": 0,
                "iamCallsWaiting": 0,
                "iamCallsTurnedAway": 0,
            },
        )
        self.assertEqual([self.value("nnogw_verdict_lookups_total", result=result) for result in ("hit", "miss", "stale")], [1, 3, 0])
        self.assertEqual([self.value("nnogw_verdict_entries", table=table) for table in ("valid", "refused")], [1, 1])
        names = ("nnogw_verdict_evictions_total", "nnogw_iam_calls_total", "nnogw_iam_failures_total", "nnogw_iam_refusals_total")
        self.assertEqual([self.value(name) for name in names], [1, 3, 0, 1])

    def test_it_tells_how_many_calls_to_iam_there_are(self) -> None:
        """Those under way, those that wait, and those that got no turn."""
        self.verdicts.queue.under_way, self.verdicts.queue.waiting, self.verdicts.queue.turned_away = 2, 3, 5
        self.assertEqual([self.value("nnogw_iam_calls_in_progress", state=state) for state in ("under_way", "waiting")], [2, 3])
        self.assertEqual(self.value("nnogw_iam_calls_turned_away_total"), 5)
        told = self.told()["verdicts"]
        self.assertEqual((told["iamCallsUnderWay"], told["iamCallsWaiting"], told["iamCallsTurnedAway"]), (2, 3, 5))

    def test_it_counts_rate_limit_windows(self) -> None:
        """And those that had to make room."""
        for key in ("a", "b", "c"):
            self.limits.hit(key, 10, 60)
        self.assertEqual(self.told()["rateLimit"], {"windows": 2, "evictions": 1})
        self.assertEqual((self.value("nnogw_rate_limit_windows"), self.value("nnogw_rate_limit_evictions_total")), (2, 1))

    def test_it_tells_a_services_connections_and_that_one_is_not_configured(self) -> None:
        """Busy ones and idle ones add up to all."""
        for _ in range(3):
            self.billing.pool.opened()
        self.billing.pool.released(object())
        self.assertEqual(
            self.told()["services"],
            {
                "billing": {"configured": True, "address": "http://127.0.0.1:8791", "connections": 3, "idle": 1},
                "cli": {"configured": False},
            },
        )
        self.assertEqual([self.value("nnogw_upstream_connections", service="billing", state=state) for state in ("busy", "idle")], [2, 1])
        self.assertIsNone(self.value("nnogw_upstream_connections", service="cli", state="idle"))

    def test_services_are_those_of_the_configuration_that_counts(self) -> None:
        """Not those that there were at the start."""
        self.services = {"search": self.billing}
        self.assertEqual(list(self.told()["services"]), ["search"])
        self.assertEqual(self.value("nnogw_upstream_connections", service="search", state="idle"), 0)
        self.assertIsNone(self.value("nnogw_upstream_connections", service="billing", state="idle"))

    def test_it_counts_clients(self) -> None:
        """Connections, and the requests on them that are being answered."""
        for data in (b"", b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"):
            channel = self.site.buildProtocol(None)
            channel.makeConnection(StringTransport(peerAddress=UNIXAddress(None)))
            channel.dataReceived(data)
        self.assertEqual((self.told()["connections"], self.told()["inFlight"]), (2, 1))
        self.assertEqual(self.told()["connectionStates"], {"new": 1, "responding": 1})
        self.assertEqual((self.value("nnogw_client_connections"), self.value("nnogw_requests_in_flight")), (2, 1))

    def test_it_counts_lines_that_were_lost(self) -> None:
        """This log is not open."""
        self.log.write(b"{}\n")
        self.assertEqual(self.told()["requestLog"], {"dropped": 1})
        self.assertEqual(self.value("nnogw_log_lines_dropped_total"), 1)

    def test_it_tells_degraded_states(self) -> None:
        """For as long as they last."""
        self.ledger.begin("iam-outage", "iam", "answered 500")
        self.assertEqual([entry["reason"] for entry in self.told()["degraded"]], ["answered 500"])
        self.assertEqual(self.value("nnogw_degraded", state="iam-outage", subject="iam"), 1)
        self.ledger.end("iam-outage", "iam")
        self.assertEqual(self.told()["degraded"], [])
        self.assertIsNone(self.value("nnogw_degraded", state="iam-outage", subject="iam"))
