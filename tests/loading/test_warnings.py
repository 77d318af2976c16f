"""What the log says at start."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.cast import SERVICE_KEY
from nnogw.loading.sources import SERVICE_VARIABLES
from nnogw.loading.warnings import find_warnings
from nnogw.settings import AuthSettings, Settings
from tests.loading.configurations import loaded

KEY = "a-service-key-of-32-characters--"
REAL = {"AUTH_API_KEY": KEY, **{binding: "unix:/run/service.sock" for binding, _ in SERVICE_VARIABLES.values()}}


def warnings(settings: Settings) -> list[str]:
    """Return those of a process in the foreground whose environment has nothing else in it."""
    return find_warnings(settings, {})


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
                loaded('[services.own]\n[[routes]]\nprefix = "/api/own"\nservice = "own"', {"AUTH_API_KEY": KEY, "NNO_IAM": "unix:/a"})
            ),
            ["service own has neither binding nor URL: its routes answer 503; set binding or url in [services.own]"],
        )

    def test_a_url_is_enough(self) -> None:
        """The fallback of development."""
        self.assertEqual(warnings(loaded("", {**REAL, "NNO_CLI": "", "NNO_CLI_SERVICE_URL": "http://127.0.0.1:1"})), [])

    def test_keys_without_iam_are_one(self) -> None:
        """Only service keys would be let in."""
        lines = warnings(
            loaded('[[routes]]\nprefix = "/api/v1/billing"\nservice = "billing"', {"AUTH_API_KEY": KEY, "NNO_BILLING": "unix:/b"})
        )
        self.assertEqual(lines, ["service iam has neither binding nor URL: sessions and API keys get 503; set NNO_IAM or NNO_IAM_URL"])

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
        environ = {"AUTH_API_KEY": KEY, "NNO_IAM": "unix:/a", "NNO_REGISTRY": "unix:/b", "NNO_BILLING": "unix:/c"}
        self.assertEqual(warnings(loaded(toml, environ)), [])

    def test_no_routes_are_one(self) -> None:
        """Everything is 404 then."""
        environ = {"AUTH_API_KEY": KEY, "NNO_IAM": "unix:/a"}
        self.assertEqual(warnings(loaded("routes = []", environ)), ["there are no routes: every path under /api gets 404"])

    def test_an_open_door_that_a_key_keeps_shut_is_one(self) -> None:
        """It would open the day that the key is lost."""
        (line,) = warnings(loaded("[auth]\nallow_unauthenticated = true", REAL))
        self.assertTrue(line.startswith("auth.allow_unauthenticated has no effect now"), line)

    def test_a_store_is_one_without_showing_its_password(self) -> None:
        """Limits are this process's own."""
        (line,) = warnings(loaded("", {**REAL, "RATE_LIMITER": "redis://:secret@redis"}))
        self.assertEqual(line, "RATE_LIMITER is set, but this version has no shared store: limits are counted in this process's memory")

    def test_a_short_service_key_is_one_that_does_not_show_it(self) -> None:
        """By its number: 15 characters are too few, 16 are enough."""
        (line,) = warnings(loaded("", {**REAL, "AUTH_API_KEY": f"{KEY},{'s' * 15},{'t' * 16}"}))
        self.assertEqual(line, "service key #2 has under 16 characters and can be guessed; make one with: openssl rand -hex 32")

    def test_the_demos_own_key_is_none(self) -> None:
        """Nobody would know what to do about it."""
        lines = warnings(Settings(auth=AuthSettings(api_key=(SERVICE_KEY,))))
        self.assertEqual([line for line in lines if "service key" in line], [])


class UnreadVariableTests(SynchronousTestCase):
    """A misspelt variable would leave a service without an address, and nobody would know why."""

    def unread(self, *names: str) -> list[str]:
        """Return the warnings of a whole configuration beside which `names` are set."""
        return find_warnings(loaded("", REAL), {**REAL, **dict.fromkeys(names, "unix:/run/service.sock")})

    def test_a_variable_that_nobody_reads_is_one_with_the_nearest(self) -> None:
        """In their order."""
        self.assertEqual(
            self.unread("NNO_REGISTRI", "NNO_BILLING_URI"),
            [
                "the variable NNO_BILLING_URI is set, but nobody reads it; did you mean NNO_BILLING_URL?",
                "the variable NNO_REGISTRI is set, but nobody reads it; did you mean NNO_REGISTRY?",
            ],
        )

    def test_without_a_near_one_all_are_named(self) -> None:
        """There are twelve."""
        (line,) = self.unread("NNO_WWWWWWWWWWWWWWW")
        for pair in SERVICE_VARIABLES.values():
            for variable in pair:
                self.assertIn(variable, line)

    def test_those_that_are_read_are_none(self) -> None:
        """All that the table of sources has."""
        self.assertEqual(self.unread(*(variable for pair in SERVICE_VARIABLES.values() for variable in pair)), [])

    def test_those_of_others_are_none(self) -> None:
        """And an empty one counts as not set."""
        self.assertEqual(self.unread("PATH", "XNNO_IAM", "NNOGW", "nno_iam"), [])
        self.assertEqual(find_warnings(loaded("", REAL), {**REAL, "NNO_NOTHING": ""}), [])

    def test_its_value_is_not_shown(self) -> None:
        """It may be a secret."""
        self.assertNotIn("/run/service.sock", self.unread("NNO_BILLING_URI")[0])


class DetachedTests(SynchronousTestCase):
    """A daemon has no standard output."""

    def test_a_request_log_on_standard_output_goes_nowhere(self) -> None:
        """However it is named; the ways out are told."""
        for path in ("-", "/dev/stdout", "/dev/stderr"):
            self.assertEqual(
                find_warnings(loaded(f'[server]\naccess_log = "{path}"', REAL), REAL, detaches=True),
                [
                    f"the request log goes nowhere: server.access_log is {path}, which a daemon does not have; "
                    "set a file, or stay in the foreground (twistd -n nnogw)"
                ],
            )

    def test_a_file_goes_somewhere(self) -> None:
        """As does standard output in the foreground."""
        self.assertEqual(find_warnings(loaded('[server]\naccess_log = "/var/log/a"', REAL), REAL, detaches=True), [])
        self.assertEqual(find_warnings(loaded("", REAL), REAL, detaches=False), [])
