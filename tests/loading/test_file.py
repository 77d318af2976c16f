"""What can be wrong with the file as such, and with its tables."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import fields, has
from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import ConfigurationError, load
from nnogw.loading.rules import RULES
from nnogw.settings import RateLimitRule, SessionPaths, Settings
from tests.loading.configurations import loaded, problems


class ReadingTests(SynchronousTestCase):
    """A file that cannot be read stops the start, in one line."""

    def refused(self, path: str) -> str:
        """Return with what a file is refused."""
        return str(self.assertRaises(ConfigurationError, load, path, {}, listen=["tcp:80"]))

    def written(self, content: bytes) -> str:
        """Return the path of a file."""
        path = self.mktemp()
        Path(path).write_bytes(content)
        return path

    def test_a_missing_file_is_named(self) -> None:
        """And nothing else is said of what it would have contained."""
        self.assertEqual(self.refused("/nonexistent/nnogw.toml"), "/nonexistent/nnogw.toml: cannot be read: No such file or directory")

    def test_an_empty_path_is_a_missing_file(self) -> None:
        """As ``--config "$LOST"`` gives it."""
        self.assertEqual(self.refused(""), '"": cannot be read: No such file or directory')

    def test_a_directory_is_not_a_file(self) -> None:
        """The system's own words."""
        path = self.mktemp()
        os.mkdir(path)
        self.assertEqual(self.refused(path), f"{path}: cannot be read: Is a directory")

    def test_bytes_that_are_not_utf_8_are_found_by_line(self) -> None:
        """TOML is UTF-8."""
        path = self.written(b"# one\n# two\n# caf\xe9\n")
        self.assertEqual(self.refused(path), f"{path}: is not UTF-8 (line 3)")

    def test_a_mistake_in_the_toml_is_found_by_line(self) -> None:
        """As the parser tells it."""
        path = self.written(b"[server]\nlisten = oops\n")
        self.assertEqual(self.refused(path), f"{path}: is not valid TOML: Invalid value (at line 2, column 10)")

    def test_a_number_that_python_will_not_read_is_not_valid(self) -> None:
        """int() has a bound of its own."""
        path = self.written(b"[limits]\nmax_body = " + b"9" * 5000)
        self.assertIn(f"{path}: is not valid TOML: ", self.refused(path))

    def test_nesting_without_end_is_not_valid(self) -> None:
        """The parser would end in a RecursionError."""
        path = self.written(b"a = " + b"[" * 100_000)
        self.assertIn(f"{path}: is not valid TOML: ", self.refused(path))

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        """Some editors write one."""
        self.assertEqual(load(self.written(b"\xef\xbb\xbf[cors]\nmax_age = 1\n"), {}).cors.max_age, 1)

    def test_a_path_that_would_forge_a_line_is_quoted(self) -> None:
        """A problem is one line."""
        self.assertEqual(self.refused("/a\nb"), '"/a\\nb": cannot be read: No such file or directory')

    def test_what_the_environment_says_is_checked_all_the_same(self) -> None:
        """All problems are told at once."""
        error = self.assertRaises(ConfigurationError, load, "/nonexistent", {"NNO_IAM_URL": "ftp://iam"})
        self.assertEqual(len(str(error).splitlines()), 2)


