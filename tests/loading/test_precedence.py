"""An option goes before the environment, the environment before the file, the file before the default."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import load
from nnogw.loading.sources import SERVICE_VARIABLES
from nnogw.settings import SERVICE_NAMES, RouteSettings, ServiceSettings, Settings
from tests.loading.configurations import loaded, problems

LOOPBACK = "tcp:1:interface=127.0.0.1"


class DefaultTests(SynchronousTestCase):
    """What nobody says is as the settings have it."""

    def test_without_file_and_variables_everything_is_the_default(self) -> None:
        """So that ``twistd nnogw`` starts as it is."""
        self.assertEqual(load(None, {}), Settings())

    def test_an_empty_file_changes_nothing(self) -> None:
        """A file may say as little as it likes."""
        self.assertEqual(loaded(""), Settings())

    def test_a_table_that_says_one_thing_leaves_the_others_at_their_defaults(self) -> None:
        """Also those of other services."""
        services = loaded("[services.billing]\nidle_timeout = 5").services
        self.assertEqual(services["billing"], ServiceSettings(idle_timeout=5))
        self.assertEqual(
            {name: services[name] for name in SERVICE_NAMES if name != "billing"},
            dict.fromkeys(SERVICE_NAMES[:2] + SERVICE_NAMES[3:], ServiceSettings()),
        )

    def test_a_service_of_ones_own_is_there_beside_the_standard_ones(self) -> None:
        """With a route of its own."""
        settings = loaded('[services.search]\nurl = "http://127.0.0.1:9"\n[[routes]]\nprefix = "/api/v1/search"\nservice = "search"')
        self.assertEqual(list(settings.services), [*SERVICE_NAMES, "search"])
        self.assertEqual(settings.routes, (RouteSettings("/api/v1/search", "search"),))

    def test_an_empty_list_of_routes_is_no_routes(self) -> None:
        """Only their absence means the standard table."""
        self.assertEqual(loaded("routes = []").routes, ())


class EnvironmentTests(SynchronousTestCase):
    """Variables go before the file."""

    def test_each_service_has_variables_for_binding_and_url(self) -> None:
        """The names are those of the original."""
        self.assertEqual(tuple(SERVICE_VARIABLES), SERVICE_NAMES)
        environ = {}
        for index, (binding, url) in enumerate(SERVICE_VARIABLES.values()):
            environ |= {binding: f"unix:/run/{index}.sock", url: f"http://127.0.0.1:{index + 1}"}
        services = load(None, environ).services
        for index, name in enumerate(SERVICE_NAMES):
            self.assertEqual(services[name], ServiceSettings(binding=f"unix:/run/{index}.sock", url=f"http://127.0.0.1:{index + 1}"))

    def test_the_cli_services_url_has_its_own_name(self) -> None:
        """NNO_CLI_URL is something else in the original."""
        self.assertEqual(load(None, {"NNO_CLI_SERVICE_URL": "http://a", "NNO_CLI_URL": "http://b"}).services["cli"].url, "http://a")

    def test_a_variable_goes_before_the_file(self) -> None:
        """Option by option: what it does not say stays the file's."""
        toml = '[services.iam]\nbinding = "unix:/file"\nidle_timeout = 7\n[rate_limit]\nstore = "redis://file"\n[cors]\norigins = ["https://file.example"]'
        settings = loaded(
            toml, {"NNO_IAM": "unix:/variable", "RATE_LIMITER": "redis://variable", "CORS_ORIGINS": "https://variable.example"}
        )
        self.assertEqual(settings.services["iam"], ServiceSettings(binding="unix:/variable", idle_timeout=7))
        self.assertEqual(settings.rate_limit.store, "redis://variable")
        self.assertEqual(settings.cors.origins, ("https://variable.example",))

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        """As when ``docker run -e`` or a unit file passes one on that is not there."""
        toml = '[services.iam]\nurl = "http://file"\n[rate_limit]\nstore = "redis://file"\n[cors]\norigins = ["https://file.example"]'
        self.assertEqual(loaded(toml, {"NNO_IAM": "", "NNO_IAM_URL": "", "RATE_LIMITER": "", "CORS_ORIGINS": " , "}), loaded(toml))

    def test_cors_origins_are_separated_by_commas(self) -> None:
        """Spaces around them do not count."""
        self.assertEqual(
            load(None, {"CORS_ORIGINS": "https://a.example, http://localhost:3000,"}).cors.origins,
            ("https://a.example", "http://localhost:3000"),
        )

    def test_a_problem_names_the_variable(self) -> None:
        """Not the file, where the operator would look in vain."""
        found = problems(
            '[services.billing]\nurl = "http://good"', {"NNO_BILLING_URL": "ftp://bad", "CORS_ORIGINS": "https://a.example,null"}
        )
        self.assertEqual([line.partition(": ")[0] for line in found], ["CORS_ORIGINS #2", "NNO_BILLING_URL"])

    def test_where_the_file_has_no_table_the_variable_does_not_hide_it(self) -> None:
        """The mistake in the file is what is told."""
        (line,) = problems("services = 3", {"NNO_IAM": "unix:/run/iam.sock"})
        self.assertEqual(line, "nnogw.toml: services: found 3, expected tables, each under [services.NAME]")


class OptionTests(SynchronousTestCase):
    """The command line goes before everything."""

    TOML = '[server]\nlisten = ["unix:/file"]\nadmin = "unix:/file-admin"'

    def test_listen_replaces_the_files_list(self) -> None:
        """All of it."""
        self.assertEqual(loaded(self.TOML, listen=["unix:/a", LOOPBACK]).server.listen, ("unix:/a", LOOPBACK))

    def test_without_options_the_files_stand(self) -> None:
        """As twistd passes none."""
        server = loaded(self.TOML, listen=(), admin=None).server
        self.assertEqual((server.listen, server.admin), (("unix:/file",), "unix:/file-admin"))

    def test_admin_may_be_switched_off(self) -> None:
        """Empty says something: no admin listener."""
        self.assertEqual(loaded(self.TOML, admin="").server.admin, "")

    def test_a_problem_names_the_option(self) -> None:
        """And which of several it is."""
        found = problems(listen=[LOOPBACK, "tcp"], admin="tcp:9787")
        self.assertEqual([line.partition(": ")[0] for line in found], ["--listen #2", "--admin"])
