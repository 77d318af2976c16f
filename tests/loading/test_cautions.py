"""What the log says at start."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import warnings
from nnogw.loading.sources import SERVICE_VARIABLES
from nnogw.settings import Settings
from tests.loading.configurations import loaded

REAL = {"AUTH_API_KEY": "key", **{binding: "unix:/run/service.sock" for binding, _ in SERVICE_VARIABLES.values()}}


class WarningTests(SynchronousTestCase):
    """Only what an operator should do something about."""

    def test_a_whole_configuration_gives_none(self) -> None:
        """Silence is worth something."""
        self.assertEqual(warnings(loaded("", REAL)), [])

    def test_the_bypass_is_one(self) -> None:
        """Whoever reads the log should know that nobody is asked who they are."""
        self.assertEqual(
            warnings(loaded("", {**REAL, "AUTH_API_KEY": ""})),
            ["AUTH_API_KEY is not set: every request passes unauthenticated (the bypass for local development)"],
        )

    def test_a_service_that_is_nowhere_is_one_with_the_remedy(self) -> None:
        """Once, however many routes lead to it."""
        self.assertEqual(
            warnings(loaded("", {**REAL, "NNO_REGISTRY": ""})),
            ["service registry has neither binding nor URL: its routes answer 503; set NNO_REGISTRY or NNO_REGISTRY_URL"],
        )
        self.assertEqual(
            warnings(
                loaded('[services.own]\n[[routes]]\nprefix = "/api/own"\nservice = "own"', {"AUTH_API_KEY": "key", "NNO_IAM": "unix:/a"})
            ),
            ["service own has neither binding nor URL: its routes answer 503; set binding or url in [services.own]"],
        )

    def test_a_url_is_enough(self) -> None:
        """The fallback of development."""
        self.assertEqual(warnings(loaded("", {**REAL, "NNO_CLI": "", "NNO_CLI_SERVICE_URL": "http://127.0.0.1:1"})), [])

    def test_keys_without_iam_are_one(self) -> None:
        """Only service keys would be let in."""
        lines = warnings(
            loaded('[[routes]]\nprefix = "/api/v1/billing"\nservice = "billing"', {"AUTH_API_KEY": "key", "NNO_BILLING": "unix:/b"})
        )
        self.assertEqual(
            lines, ["service iam has neither binding nor URL: sessions and API keys are answered 503; set NNO_IAM or NNO_IAM_URL"]
        )

    def test_without_keys_iam_is_not_asked(self) -> None:
        """So that its absence matters only to its routes."""
        self.assertEqual(sum("iam" in line for line in warnings(Settings())), 1)

    def test_a_service_to_which_no_route_leads_is_one(self) -> None:
        """Perhaps it is misspelt. IAM and the registry are asked by the gateway itself."""
        self.assertEqual(
            warnings(loaded('[services.biling]\nurl = "http://127.0.0.1:1"', REAL)),
            ["service biling is configured, but no route leads to it; did you mean billing?"],
        )
        toml = '[[routes]]\nprefix = "/api/v1/billing"\nservice = "billing"'
        environ = {"AUTH_API_KEY": "key", "NNO_IAM": "unix:/a", "NNO_REGISTRY": "unix:/b", "NNO_BILLING": "unix:/c"}
        self.assertEqual(warnings(loaded(toml, environ)), [])

    def test_no_routes_are_one(self) -> None:
        """Everything is 404 then."""
        environ = {"AUTH_API_KEY": "key", "NNO_IAM": "unix:/a"}
        self.assertEqual(warnings(loaded("routes = []", environ)), ["there are no routes: every path under /api is answered 404"])

    def test_an_open_door_that_a_key_keeps_shut_is_one(self) -> None:
        """It would open the day that the key is lost."""
        (line,) = warnings(loaded("[auth]\nallow_unauthenticated = true", REAL))
        self.assertTrue(line.startswith("auth.allow_unauthenticated has no effect now"), line)

    def test_a_store_is_one_without_showing_its_password(self) -> None:
        """Limits are this process's own."""
        (line,) = warnings(loaded("", {**REAL, "RATE_LIMITER": "redis://:secret@redis"}))
        self.assertEqual(line, "RATE_LIMITER is set, but this version has no shared store: limits are counted in this process's memory")