class TableTests(SynchronousTestCase):
    """Tables have the keys that they have, and values of one type."""

    def test_an_unknown_key_is_answered_with_the_nearest(self) -> None:
        """Most are misspelt."""
        self.assertEqual(
            problems("[services.billing]\nconect_timeout = 3"),
            ["nnogw.toml: [services.billing] conect_timeout: unknown key, did you mean connect_timeout?"],
        )

    def test_an_unknown_key_without_a_near_one_is_answered_with_all(self) -> None:
        """So that nobody has to look them up."""
        self.assertEqual(
            problems("[[routes]]\nzzz = 3\nprefix = '/api/a'\nservice = 'iam'"),
            ["nnogw.toml: [[routes]] #1 zzz: unknown key, expected one of prefix, service, upstream_path"],
        )

    def test_an_unknown_table_is_an_unknown_key(self) -> None:
        """At every depth."""
        self.assertEqual(problems("[servers]"), ["nnogw.toml: servers: unknown key, did you mean server?"])
        self.assertEqual(problems("[auth.cash]"), ["nnogw.toml: [auth] cash: unknown key, did you mean cache?"])
        self.assertEqual(problems("[auth.cache]\nttll = 3"), ["nnogw.toml: [auth.cache] ttll: unknown key, did you mean ttl?"])

    def test_a_key_that_would_forge_a_line_is_quoted(self) -> None:
        """TOML allows any string as a key."""
        (line,) = problems('[cors]\n"a\\nb" = 3')
        self.assertTrue(line.startswith('nnogw.toml: [cors] "a\\nb": unknown key'), line)

    def test_the_value_of_an_unknown_key_is_not_shown(self) -> None:
        """It may be a misspelt secret."""
        (line,) = problems('[auth]\napi_kei = "secret"')
        self.assertEqual(line, "nnogw.toml: [auth] api_kei: unknown key, did you mean api_key?")

    def test_a_key_that_is_missing_is_named_with_what_it_should_be(self) -> None:
        """Only lists of tables have such keys."""
        self.assertEqual(
            problems('[[rate_limit.rules]]\nprefix = "/api"\nlimit = 1\n[[rate_limit.rules]]\nprefix = "/api"'),
            ["nnogw.toml: [[rate_limit.rules]] #2 limit: missing, expected a whole number from 0"],
        )

    def test_what_should_be_a_table_is_not_something_else(self) -> None:
        """Wherever it stands."""
        for toml, where in (
            ("server = 3", "server"),
            ("auth.cache = 3", "[auth] cache"),
            ("services.iam = 3", "[services] iam"),
            ("routes = [3]", "routes #1"),
            ("rate_limit.rules = [{prefix = '/', limit = 1}, 3]", "[rate_limit] rules #2"),
        ):
            self.assertEqual(problems(toml), [f"nnogw.toml: {where}: found 3, expected a table"])

    def test_what_should_be_a_list_of_tables_is_not_something_else(self) -> None:
        """A single table above all."""
        self.assertEqual(problems("[routes]"), ["nnogw.toml: routes: found a table, expected tables, each under its own [[…]]"])

    def test_what_should_be_a_list_of_strings_is_not_one_string(self) -> None:
        """Its characters would be taken for endpoints."""
        self.assertEqual(
            problems('[server]\nlisten = "tcp:80"'), ['nnogw.toml: [server] listen: found "tcp:80", expected a list of strings']
        )

    def test_nothing_is_converted(self) -> None:
        """A string is not a number, true is not 1, 1 is not true, 1.0 is not whole."""
        for toml, found, expected in (
            ('[services.iam]\nidle_timeout = "3"', '"3"', "seconds, a number above 0 up to 31622400"),
            ("[services.iam]\nidle_timeout = true", "true", "seconds, a number above 0 up to 31622400"),
            ("[rate_limit]\nlimit = true", "true", "a whole number from 0"),
            ("[rate_limit]\nlimit = 1.0", "1.0", "a whole number from 0"),
            ("[limits]\nmax_body = false", "false", "bytes, a whole number from 1"),
            ("[cors]\ncredentials = 1", "1", "true or false"),
            ('[auth]\nallow_unauthenticated = "yes"', '"yes"', "true or false"),
            ("[auth]\napi_key_file = 2020-01-01", "a date or time", "a string"),
            (
                "[cors]\norigins = [[]]",
                "a list",
                'an origin as browsers send it ("https://app.example.com", "http://localhost:3000"), "https://*.example.com", or "*"',
            ),
        ):
            (line,) = problems(toml)
            self.assertTrue(line.endswith(f": found {found}, expected {expected}"), line)

    def test_a_whole_number_is_good_for_a_time(self) -> None:
        """And a fraction too."""
        services = loaded("[services.iam]\nidle_timeout = 3\nconnect_timeout = 0.25").services
        self.assertEqual((services["iam"].idle_timeout, services["iam"].connect_timeout), (3, 0.25))

    def test_a_long_value_is_shortened(self) -> None:
        """A line should stay readable."""
        (line,) = problems(f'[lifecycle]\non_unknown = "{"x" * 1000}"')
        self.assertIn('xxx…", expected "allow" or "deny"', line)
        self.assertLess(len(line), 200)
        self.assertIn("a number of more than a hundred digits", problems(f"[limits]\nmax_body = -{'9' * 1000}")[0])

    def test_the_name_of_a_service_is_a_word(self) -> None:
        """It stands in logs and metrics."""
        self.assertEqual(
            problems('[services."a b"]'),
            ['nnogw.toml: [services] "a b": found "a b", expected as the name of a service a word of letters, digits, - _ and .'],
        )

    def test_all_problems_are_told_at_once(self) -> None:
        """Not one a start."""
        toml = """
            typo = 1
            [server]
            listen = ["tcp", 3, "unix:/good"]
            [services.billing]
            connect_timeout = 0
            idle_timeout = -1
            [[routes]]
            prefix = "api"
            service = "biling"
            [[routes]]
            """
        found = problems(toml, {"NNO_CLI": "nonsense"}, admin="tcp:1")
        self.assertEqual(sorted(line.partition(": ")[0] for line in found if not line.startswith("nnogw.toml")), ["--admin", "NNO_CLI"])
        self.assertEqual(
            sorted(line.split(": ")[1] for line in found if line.startswith("nnogw.toml")),
            [
                "[[routes]] #1 prefix",
                "[[routes]] #1 service",
                "[[routes]] #2 prefix",
                "[[routes]] #2 service",
                "[server] listen #1",
                "[server] listen #2",
                "[services.billing] connect_timeout",
                "[services.billing] idle_timeout",
                "typo",
            ],
        )


