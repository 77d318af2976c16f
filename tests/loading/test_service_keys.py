"""Where the service keys come from, and that none is lost or shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import load
from nnogw.settings import AuthSettings
from tests.loading.configurations import loaded, problems


class ServiceKeyTests(SynchronousTestCase):
    """The first place that has keys is the only one that counts."""

    def written(self, content: bytes, name: str = "key") -> str:
        """Return the path of a file in a directory of its own."""
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / name
        path.write_bytes(content)
        return str(path)

    def auth(self, environ: Mapping[str, str] | None = None, toml: str = "") -> AuthSettings:
        """Return what is said of authentication."""
        return loaded(toml, environ).auth

    def test_auth_api_key_holds_one_or_several(self) -> None:
        """Separated by commas or line ends, for rotation."""
        self.assertEqual(load(None, {"AUTH_API_KEY": "one"}).auth.api_key, ("one",))
        self.assertEqual(load(None, {"AUTH_API_KEY": " one,two ,\tthree\r\nfour\n"}).auth.api_key, ("one", "two", "three", "four"))

    def test_a_file_holds_one_a_line(self) -> None:
        """Empty lines, white space around a key and a byte order mark do not count. Commas separate as everywhere."""
        path = self.written(b"\xef\xbb\xbfone\n\n  two \r\nthree")
        self.assertEqual(self.auth({"AUTH_API_KEY_FILE": self.written(b"one, two\n")}).api_key, ("one", "two"))
        auth = self.auth({"AUTH_API_KEY_FILE": path})
        self.assertEqual((auth.api_key, auth.api_key_file), (("one", "two", "three"), path))

    def test_systemd_may_pass_a_credential(self) -> None:
        """With ``LoadCredential=AUTH_API_KEY:…``."""
        path = self.written(b"one", "AUTH_API_KEY")
        self.assertEqual(self.auth({"CREDENTIALS_DIRECTORY": os.path.dirname(path)}).api_key, ("one",))

    def test_a_credentials_directory_for_other_things_is_passed_over(self) -> None:
        """The unit may load credentials that are not ours."""
        path = self.written(b"one", "OTHER")
        self.assertEqual(self.auth({"CREDENTIALS_DIRECTORY": os.path.dirname(path)}).api_key, ())

    def test_the_configuration_may_hold_keys_or_name_a_file(self) -> None:
        """A string is read as the variable is."""
        self.assertEqual(self.auth(toml='[auth]\napi_key = "one, two"').api_key, ("one", "two"))
        path = self.written(b"filed")
        self.assertEqual(self.auth(toml='[auth]\napi_key = "one"').api_key, ("one",))
        self.assertEqual(self.auth(toml='[auth]\napi_key = ["one", "two"]').api_key, ("one", "two"))
        self.assertEqual(self.auth(toml=f'[auth]\napi_key_file = "{path}"'), AuthSettings(api_key=("filed",), api_key_file=path))
        self.assertEqual(self.auth(toml=f'[auth]\napi_key = ""\napi_key_file = "{path}"').api_key, ("filed",))

    def test_empty_is_not_set(self) -> None:
        """Wherever it stands."""
        environ = {"AUTH_API_KEY": " , ", "AUTH_API_KEY_FILE": "", "CREDENTIALS_DIRECTORY": ""}
        for toml in ("", '[auth]\napi_key = ""', "[auth]\napi_key = []", '[auth]\napi_key = ""\napi_key_file = ""'):
            self.assertEqual(self.auth(environ, toml), AuthSettings())

    def test_the_first_place_wins(self) -> None:
        """Variable, file of a variable, credential, configuration."""
        toml = '[auth]\napi_key = "configured"'
        credential = self.written(b"credential", "AUTH_API_KEY")
        environ = {
            "AUTH_API_KEY": "variable",
            "AUTH_API_KEY_FILE": self.written(b"filed"),
            "CREDENTIALS_DIRECTORY": os.path.dirname(credential),
        }
        for place, key in (("AUTH_API_KEY", "variable"), ("AUTH_API_KEY_FILE", "filed"), ("CREDENTIALS_DIRECTORY", "credential")):
            self.assertEqual(self.auth(environ, toml).api_key, (key,))
            environ[place] = ""
        self.assertEqual(self.auth(environ, toml).api_key, ("configured",))

    def test_the_variable_goes_before_a_file_that_the_configuration_names(self) -> None:
        """Which need not even be there."""
        self.assertEqual(self.auth({"AUTH_API_KEY": "one"}, '[auth]\napi_key_file = "/nonexistent"'), AuthSettings(api_key=("one",)))

    def test_keys_in_two_places_of_the_configuration_are_refused(self) -> None:
        """Nobody should wonder which are active."""
        (line,) = problems('[auth]\napi_key = "one"\napi_key_file = "/nonexistent"')
        self.assertTrue(line.startswith("nnogw.toml: [auth] api_key_file: api_key is set too"), line)

    def test_a_key_file_that_gives_no_key_is_refused(self) -> None:
        """It must never open the gateway, not even on a loopback address."""
        empty, binary = self.written(b" \n\n"), self.written(b"\xff\xfe")
        for path, problem in (
            ("/nonexistent", "cannot be read: No such file or directory"),
            (empty, "holds no service key"),
            (binary, "is not a text file"),
        ):
            self.assertEqual(
                problems("", {"AUTH_API_KEY_FILE": path}, listen=["tcp:80"]),
                [f"AUTH_API_KEY_FILE: {path}: {problem}, expected one service key a line"],
            )
            (line,) = problems(f'[auth]\napi_key_file = "{path}"', listen=["tcp:80"])
            self.assertEqual(line, f"nnogw.toml: [auth] api_key_file: {path}: {problem}, expected one service key a line")

    def test_a_key_in_place_of_its_file_is_not_shown(self) -> None:
        """The name of the variable is easily mistaken."""
        self.assertEqual(
            problems("", {"AUTH_API_KEY_FILE": "s3cr3t"}),
            ["AUTH_API_KEY_FILE: a value that is not shown: cannot be read: No such file or directory, expected one service key a line"],
        )

    def test_an_empty_credential_is_refused(self) -> None:
        """It was meant to be one."""
        path = self.written(b"", "AUTH_API_KEY")
        self.assertEqual(
            problems("", {"CREDENTIALS_DIRECTORY": os.path.dirname(path)}),
            [f"CREDENTIALS_DIRECTORY: {path}: holds no service key, expected one service key a line"],
        )

    def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(self) -> None:
        """Wherever it comes from."""
        expected = "found a value that is not shown, expected a service key: up to 8192 visible ASCII characters other than a comma"
        self.assertEqual(problems("", {"AUTH_API_KEY": "good,secrét"}), [f"AUTH_API_KEY #2: {expected}"])
        self.assertEqual(problems('[auth]\napi_key = ["good", ""]'), [f"nnogw.toml: [auth] api_key #2: {expected}"])
        self.assertEqual(problems('[auth]\napi_key = ["one,two"]'), [f"nnogw.toml: [auth] api_key #1: {expected}"])

    def test_white_space_inside_a_key_is_refused(self) -> None:
        """Two keys were meant, or one was torn: guessing would activate keys that nobody made."""
        path, credential = self.written(b"good\nsecret words\n"), self.written(b"secret\twords", "AUTH_API_KEY")
        expected = (
            "found a value that is not shown, expected a service key without white space in it; commas or line ends separate several keys"
        )
        self.assertEqual(problems("", {"AUTH_API_KEY": "one,secret words"}), [f"AUTH_API_KEY #2: {expected}"])
        self.assertEqual(problems("", {"AUTH_API_KEY_FILE": path}), [f"AUTH_API_KEY_FILE: {path} #2: {expected}"])
        self.assertEqual(
            problems("", {"CREDENTIALS_DIRECTORY": os.path.dirname(credential)}), [f"CREDENTIALS_DIRECTORY: {credential} #1: {expected}"]
        )
        self.assertEqual(problems('[auth]\napi_key = "secret words"'), [f"nnogw.toml: [auth] api_key #1: {expected}"])
        self.assertEqual(problems('[auth]\napi_key = ["good", "secret words"]'), [f"nnogw.toml: [auth] api_key #2: {expected}"])

    def test_other_secrets_are_not_shown_either(self) -> None:
        """A store's URL, and whatever has a password in it."""
        lines = problems(
            '[services.iam]\nurl = "http://me:secret@iam"', {"RATE_LIMITER": "secret", "CORS_ORIGINS": "https://me:secret@app"}
        )
        self.assertEqual(len(lines), 3)
        self.assertNotIn("secret", "".join(lines))

    def test_a_key_of_a_wrong_type_is_refused(self) -> None:
        """And does not count as none."""
        self.assertEqual(
            problems("[auth]\napi_key = 3", listen=["tcp:80"]), ["nnogw.toml: [auth] api_key: found 3, expected a list of strings"]
        )
        self.assertEqual(len(problems("[auth]\napi_key_file = 3")), 1)

    def test_keys_are_not_in_the_settings_text(self) -> None:
        """A traceback or a log of them tells nothing."""
        self.assertNotIn("secret", repr(load(None, {"AUTH_API_KEY": "secret"})))
