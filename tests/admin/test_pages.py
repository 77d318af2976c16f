"""The admin listener answers its operator, and nobody who speaks through the operator's browser."""

from __future__ import annotations

from twisted.internet.address import UNIXAddress
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.admin.pages import Pages, json
from tests.admin.operator import LOOPBACK, Answer, ask


def broken(request: object) -> bytes:
    raise LookupError("n0t for clients")


class PagesTestCase(SynchronousTestCase):
    """A page to read, one to do something, one that is broken."""

    def setUp(self) -> None:
        self.done = 0
        read = {b"GET": lambda request: json(request, {"read": True})}
        self.root = Pages({b"/read": read, b"/do": {b"POST": self.do}, b"/broken": {b"GET": broken}})

    def do(self, request: object) -> bytes:
        self.done += 1
        return json(request, {"done": True})

    def ask(self, method: str, path: str, *, address: object = LOOPBACK, **fields: str) -> Answer:
        return ask(self.root, method, path, address=address, **fields)


class Answers(PagesTestCase):
    """What everybody may expect of them."""

    def test_a_page_is_neither_kept_nor_guessed_about(self) -> None:
        """Errors neither."""
        for path in ("/read", "/absent"):
            fields = self.ask("GET", path).fields
            self.assertEqual((fields["cache-control"], fields["x-content-type-options"]), ("no-store", "nosniff"))
            self.assertNotIn("server", fields)

    def test_head_is_get_without_the_body(self) -> None:
        """Nothing is said of it in the log."""
        with capturedLogs() as events:
            head = self.ask("HEAD", "/read")
        get = self.ask("GET", "/read")
        self.assertEqual((head.status, head.body, head.fields["content-length"]), (200, b"", str(len(get.body))))
        self.assertEqual(events, [])

    def test_an_unknown_path_is_404_in_json(self) -> None:
        """Whatever the method; paths match to the letter."""
        for method, path in (("GET", "/absent"), ("POST", "/absent"), ("GET", "/read/"), ("GET", "/"), ("GET", "//read")):
            answer = self.ask(method, path)
            self.assertEqual((answer.status, list(answer.document)), (404, ["error"]), path)

    def test_a_wrong_method_is_told_the_right_ones(self) -> None:
        """RFC 9110 §15.5.6 wants it."""
        wrong = (("POST", "/read", "GET, HEAD"), ("GET", "/do", "POST"), ("HEAD", "/do", "POST"), ("PUT", "/do", "POST"))
        for method, path, allowed in wrong:
            answer = self.ask(method, path)
            self.assertEqual((answer.status, answer.fields["allow"]), (405, allowed), method)
        self.assertIn("POST", self.ask("DELETE", "/do").document["error"])
        self.assertEqual(self.done, 0)

    def test_a_bug_is_500_and_stands_in_the_log(self) -> None:
        """The operator is told where to look."""
        answer = self.ask("GET", "/broken")
        self.assertEqual((answer.status, list(answer.document)), (500, ["error"]))
        self.assertNotIn(b"n0t for clients", answer.body)
        (failure,) = self.flushLoggedErrors(LookupError)
        self.assertEqual(failure.getErrorMessage(), "n0t for clients")


class Browsers(PagesTestCase):
    """What a web page that the operator has open can do with the operator's browser."""

    def test_a_name_that_was_rebound_is_refused(self) -> None:
        """The attacker's own name has come to lead to the loopback address; the browser takes the answer for the attacker's."""
        for host in ("evil.example:9787", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", "[2001:db8::1]:9787", "::1", ""):
            answer = self.ask("GET", "/read", Host=host)
            self.assertEqual((answer.status, list(answer.document)), (403, ["error"]), host)

    def test_loopback_names_and_addresses_are_let_in(self) -> None:
        """With a port or without."""
        for host in ("127.0.0.1:9787", "127.0.0.1", "127.8.8.8:1", "localhost:9787", "LOCALHOST", "[::1]:9787", "[::1]"):
            self.assertEqual(self.ask("GET", "/read", Host=host).status, 200, host)

    def test_on_a_unix_socket_any_name_is_right(self) -> None:
        """Browsers do not speak on those; curl makes up a name."""
        self.assertEqual(self.ask("GET", "/read", address=UNIXAddress("/run/nnogw/admin.sock"), Host="nnogw").status, 200)

    def test_another_origin_does_nothing(self) -> None:
        """A form of any page could send it."""
        foreign = ("http://evil.example", "null", "https://127.0.0.1:9787", "http://127.0.0.1:97870", "http://localhost:9787")
        for fields in (*({"Origin": origin} for origin in foreign), {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            answer = self.ask("POST", "/do", **fields)
            self.assertEqual((answer.status, list(answer.document)), (403, ["error"]), fields)
        self.assertEqual(self.done, 0)

    def test_the_listeners_own_pages_and_programs_do(self) -> None:
        """Programs send neither field."""
        for fields in ({}, {"Origin": "http://127.0.0.1:9787", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
            self.assertEqual(self.ask("POST", "/do", **fields).status, 200, fields)
        self.assertEqual(self.done, 3)