class RuleTableTests(SynchronousTestCase):
    """No option goes unchecked."""

    def test_every_option_has_a_rule(self) -> None:
        """Except those that are classes of their own, and lists and tables of such."""
        without = {
            f"{cls.__name__}.{option.name}" for cls in (*RULES, Settings) for option in fields(cls) if option.name not in RULES.get(cls, {})
        }
        self.assertEqual(
            without,
            {"AuthSettings.paths", "AuthSettings.cache", "RateLimitSettings.rules"}
            | {f"Settings.{option.name}" for option in fields(Settings)},
        )

    def test_every_rule_has_an_option(self) -> None:
        """A misspelt one would check nothing."""
        for cls, rules in RULES.items():
            self.assertTrue(has(cls))
            self.assertLessEqual(rules.keys(), {option.name for option in fields(cls)})

    def test_every_default_is_good(self) -> None:
        """What may be left out may be written down too."""
        for cls, rules in RULES.items():
            if cls is RateLimitRule or cls.__name__ == "RouteSettings":
                continue
            values = cls()
            for name, rule in rules.items():
                value = getattr(values, name)
                for item in value if isinstance(value, tuple) else [value]:
                    self.assertEqual(rule(item), "", f"{cls.__name__}.{name}")

    def test_nested_tables_become_their_classes(self) -> None:
        """Lists of strings become tuples."""
        settings = loaded('[auth.paths]\nuser_id = ["sub"]\n[[rate_limit.rules]]\nprefix = "/api"\nlimit = 0\nmethods = ["GET"]')
        self.assertEqual(settings.auth.paths, SessionPaths(user_id=("sub",)))
        self.assertEqual(settings.rate_limit.rules, (RateLimitRule("/api", 0, methods=("GET",)),))
