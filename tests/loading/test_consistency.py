"""What does not go together."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.loading.configurations import loaded, problems


class RouteTests(SynchronousTestCase):
    """Routes lead to services, each prefix to one."""

    def test_a_route_to_no_service_is_answered_with_the_nearest(self) -> None:
        """Services of one's own count."""
        self.assertEqual(
            problems('[[routes]]\nprefix = "/api/a"\nservice = "iam"\n[[routes]]\nprefix = "/api/b"\nservice = "biling"'),
            ['nnogw.toml: [[routes]] #2 service: found "biling", which is no service; did you mean billing?'],
        )
        self.assertIn("did you mean search?", problems('[services.search]\n[[routes]]\nprefix = "/api/s"\nservice = "serch"')[0])

    def test_a_prefix_leads_to_one_service(self) -> None:
        """It is told where it stands already."""
        self.assertEqual(
            problems('[[routes]]\nprefix = "/api/a"\nservice = "iam"\n[[routes]]\nprefix = "/api/a"\nservice = "cli"'),
            ['nnogw.toml: [[routes]] #2 prefix: found "/api/a", which is the prefix of #1 already'],
        )

    def test_what_is_no_route_at_all_is_told_once(self) -> None:
        """Types come first."""
        self.assertEqual(len(problems("routes = [3]")), 1)
        self.assertEqual(len(problems("routes = 3")), 1)
        self.assertEqual(len(problems("routes = [{prefix = 3, service = 3}]")), 2)
        self.assertEqual(len(problems('services = 3\nroutes = [{prefix = "/api/a", service = "iam"}]')), 1)


class OriginTests(SynchronousTestCase):
    """Credentials and all origins do not go together."""

    def test_any_origin_with_credentials_is_refused(self) -> None:
        """Browsers do so too, but only once somebody tries."""
        (line,) = problems('[cors]\norigins = ["*"]\ncredentials = true')
        self.assertTrue(line.startswith('nnogw.toml: [cors] origins: found "*" together with credentials = true'), line)
        self.assertEqual(len(problems("[cors]\ncredentials = true", {"CORS_ORIGINS": "*"})), 1)

    def test_either_alone_is_good(self) -> None:
        """A public interface, or a web application with cookies."""
        self.assertEqual(problems('[cors]\norigins = ["*"]'), [])
        self.assertEqual(problems('[cors]\norigins = ["https://app.example.com"]\ncredentials = true'), [])


class CorsHeaderTests(SynchronousTestCase):
    """Each header is named once, and all of them only where browsers understand it."""

    def test_a_header_is_named_once_whatever_its_case(self) -> None:
        """It is told where it stands already."""
        for option in ("allow_headers", "expose_headers"):
            self.assertEqual(
                problems(f'[cors]\n{option} = ["X-A", "X-B", "x-a"]'),
                [f'nnogw.toml: [cors] {option} #3: found "x-a", which is #1 already'],
            )

    def test_one_that_is_built_in_may_be_named(self) -> None:
        """So that a later version can have more of them."""
        self.assertEqual(problems('[cors]\nallow_headers = ["content-type"]\nexpose_headers = ["retry-after"]'), [])

    def test_all_headers_with_credentials_are_refused(self) -> None:
        """A browser would look for a header of the name *."""
        for option in ("allow_headers", "expose_headers"):
            (line,) = problems(f'[cors]\n{option} = ["X-A", "*"]\ncredentials = true')
            self.assertTrue(line.startswith(f'nnogw.toml: [cors] {option}: found "*" together with credentials = true'), line)
            self.assertEqual(problems(f'[cors]\n{option} = ["X-A", "*"]'), [])

    def test_what_is_no_list_of_names_is_told_once(self) -> None:
        """Types come first."""
        self.assertEqual(len(problems("[cors]\nallow_headers = 3\nexpose_headers = [3]")), 2)


class BypassTests(SynchronousTestCase):
    """A lost variable cannot open a production gateway."""

    def test_without_a_key_it_does_not_listen_publicly(self) -> None:
        """The ways out are told."""
        (line,) = problems('[server]\nlisten = ["unix:/run/a.sock", "tcp:8787"]')
        self.assertEqual(
            line,
            'nnogw.toml: [server] listen #2: "tcp:8787" can be reached from other machines, and without AUTH_API_KEY every request passes '
            "unauthenticated; set AUTH_API_KEY, or listen on a loopback address (:interface=127.0.0.1) or a unix socket, "
            "or set auth.allow_unauthenticated = true in the configuration file",
        )

    def test_every_public_endpoint_is_told(self) -> None:
        """Also those of the command line."""
        found = problems("", {"AUTH_API_KEY": ""}, listen=["tcp:80", "tcp:81:interface=127.0.0.1", "tcp6:82", "tcp:83:interface=10.0.0.1"])
        self.assertEqual([line.partition(": ")[0] for line in found], ["--listen #1", "--listen #3", "--listen #4"])

    def test_with_a_key_it_may(self) -> None:
        """From wherever the key comes."""
        path = self.mktemp()
        Path(path).write_text("key")
        self.assertEqual(problems("", {"AUTH_API_KEY": "key"}, listen=["tcp:80"]), [])
        self.assertEqual(problems("", {"AUTH_API_KEY_FILE": path}, listen=["tcp:80"]), [])
        self.assertEqual(problems('[auth]\napi_key = "key"', listen=["tcp:80"]), [])

    def test_privately_it_may_listen_without_a_key(self) -> None:
        """For development."""
        private = ("tcp:80:interface=127.0.0.1", "tcp:80:interface=localhost", "tcp6:80:interface=\\:\\:1", "unix:/run/a.sock")
        self.assertEqual(loaded(listen=private).server.listen, private)

    def test_someone_may_mean_it(self) -> None:
        """Behind something else that authenticates."""
        self.assertTrue(loaded("[auth]\nallow_unauthenticated = true", listen=["tcp:80"]).auth.allow_unauthenticated)
        self.assertEqual(len(problems("[auth]\nallow_unauthenticated = false", listen=["tcp:80"])), 1)

    def test_the_demo_has_a_key_of_its_own(self) -> None:
        """It may be shown to others."""
        self.assertEqual(loaded(listen=["tcp:80"], demo=True).server.listen, ("tcp:80",))

    def test_an_endpoint_that_is_none_is_told_once(self) -> None:
        """It cannot be reached from anywhere."""
        self.assertEqual(len(problems(listen=["nonsense"])), 1)
        self.assertEqual(len(problems("[server]\nlisten = [3]")), 1)

    def test_a_gateway_listens_somewhere(self) -> None:
        """An empty list is a mistake."""
        self.assertEqual(
            problems("[server]\nlisten = []"), ["nnogw.toml: [server] listen: found an empty list, expected at least one endpoint"]
        )
