"""What a demo service answers when it has no answer of its own."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.echo import DemoService, json_answer


class EchoTests(SynchronousTestCase):
    """An echo tells everything that arrived."""

    def setUp(self) -> None:
        self.treq = StubTreq(DemoService("cli", {(b"GET", b"/own"): lambda request: json_answer(request, "mine", 203)}))

    def echo(self, method: str, url: str, **arguments: Any) -> Any:
        response = self.successResultOf(self.treq.request(method, url, **arguments))
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers.getRawHeaders("Content-Type"), ["application/json"])
        return self.successResultOf(response.json())

    def test_tells_service_method_path_and_query(self) -> None:
        """The target is told as it came, percent signs and all."""
        echo = self.echo("DELETE", "http://cli/a%2Fb//c;d?x=1&y=%20")
        self.assertEqual(
            (echo["service"], echo["method"], echo["path"], echo["query"]),
            ("cli", "DELETE", "/a%2Fb//c;d", "x=1&y=%20"),
        )

    def test_tells_each_header_field_as_a_pair(self) -> None:
        """A field that came twice is told twice."""
        echo = self.echo("GET", "http://cli/", headers={"X-Nno-Role": ["admin"], "X-Twice": ["1", "2"]})
        for pair in (["X-Nno-Role", "admin"], ["X-Twice", "1"], ["X-Twice", "2"]):
            self.assertIn(pair, echo["headers"])

    def test_measures_the_body(self) -> None:
        """Size and digest stand for the body, which may be larger than one block."""
        body = b"z" * 150_000
        echo = self.echo("POST", "http://cli/upload", data=body)
        self.assertEqual(echo["body"], {"bytes": 150_000, "sha256": sha256(body).hexdigest()})

    def test_a_form_is_a_body_like_any_other(self) -> None:
        """What looks like a form is measured, too."""
        echo = self.echo("POST", "http://cli/", data=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(echo["body"]["bytes"], 3)

    def test_has_one_header_field_a_line(self) -> None:
        """A person can read it without another tool."""
        response = self.successResultOf(self.treq.get("http://cli/", headers={"X-Nno-Role": "admin"}))
        text = self.successResultOf(response.text())
        self.assertIn('\n    ["X-Nno-Role","admin"]', text)
        self.assertIn('\n  "service": "cli",\n', text)
        self.assertTrue(text.endswith("\n}\n"))

    def test_an_answer_of_its_own_goes_before_the_echo(self) -> None:
        """It belongs to one method and one path."""
        response = self.successResultOf(self.treq.get("http://cli/own"))
        self.assertEqual((response.code, self.successResultOf(response.json())), (203, "mine"))
        self.assertEqual(self.echo("PUT", "http://cli/own")["method"], "PUT")
