"""Requests are counted by caller and place, and every answer says how much is left."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest, RateLimited
from nnogw.exchange import Exchange, Response
from nnogw.fields import HeaderFields
from nnogw.interfaces import Decision, RateLimitStore
from nnogw.limiting.memory import MemoryStore
from nnogw.middleware.rate_limiter import RateLimiter
from nnogw.routes import Route
from nnogw.settings import RateLimitRule, RateLimitSettings

BILLING = Route(b"/api/v1/billing", "billing", b"", "/api/v1/billing")
ANSWER = Response(200)


def a_request(path: bytes = b"/api/v1/billing/x", ip: str = "192.0.2.1", method: bytes = b"GET", **fields: bytes) -> Exchange:
    pairs = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    route = BILLING if path.startswith(BILLING.prefix) else None
    return Exchange(method, path, HeaderFields(pairs), ip, ip=ip, path=path, route=route)


@attrs.define
class KeyRecorder:
    """A store that lets everything pass and remembers what it was asked."""

    asked: list[tuple[str, int, float]] = attrs.field(factory=list)

    def hit(self, key: str, limit: int, period: float) -> Decision:
        self.asked.append((key, limit, period))
        return Decision(True, limit, limit - 1, period)


@attrs.define
class SharedStore:
    """A store that is asked over the network."""

    answers: list[Deferred[Decision]] = attrs.field(factory=list)

    def hit(self, key: str, limit: int, period: float) -> Deferred[Decision]:
        self.answers.append(Deferred())
        return self.answers[-1]


class RateLimiterTestCase(SynchronousTestCase):
    """What all tests of the limiter need."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.proceeded: list[Exchange] = []

    def limiter(self, *rules: RateLimitRule, limit: int = 2, period: float = 60, key: str = "path") -> RateLimiter:
        settings = RateLimitSettings(limit=limit, period=period, key=key, rules=rules)
        return RateLimiter(settings, store=MemoryStore(100, self.clock.seconds))

    def passes(self, limiter: RateLimiter, exchange: Exchange) -> Deferred[Response]:
        """Send `exchange` through the limiter."""

        def proceed() -> Deferred[Response]:
            self.proceeded.append(exchange)
            return succeed(ANSWER)

        return limiter(exchange, proceed)

    def told(self, limiter: RateLimiter, exchange: Exchange) -> dict[bytes, bytes]:
        """Return the fields that the limiter puts on the answer, under their spelling on the wire."""
        self.assertIs(self.successResultOf(self.passes(limiter, exchange)), ANSWER)
        return {name: value for _, name, value in exchange.response_fields.values()}

    def refused(self, limiter: RateLimiter, exchange: Exchange) -> bool:
        self.successResultOf(self.passes(limiter, exchange))
        return exchange.refusal is not None


class FieldTests(RateLimiterTestCase):
    """What callers are told."""

    def test_every_answer_says_what_the_limit_is_and_what_is_left(self) -> None:
        limiter = self.limiter(limit=100)
        self.assertEqual(
            self.told(limiter, a_request()), {b"RateLimit-Policy": b'"default";q=100;w=60', b"RateLimit": b'"default";r=99;t=60'}
        )
        self.clock.advance(43.5)
        self.assertEqual(self.told(limiter, a_request())[b"RateLimit"], b'"default";r=98;t=17')

    def test_the_fields_are_decided_on_before_going_on(self) -> None:
        exchange = a_request()
        seen: list[bytes] = []

        def proceed() -> Deferred[Response]:
            seen.extend(exchange.response_fields)
            return succeed(ANSWER)

        self.limiter()(exchange, proceed)
        self.assertEqual(seen, [b"ratelimit-policy", b"ratelimit"])

    def test_a_part_of_a_second_counts_as_a_whole_one(self) -> None:
        """A client that waits as long as it is told is never too early."""
        self.assertEqual(
            self.told(self.limiter(period=1.5), a_request()),
            {b"RateLimit-Policy": b'"default";q=2;w=2', b"RateLimit": b'"default";r=1;t=2'},
        )

    def test_the_rest_of_a_window_is_never_told_to_be_longer_than_the_window(self) -> None:
        """6.1 + 10 - 6.1 is more than 10 in floating point numbers."""
        self.clock.advance(6.1)
        limiter = self.limiter(period=10)
        for remaining in (b"1", b"0", b"0"):
            self.assertEqual(self.told(limiter, a_request())[b"RateLimit"], b'"default";r=%b;t=10' % remaining)

    def test_over_the_limit_the_request_is_refused_further_in_where_cors_and_tracing_have_said_their_part(self) -> None:
        limiter = self.limiter()
        for _ in range(2):
            self.assertFalse(self.refused(limiter, a_request()))
        self.clock.advance(12.25)
        exchange = a_request()
        fields = self.told(limiter, exchange)
        self.assertEqual(fields, {b"RateLimit-Policy": b'"default";q=2;w=60', b"RateLimit": b'"default";r=0;t=48'})
        self.assertIsInstance(exchange.refusal, RateLimited)
        self.assertEqual(exchange.refusal.headers, ((b"Retry-After", b"48"),))
        self.assertEqual(exchange.refusal.reason, 'over the limit "default" of 2 requests in 60 s')
        self.assertEqual(len(self.proceeded), 3)

    def test_retry_after_is_never_zero(self) -> None:
        @attrs.define
        class EndingStore:
            def hit(self, key: str, limit: int, period: float) -> Decision:
                return Decision(False, limit, 0, 0.0)

        exchange = a_request()
        self.passes(RateLimiter(RateLimitSettings(), store=EndingStore()), exchange)
        self.assertEqual(exchange.refusal.headers, ((b"Retry-After", b"1"),))

    def test_after_the_window_requests_pass_again(self) -> None:
        limiter = self.limiter(limit=1)
        self.assertEqual([self.refused(limiter, a_request()) for _ in range(3)], [False, True, True])
        self.clock.advance(60)
        self.assertFalse(self.refused(limiter, a_request()))

    def test_a_rules_name_is_quoted_as_structured_fields_want_it(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 7, 10, name='100 % "\\'))
        self.assertEqual(
            self.told(limiter, a_request()),
            {b"RateLimit-Policy": rb'"100 % \"\\";q=7;w=10', b"RateLimit": rb'"100 % \"\\";r=6;t=10'},
        )

    def test_a_name_that_cannot_stand_in_a_field_is_an_error_at_once(self) -> None:
        for name in ("größe", "two\r\nlines"):
            with self.assertRaises(ValueError) as caught:
                self.limiter(RateLimitRule("/api", 7, name=name))
            self.assertIn(repr(name), str(caught.exception))


