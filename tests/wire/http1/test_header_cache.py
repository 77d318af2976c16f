"""A header section that comes again is understood without being parsed again; nothing else changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import HeaderFields
from nnogw.settings import LimitSettings
from nnogw.wire.http1.header_cache import HeaderSectionCache
from tests.wire.client_connection import ClientConnection, Root

SECTION = b"\r\nHost: gateway\r\nAuthorization: Bearer t\r\n\r\n"
FIELDS = HeaderFields([(b"Host", b"gateway"), (b"Authorization", b"Bearer t")])


def head(line: bytes, section: bytes = SECTION) -> bytes:
    """Return a head."""
    return line + section


class HeaderSectionCacheTests(SynchronousTestCase):
    """Same to the byte, and only the request line new."""

    def setUp(self) -> None:
        self.known = HeaderSectionCache(head(b"GET /x HTTP/1.1"), FIELDS, keep_alive=True, generation=1)

    def test_a_new_request_line_before_the_same_section_is_read(self) -> None:
        """Of the methods that have no body."""
        for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
            self.assertEqual(self.known.request_line(head(method + b" /a?b=%zz HTTP/1.1")), (method, b"/a?b=%zz"))

    def test_everything_else_is_left_to_the_parser(self) -> None:
        """Other sections, other methods, other versions, and lines that are not quite right."""
        for other in (
            head(b"GET /x HTTP/1.1", b"\r\nHost: other\r\nAuthorization: Bearer t\r\n\r\n"),
            head(b"GET /x HTTP/1.1\r\nX: y"),
            head(b"POST /x HTTP/1.1"),
            head(b"GET /x HTTP/1.0"),
            head(b"GET  /x HTTP/1.1"),
            head(b"GET /x y HTTP/1.1"),
            head(b"GET /x HTTP/1.1 "),
            head(b"GET http://h/x HTTP/1.1"),
            head(b"GET /\xe9 HTTP/1.1"),
            head(b"GET /\x00 HTTP/1.1"),
            head(b" GET /x HTTP/1.1"),
            head(b"get /x HTTP/1.1"),
            head(b"GET /x HTTP/1.1\n"),
            head(b"GET /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1"),
            SECTION,
        ):
            self.assertIsNone(self.known.request_line(other), other)

    def test_what_says_anything_of_framing_is_never_known(self) -> None:
        """It is parsed each time."""
        self.assertTrue(HeaderSectionCache.fits(FIELDS))
        for name in (b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"Expect"):
            self.assertFalse(HeaderSectionCache.fits(HeaderFields([(b"Host", b"a"), (name, b"0")])))


_HEADS = st.sampled_from(
    [
        head(b"GET /x HTTP/1.1"),
        head(b"GET /y?z HTTP/1.1"),
        head(b"DELETE /y HTTP/1.1"),
        head(b"GET /" + b"a" * 300 + b" HTTP/1.1"),
        head(b"POST /x HTTP/1.1", b"\r\nHost: gateway\r\nContent-Length: 2\r\n\r\nok"),
        head(b"GET /x HTTP/1.1", b"\r\nHost: gateway\r\n\r\n"),
        head(b"GET /x HTTP/1.0", b"\r\nHost: gateway\r\nConnection: keep-alive\r\n\r\n"),
        head(b"GET  /x HTTP/1.1"),
        head(b"TRACE /x HTTP/1.1"),
        head(b"GET /x HTTP/1.1", b"\r\nHost: gateway\r\nConnection: close\r\n\r\n"),
    ]
)


class OnAConnection(SynchronousTestCase):
    """It makes no difference that a client or a log could see."""

    @settings(deadline=None, max_examples=150)
    @given(st.lists(_HEADS, max_size=6))
    def test_the_same_requests_get_the_same_answers_with_and_without_it(self, heads: list[bytes]) -> None:
        """One connection that may remember, and one that is fed in two segments each time and cannot."""
        limits = LimitSettings(max_target=200)
        seen = []
        for size in (1 << 16, 7):
            root = Root()
            client = ClientConnection(root, limits)
            for one in heads:
                if not client.closed:
                    client.send(one, size)
                    client.turn()
            requests = [(r.method, r.target, r.fields.raw, r.keep_alive) for r in root.requests if r.refusal is None]
            seen.append((requests, client.statuses, client.closed))
        self.assertEqual(seen[0], seen[1])

    def test_a_refused_target_is_refused_behind_a_known_section_too(self) -> None:
        """Limits hold for the whole head."""
        client = ClientConnection(Root(), LimitSettings(max_target=100, max_header_bytes=200))
        client.send(head(b"GET /x HTTP/1.1"))
        client.send(head(b"GET /" + b"a" * 150 + b" HTTP/1.1"))
        self.assertEqual(client.statuses, [200, 414])
        self.assertTrue(client.closed)

    def test_a_large_section_is_not_kept(self) -> None:
        """There may be thousands of idle connections; a section is the same object for as long as it is known."""
        for size, kept in ((3000, True), (5000, False)):
            root = Root()
            client = ClientConnection(root)
            for _ in range(2):
                client.send(head(b"GET /x HTTP/1.1", b"\r\nHost: gateway\r\nCookie: " + b"a" * size + b"\r\n\r\n"))
            first, second = (request.fields for request in root.requests)
            self.assertEqual((first is second, first.raw == second.raw), (kept, True), size)
