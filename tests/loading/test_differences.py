"""What is different between two configurations is said in lines that an operator understands, and without secrets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import differences
from tests.loading.configurations import loaded

ROUTE = '[[routes]]\nprefix = "/api/v1/{0}"\nservice = "billing"\nupstream_path = "{1}"\n'
RULE = '[[rate_limit.rules]]\nprefix = "/api/v1/{0}"\nlimit = {1}\n'


class Differences(SynchronousTestCase):
    """A line for each option."""

    def assertDifferent(self, before: str, after: str, *lines: str) -> None:
        """Check what is said of the step from one file to another."""
        self.assertEqual(differences(loaded(before), loaded(after)), [*lines])

    def test_of_what_is_the_same_nothing_is_said(self) -> None:
        """Also if it is said explicitly what is the default."""
        self.assertDifferent("", "[rate_limit]\nlimit = 100\n")

    def test_values_are_shown_as_toml_has_them(self) -> None:
        """Numbers, strings, switches and lists."""
        self.assertDifferent(
            '[rate_limit]\nlimit = 5\nkey = "route"\n',
            '[cors]\norigins = ["https://a.example"]\n[services.billing]\npreserve_host = true\n[auth.cache]\nttl = 0.5\n',
            "auth.cache.ttl: 60 → 0.5",
            'cors.origins: [] → ["https://a.example"]',
            'rate_limit.key: "route" → "path"',
            "rate_limit.limit: 5 → 100",
            "services.billing.preserve_host: false → true",
        )

    def test_a_route_and_a_rule_come_and_go_as_a_whole(self) -> None:
        """They go by their prefixes, not by their places: another order is no difference."""
        self.assertDifferent(
            ROUTE.format("a", "") + ROUTE.format("b", "/x") + RULE.format("b", 1),
            ROUTE.format("b", "/y") + ROUTE.format("c", "") + RULE.format("a", 1) + RULE.format("b", 2),
            "rate_limit.rules[/api/v1/a]: not there → there",
            "rate_limit.rules[/api/v1/b].limit: 1 → 2",
            "routes[/api/v1/a]: there → not there",
            'routes[/api/v1/b].upstream_path: "/x" → "/y"',
            "routes[/api/v1/c]: not there → there",
        )

    def test_of_the_first_rule_only_the_rule_is_told(self) -> None:
        """Not that there was an empty list."""
        self.assertDifferent("", RULE.format("a", 1), "rate_limit.rules[/api/v1/a]: not there → there")
        self.assertDifferent(RULE.format("a", 1), "", "rate_limit.rules[/api/v1/a]: there → not there")

    def test_of_rules_with_one_prefix_each_is_told(self) -> None:
        """Those for some methods have these, others a number."""
        some = RULE.format("a", 3) + 'methods = ["POST"]\n'
        self.assertDifferent(
            RULE.format("a", 1) + RULE.format("a", 2) + some,
            RULE.format("a", 7) + RULE.format("a", 8) + some.replace("3", "9"),
            "rate_limit.rules[/api/v1/a #2].limit: 2 → 8",
            "rate_limit.rules[/api/v1/a].limit: 1 → 7",
            "rate_limit.rules[POST /api/v1/a].limit: 3 → 9",
        )

    def test_a_service_of_its_own_comes_as_a_whole(self) -> None:
        """The platform's own are always there."""
        self.assertDifferent(
            "",
            '[services.search]\nurl = "http://a"\n[services.cli]\nurl = "http://b"\n',
            'services.cli.url: "" → "http://b"',
            "services.search: not there → there",
        )

    def test_secrets_are_not_shown(self) -> None:
        """Of service keys it is said how many there are; the password of a store's URL is left out."""
        keys = [f"service-key-of-the-test-{number}" for number in range(3)]
        for before, after, line in (
            (keys[:1], keys, "1 service key(s) → 3 service key(s)"),
            (keys[:1], keys[1:2], "1 service key(s) → another value"),
        ):
            self.assertDifferent(f"[auth]\napi_key = {before}", f"[auth]\napi_key = {after}", f"auth.api_key: {line}")
        (line,) = differences(loaded(), loaded('[rate_limit]\nstore = "redis://user:secret@host/0"\n'))
        self.assertTrue(line.startswith('rate_limit.store: "" → '))
        self.assertNotIn("secret", line)
