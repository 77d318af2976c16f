"""The lines that the demo prints."""

from __future__ import annotations

import re
import shlex
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.cast import API_KEYS, SESSIONS
from nnogw.demo.lines import admin_lines, gateway_lines, lines

BASE = "http://127.0.0.1:8787"
ADMIN = "http://127.0.0.1:9787"


class LinesTests(SynchronousTestCase):
    """Each line can be pasted as it stands, and says what to expect."""

    def test_the_whole_text_is_a_shell_script(self) -> None:
        """A heading and captions are comments, so nothing harmful comes of pasting too much."""
        checked = subprocess.run(["sh", "-n"], input=lines(BASE, ADMIN), text=True, capture_output=True, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_each_command_stands_under_its_caption(self) -> None:
        """Blocks of two lines, after the heading's."""
        heading, *blocks = lines(BASE, ADMIN).rstrip("\n").split("\n\n")
        self.assertTrue(all(line.startswith("# ") for line in heading.splitlines()))
        shown = [*gateway_lines(BASE), *admin_lines(ADMIN)]
        self.assertEqual(blocks, [f"# {line.status}: {line.caption}\n{line.command}" for line in shown])
        for block in blocks:
            self.assertRegex(block, r"\A# [2-5]\d\d: [^\n]+\n[^#\n][^\n]+\Z")

    def test_each_command_is_curl_with_the_answers_head_at_the_real_address(self) -> None:
        """The status can be seen only with the head."""
        for address, shown in ((BASE, gateway_lines(BASE)), (ADMIN, admin_lines(ADMIN))):
            for line in shown:
                words = shlex.split(line.command)
                self.assertRegex(line.command, r"\bcurl -siN? ")
                self.assertEqual(len([word for word in words if word.startswith(address + "/")]), 1, line.command)

    def test_a_url_with_a_query_is_quoted(self) -> None:
        """An unquoted ? is a pattern to the shell."""
        for line in gateway_lines(BASE):
            self.assertNotRegex(line.command, r"[^'\S][^'\s]*\?")

    def test_every_path_through_the_gateway_is_shown(self) -> None:
        """One line for every answer that a newcomer should have seen."""
        self.assertEqual(
            {line.status for line in gateway_lines(BASE)},
            {200, 204, 400, 401, 404, 429, 451, 500, 502, 503, 504},
        )
        text = lines(BASE)
        for credential in (*SESSIONS, *API_KEYS, "demo-service-key"):
            self.assertTrue(re.search(rf"\b{re.escape(credential)}\b", text), credential)

    def test_without_an_admin_listener_nothing_is_said_of_it(self) -> None:
        """A line that cannot work is not printed."""
        self.assertNotIn("admin", lines(BASE))
        self.assertNotIn("/metrics", lines(BASE))