class CountingTests(RateLimiterTestCase):
    """What is counted together."""

    def keys(self, *requests: Exchange, settings: RateLimitSettings | None = None) -> list[str]:
        store = KeyRecorder()
        limiter = RateLimiter(settings or RateLimitSettings(), store=store)
        for request in requests:
            self.passes(limiter, request)
        return [key for key, _, _ in store.asked]

    def test_a_caller_is_counted_by_address_and_path(self) -> None:
        self.assertEqual(
            self.keys(a_request(b"/api/v1/iam"), a_request(b"/nowhere"), a_request(b"/", ip="198.51.100.7"), a_request(ip="unix")),
            ["192.0.2.1:/api/v1/iam", "192.0.2.1:/nowhere", "198.51.100.7:/", "unix:/api/v1/billing/x"],
        )

    def test_by_route_all_paths_under_it_count_together(self) -> None:
        self.assertEqual(
            self.keys(a_request(), a_request(b"/api/v1/billing/y"), a_request(b"/api/none"), settings=RateLimitSettings(key="route")),
            ["192.0.2.1:/api/v1/billing", "192.0.2.1:/api/v1/billing", "192.0.2.1:-"],
        )

    def test_ipv6_addresses_count_as_their_64(self) -> None:
        addresses = ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::9", "2001:DB8:1:2:0:0:0:1", "2001:db8:1:3::9", "fe80::1%eth0"]
        self.assertEqual(
            [key.removesuffix(":/") for key in self.keys(*(a_request(b"/", ip=ip) for ip in addresses))],
            ["2001:db8:1:2::/64", "2001:db8:1:2::/64", "2001:db8:1:2::/64", "2001:db8:1:3::/64", "fe80::/64"],
        )

    def test_an_ipv4_address_in_ipv6_clothes_counts_as_itself(self) -> None:
        """Else the whole IPv4 world would be one caller."""
        self.assertEqual(
            self.keys(a_request(b"/", ip="::ffff:192.0.2.1"), a_request(b"/", ip="::ffff:c000:202")), ["192.0.2.1:/", "192.0.2.2:/"]
        )

    def test_what_is_no_address_counts_as_it_is(self) -> None:
        self.assertEqual(self.keys(a_request(b"/", ip="no:address")), ["no:address:/"])

    def test_health_checks_are_not_counted(self) -> None:
        self.assertEqual(self.keys(a_request(b"/health"), a_request(b"/health", method=b"HEAD")), [])
        self.assertEqual(self.keys(a_request(b"/health", method=b"POST")), ["192.0.2.1:/health"])
        self.assertEqual(len(self.proceeded), 3)

    def test_preflights_are_not_counted_and_other_options_requests_are(self) -> None:
        preflight = a_request(method=b"OPTIONS", origin=b"https://a.example", access_control_request_method=b"PUT")
        others = [
            a_request(b"/1", method=b"OPTIONS", origin=b"https://a.example"),
            a_request(b"/2", method=b"OPTIONS", access_control_request_method=b"PUT"),
            a_request(b"/3", origin=b"https://a.example", access_control_request_method=b"PUT"),
        ]
        self.assertEqual(self.keys(preflight, *others), ["192.0.2.1:/1", "192.0.2.1:/2", "192.0.2.1:/3"])
        self.assertEqual(preflight.response_fields, {})

    def test_what_was_refused_already_is_not_counted_and_stays_refused_for_that(self) -> None:
        exchange = a_request(b"")
        exchange.refusal = refusal = BadRequest(reason="a control byte in the path")
        self.assertEqual(self.keys(exchange), [])
        self.assertIs(exchange.refusal, refusal)
        self.assertEqual((self.proceeded, exchange.response_fields), ([exchange], {}))


