"""Pages of other origins, over real sockets: a browser asks first, and a page reads what it is allowed to, errors included."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from attrs import frozen
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, SERVICE_KEY, Platform, status
from tests.integration.sockets import ok, says

_ORIGIN = "https://app.example"
_PATH = "/api/v1/billing/invoices"
_KEY = {"Authorization": f"Bearer {SERVICE_KEY}"}
_SAFE_METHODS = ("GET", "HEAD", "POST")  # need no permission (https://fetch.spec.whatwg.org/#cors-safelisted-method)
_SAFE_RESPONSE_HEADERS = ("cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma")


@frozen
class Seen:
    """What a page sees of a response.

    Attributes:
        status: its status.
        fields: those of its header fields that the page may read, by their names in lower case.
        body: its body.
    """

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code in the error envelope."""
        return str(orjson.loads(self.body)["error"]["code"])


class Page:
    """A page in a browser, which does what https://fetch.spec.whatwg.org/#http-cors-protocol says, without credentials.

    Args:
        platform: whom it asks.
        origin: where it comes from.
    """

    def __init__(self, platform: Platform, origin: str = _ORIGIN) -> None:
        self._platform = platform
        self._origin = origin

    async def fetch(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Seen | None:
        """Return what the page sees of the response to a request that needs a preflight; None for a network error: it learns nothing."""
        headers = headers or {}
        asked = [f"Access-Control-Request-Method: {method}", f"Access-Control-Request-Headers: {','.join(sorted(map(str.lower, headers)))}"]
        preflight = await self._send("OPTIONS", path, asked)
        if not self._may(preflight, method, headers):
            return None
        response = await self._send(method, path, [f"{name}: {value}" for name, value in headers.items()])
        if not self._is_for_us(response):
            return None
        exposed = {*_SAFE_RESPONSE_HEADERS, *_members(response, "access-control-expose-headers")}
        return Seen(
            response.status, {name: value for name, value in response.fields.items() if name in exposed or "*" in exposed}, response.body
        )

    async def _send(self, method: str, path: str, lines: list[str]) -> Seen:
        head, _, body = (await self._platform.ask(path, f"Origin: {self._origin}", *lines, method=method)).partition(b"\r\n\r\n")
        pairs = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:]]
        return Seen(status(head), {name.lower(): value for name, value in pairs}, body)

    def _is_for_us(self, response: Seen) -> bool:
        return response.fields.get("access-control-allow-origin") in ("*", self._origin)

    def _may(self, preflight: Seen, method: str, headers: Mapping[str, str]) -> bool:
        if not self._is_for_us(preflight) or not 200 <= preflight.status <= 299:
            return False
        if method not in (*_SAFE_METHODS, *preflight.fields.get("access-control-allow-methods", "").split(", ")):
            return False
        allowed = _members(preflight, "access-control-allow-headers")
        return all(name.lower() in allowed or ("*" in allowed and name.lower() != "authorization") for name in headers)


def _members(response: Seen, name: str) -> list[str]:
    return response.fields.get(name, "").lower().split(", ")


