"""Where the configuration comes from is read again as often as it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import ConfigurationError, Source
from nnogw.upstream.tls import TlsFiles
from tests.upstream.certificates import make


class Reading(SynchronousTestCase):
    """A file, what it names, and what systemd passes."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, name: str, text: str) -> Path:
        """Write a file to the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def test_the_file_and_the_key_file_are_read_anew(self) -> None:
        """The key file may be named in the file, in a variable, or be a credential."""
        for config, environ in (
            ('[auth]\napi_key_file = "AUTH_API_KEY"\n', {}),
            ("", {"AUTH_API_KEY_FILE": "AUTH_API_KEY"}),
            ("", {"CREDENTIALS_DIRECTORY": str(self.folder)}),
        ):
            source = Source("nnogw.toml", environ, folder=str(self.folder))
            for key, limit in (("one-service-key-of-the-test", 1), ("another-service-key-of-the-test", 2)):
                self.write("nnogw.toml", f"{config}[rate_limit]\nlimit = {limit}\n")
                self.write("AUTH_API_KEY", key)
                settings = source.load().settings
                self.assertEqual((settings.auth.api_key, settings.rate_limit.limit), ((key,), limit))

    def test_relative_paths_count_from_its_folder(self) -> None:
        """Wherever the process has gone meanwhile."""
        self.write("nnogw.toml", '[server]\naccess_log = "access.log"\n[auth]\napi_key_file = "keys"\n')
        self.write("keys", "a-service-key-of-the-test")
        source = Source("nnogw.toml", {}, folder=str(self.folder))
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir("/")
        settings = source.load().settings
        self.assertEqual(settings.server.access_log, str(self.folder / "access.log"))
        self.assertEqual(settings.auth.api_key, ("a-service-key-of-the-test",))

    def test_the_files_of_tls_are_read_with_it(self) -> None:
        """Of the services whose binding names any."""
        made = make("gateway")
        path = made.write(self.folder / "own.pem")
        billing = f'[services.billing]\nbinding = "tls:localhost:443:certificate={path}"\n'
        self.write("nnogw.toml", f'{billing}[services.cli]\nbinding = "tcp:a:1"\n')
        content = made.key_pem + made.pem
        files = Source(str(self.folder / "nnogw.toml"), {}).load().tls_files
        self.assertEqual(files, {"billing": TlsFiles((), content, content)})

    def test_its_warnings_come_along(self) -> None:
        """But for the demo, whose services are there by themselves."""
        self.assertIn("AUTH_API_KEY is not set", Source(None, {}).load().warnings[0])
        self.assertEqual(Source(None, {}, demo=True).load().warnings, ())

    def test_what_is_wrong_is_raised_each_time(self) -> None:
        """Until it is mended."""
        source = Source(str(self.write("nnogw.toml", "[rate_limit]\nlimit = -1\n")), {})
        for _ in range(2):
            self.assertIn("[rate_limit] limit", str(self.assertRaises(ConfigurationError, source.load)))
        self.write("nnogw.toml", "")
        source.load()

    def test_it_shows_no_key(self) -> None:
        """The environment may hold one."""
        self.assertNotIn("secret", repr(Source(None, {"AUTH_API_KEY": "secret"})))