class RuleTests(RateLimiterTestCase):
    """Limits of their own for some paths and methods."""

    def policy(self, limiter: RateLimiter, path: bytes, method: bytes = b"GET") -> bytes | None:
        return self.told(limiter, a_request(path, method=method)).get(b"RateLimit-Policy")

    def test_the_longest_prefix_decides_whatever_the_order(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 10), RateLimitRule("/api/v1/cli/builds", 30), RateLimitRule("/api/v1/cli", 20, 10.5))
        self.assertEqual(self.policy(limiter, b"/api/v1/cli/builds/7"), b'"/api/v1/cli/builds";q=30;w=60')
        self.assertEqual(self.policy(limiter, b"/api/v1/cli"), b'"/api/v1/cli";q=20;w=11')
        self.assertEqual(self.policy(limiter, b"/api/v1/iam"), b'"/api";q=10;w=60')
        self.assertEqual(self.policy(limiter, b"/else"), b'"default";q=2;w=60')

    def test_a_prefix_matches_on_a_segment_boundary(self) -> None:
        limiter = self.limiter(RateLimitRule("/api/v1/cli", 20, name="cli"), RateLimitRule("/slash/", 9, name="slash"))
        self.assertEqual(self.policy(limiter, b"/api/v1/client"), b'"default";q=2;w=60')
        self.assertEqual(self.policy(limiter, b"/api/v1/cli/"), b'"cli";q=20;w=60')
        self.assertEqual(self.policy(limiter, b"/slash/x"), b'"slash";q=9;w=60')
        self.assertEqual(self.policy(limiter, b"/slashed"), b'"default";q=2;w=60')

    def test_the_root_as_prefix_is_for_every_path(self) -> None:
        self.assertEqual(self.policy(self.limiter(RateLimitRule("/", 9)), b"/any/where"), b'"/";q=9;w=60')

    def test_a_rule_for_methods_goes_before_one_for_all(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 10), RateLimitRule("/api", 5, methods=("POST", "PUT"), name="writes"))
        self.assertEqual(self.policy(limiter, b"/api/x", b"PUT"), b'"writes";q=5;w=60')
        self.assertEqual(self.policy(limiter, b"/api/x", b"GET"), b'"/api";q=10;w=60')

    def test_a_longer_prefix_for_other_methods_leaves_the_shorter_one_in_force(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 10), RateLimitRule("/api/v1", 5, methods=("POST",)))
        self.assertEqual(self.policy(limiter, b"/api/v1", b"GET"), b'"/api";q=10;w=60')

    def test_rules_do_not_share_counters_even_under_one_name(self) -> None:
        reads = RateLimitRule("/api", 1, methods=("GET",), name="api")
        writes = RateLimitRule("/api", 1, methods=("POST",), name="api")
        limiter = self.limiter(reads, writes, RateLimitRule("/api", 1, name="api"))
        methods = [b"GET", b"POST", b"PUT", b"DELETE", b"GET", b"POST"]
        self.assertEqual(
            [self.refused(limiter, a_request(b"/api/x", method=method)) for method in methods], [False, False, False, True, True, True]
        )

    def test_a_limit_of_zero_turns_a_rule_off_for_what_it_is_for(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 1), RateLimitRule("/api/v1/iam", 0))
        for _ in range(5):
            self.assertEqual(self.told(limiter, a_request(b"/api/v1/iam/x")), {})
        self.assertEqual(self.policy(limiter, b"/api/v1"), b'"/api";q=1;w=60')

    def test_a_default_limit_of_zero_turns_all_limiting_off(self) -> None:
        limiter = self.limiter(RateLimitRule("/api", 1), limit=0)
        for path in (b"/api", b"/api", b"/else", b"/else"):
            self.assertEqual(self.told(limiter, a_request(path)), {})


class SharedStoreTests(RateLimiterTestCase):
    """A store that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.store = SharedStore()
        store: RateLimitStore = self.store
        self.limiting = RateLimiter(RateLimitSettings(limit=10), store=store)

    def test_the_request_waits_for_the_decision(self) -> None:
        exchange = a_request()
        answer = self.passes(self.limiting, exchange)
        self.assertNoResult(answer)
        self.assertEqual(self.proceeded, [])
        self.store.answers[0].callback(Decision(True, 10, 4, 30.0))
        self.assertIs(self.successResultOf(answer), ANSWER)
        self.assertEqual(exchange.response_fields[b"ratelimit"], (b"ratelimit", b"RateLimit", b'"default";r=4;t=30'))

    def test_a_refusal_that_comes_later_is_one_too(self) -> None:
        exchange = a_request()
        answer = self.passes(self.limiting, exchange)
        self.store.answers[0].callback(Decision(False, 10, 0, 30.0))
        self.successResultOf(answer)
        self.assertIsInstance(exchange.refusal, RateLimited)