class Reading(TestCase):
    """A page can tell what went wrong."""

    async def setUp(self) -> None:
        self.platform = Platform(self, config=f'[cors]\norigins = ["{_ORIGIN}"]')
        await self.platform.start()

    async def test_a_page_reads_why_its_path_was_refused(self) -> None:
        """The browser asks about the same path first, and must not be turned away then."""
        for path in (f"{_PATH}/../x", f"{_PATH}/%2e%2e/x", f"{_PATH}/%252e%252e/x", f"{_PATH}/a%5cb", f"{_PATH}/a%zz", f"{_PATH}/a%00"):
            seen = await Page(self.platform).fetch(path, "PUT", _KEY)
            self.assertIsNotNone(seen, path)
            self.assertEqual((seen.status, seen.code), (400, "BAD_REQUEST"), path)
            self.assertEqual(orjson.loads(seen.body)["error"]["requestId"], seen.fields["x-request-id"])
        seen = await Page(self.platform).fetch(f"{_PATH}/{'a' * 9000}", "PUT", _KEY)
        self.assertEqual((seen.status, seen.code), (414, "URI_TOO_LONG"))
        self.assertEqual(self.platform.billing.visits, [])

    async def test_a_page_reads_every_other_error_of_the_gateway(self) -> None:
        """Wherever it arises: no key, no route, no service."""
        self.platform.billing.answer = lambda visit: visit.hang_up()
        for path, headers, expected in (
            (_PATH, {"Content-Type": "application/json"}, (401, "UNAUTHORIZED")),
            ("/api/v1/nothing", _KEY, (404, "NOT_FOUND")),
            ("/nothing", _KEY, (404, "NOT_FOUND")),
            (_PATH, _KEY, (502, "UPSTREAM_ERROR")),
            ("/api/v1/stacks/x", _KEY, (503, "SERVICE_UNAVAILABLE")),
        ):
            seen = await Page(self.platform).fetch(path, "DELETE", headers)
            self.assertIsNotNone(seen, path)
            self.assertEqual((seen.status, seen.code), expected)

    async def test_a_page_of_another_origin_learns_nothing(self) -> None:
        """Whether the path is refused or not; and nothing of its requests is sent on."""
        for path in (_PATH, f"{_PATH}/%2e%2e/x"):
            self.assertIsNone(await Page(self.platform, "https://evil.example").fetch(path, "PUT", _KEY))
        self.assertEqual(self.platform.billing.visits, [])

    async def test_a_preflight_that_is_itself_refused_is_refused(self) -> None:
        """And its connection closed, with what stands behind it: nothing behind a broken head may be read as a request."""
        asks = f"Origin: {_ORIGIN}\r\nAccess-Control-Request-Method: PUT\r\n"
        behind = f"GET {_PATH} HTTP/1.1\r\nHost: gateway\r\n{AS_SERVICE}\r\n\r\n"
        for line, fields, expected in (
            (f"OPTIONS {_PATH} HTTP/1.1", asks, 400),  # no Host
            (f"OPTIONS {_PATH} HTTP/1.1", f"Host: a\r\nHost: b\r\n{asks}", 400),
            (f"OPTIONS {_PATH}/../x HTTP/1.1", f"Host: a\r\nHost: b\r\n{asks}", 400),
            (f"OPTIONS {_PATH} HTTP/1.1", f"Host: gateway\r\n{asks}" + "X-A: b\r\n" * 120, 431),
            (f"OPTIONS {_PATH} HTTP/1.1", f"Host: gateway\r\n{asks}Expect: tea\r\n", 417),
        ):
            client = await self.platform.client()
            client.send(f"{line}\r\n{fields}\r\n{behind}".encode())
            answer = await client.until_closed()
            self.assertEqual((status(answer), answer.count(b"HTTP/1.1 ")), (expected, 1), answer)
        self.assertEqual(self.platform.billing.visits, [])


class MoreHeaders(TestCase):
    """What pages may send and read can be added to."""

    async def test_a_page_sends_and_reads_what_the_settings_add(self) -> None:
        """And no more than that."""
        more = 'allow_headers = ["X-Client-Version", "content-type"]\nexpose_headers = ["ETag", "X-Total"]'
        platform = Platform(
            self, config=f'[cors]\norigins = ["{_ORIGIN}"]\n{more}', billing=says(ok(b"ok", b'ETag: "7"', b"X-Total: 3", b"X-Inner: 4"))
        )
        await platform.start()
        seen = await Page(platform).fetch(_PATH, "PUT", {**_KEY, "X-Client-Version": "7", "Content-Type": "text/csv"})
        self.assertIsNotNone(seen)
        self.assertEqual((seen.status, seen.fields["etag"], seen.fields["x-total"]), (200, '"7"', "3"))
        self.assertIn("x-nno-trace-id", seen.fields)
        self.assertNotIn("x-inner", seen.fields)
        self.assertIsNone(await Page(platform).fetch(_PATH, "PUT", {**_KEY, "X-Other": "7"}))

    async def test_an_asterisk_is_every_header(self) -> None:
        """The key still arrives, because it is always allowed by name."""
        all_headers = 'allow_headers = ["*"]\nexpose_headers = ["*"]'
        platform = Platform(self, config=f'[cors]\norigins = ["*"]\n{all_headers}', billing=says(ok(b"ok", b"X-Inner: 4")))
        await platform.start()
        seen = await Page(platform).fetch(_PATH, "PUT", {**_KEY, "X-Other": "7"})
        self.assertIsNotNone(seen)
        self.assertEqual((seen.status, seen.fields["x-inner"]), (200, "4"))
