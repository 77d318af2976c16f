"""What llhttp lets pass in a request's head and a gateway must not; how they are answered, test_server_framing says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import HeaderFields
from nnogw.settings import LimitSettings
from nnogw.wire.http1.request_head import BARE_LINE_END, over_limit, refusal_of, version_of

LIMITS = LimitSettings(max_header_bytes=1000, max_headers=3, max_target=100, max_body=10)
HOST = (b"Host", b"gateway")


def status(*pairs: tuple[bytes, bytes], method: bytes = b"POST", version: bytes = b"1.1") -> int | None:
    """Return the status of the refusal of a head with the fields `pairs`, or None."""
    refusal = refusal_of(method, version, HeaderFields(pairs), limits=LIMITS)
    return None if refusal is None else refusal.status


class RequestLines(SynchronousTestCase):
    """`version_of`."""

    def test_the_two_versions_that_are_spoken(self) -> None:
        """And exactly the method and the target that were parsed."""
        self.assertEqual(version_of(b"GET /x HTTP/1.1\r\n\r\n", b"GET", b"/x"), b"1.1")
        self.assertEqual(version_of(b"GET /x HTTP/1.0\r\n\r\n", b"GET", b"/x"), b"1.0")

    def test_anything_else_is_none(self) -> None:
        """Spaces, other versions, other words."""
        for line in (b"GET /x\r\n", b"GET  /x HTTP/1.1\r\n", b"GET /x HTTP/2.0\r\n", b"GET /xy HTTP/1.1\r\n", b"GET /x RTSP/1.0\r\n", b""):
            self.assertIsNone(version_of(line, b"GET", b"/x"), line)


class LineEnds(SynchronousTestCase):
    """`BARE_LINE_END`."""

    @settings(deadline=None)
    @given(st.text(alphabet="\r\na", max_size=12).map(str.encode))
    def test_it_finds_whatever_is_left_when_proper_line_ends_are_taken_out(self, data: bytes) -> None:
        """But for a last CR, whose LF may still come."""
        left = data.replace(b"\r\n", b"-")
        bare = b"\n" in left or b"\r" in left.removesuffix(b"\r")
        self.assertEqual(BARE_LINE_END.search(data) is not None, bare)


class Limits(SynchronousTestCase):
    """`over_limit`."""

    def test_what_is_at_a_limit_passes(self) -> None:
        """To the byte."""
        self.assertIsNone(over_limit(1000, b"/" * 100, 3, LIMITS))

    def test_what_is_over_a_limit_does_not(self) -> None:
        """Each has its status; the target's comes first, for it is part of the head."""
        for size, target, fields, expected in (
            (1001, b"/", 0, 431),
            (0, b"/", 4, 431),
            (0, b"/" * 101, 0, 414),
            (2000, b"/" * 101, 9, 414),
        ):
            refusal = over_limit(size, target, fields, LIMITS)
            self.assertEqual(refusal.status, expected)


class Refusals(SynchronousTestCase):
    """`refusal_of`."""

    def test_a_host_is_required_in_http_1_1_only(self) -> None:
        """RFC 9112 §3.2."""
        self.assertEqual(status(), 400)
        self.assertIsNone(status(version=b"1.0"))

    def test_hosts_that_are_right(self) -> None:
        """Names and addresses, with ports or without."""
        for host in (
            b"a",
            b"a.example",
            b"A-b_c.example:8080",
            b"192.0.2.1:80",
            b"[::1]",
            b"[2001:db8::1]:80",
            b"a:",
            b"xn--bcher-kva",
            b"a%20b",
        ):
            self.assertIsNone(status((b"Host", host)), host)

    def test_hosts_that_are_wrong(self) -> None:
        """They would be read differently by different servers."""
        for host in (
            b"",
            b"a b",
            b"a/b",
            b"a@b",
            b"a:b",
            b"a:1:2",
            b"::1",
            b"[::1",
            b"[a]x",
            b"a\x80",
            b'a"',
            b"a?",
            b"a#",
            b"a\\b",
            b":80",
        ):
            self.assertEqual(status((b"Host", host)), 400, host)

    def test_two_hosts_are_refused(self) -> None:
        """Equal ones, too, whatever their spelling."""
        for version in (b"1.0", b"1.1"):
            self.assertEqual(status(HOST, (b"host", b"gateway"), version=version), 400)

    def test_methods_that_are_not_spoken(self) -> None:
        """Whatever else is wrong with them."""
        self.assertEqual(status(HOST, method=b"CONNECT"), 501)
        self.assertEqual(status(method=b"TRACE"), 501)

    def test_transfer_codings(self) -> None:
        """Chunked alone, in HTTP/1.1 alone (RFC 9112 §6.1)."""
        coding = b"Transfer-Encoding"
        self.assertIsNone(status(HOST, (coding, b"cHunked")))
        self.assertEqual(status(HOST, (coding, b"chunked"), version=b"1.0"), 400)
        self.assertEqual(status(HOST, (coding, b"gzip, chunked")), 501)
        self.assertEqual(status(HOST, (coding, b"chunked"), (coding, b"chunked")), 501)

    def test_a_body_has_one_framing(self) -> None:
        """Whatever llhttp has let pass (RFC 9112 §6.3)."""
        length, coding = (b"Content-Length", b"4"), (b"Transfer-Encoding", b"chunked")
        self.assertIsNone(status(HOST, length))
        self.assertEqual(status(HOST, length, coding), 400)
        self.assertEqual(status(HOST, length, length), 400)
        for value in (b"", b"+4", b"4, 4", b"0x4", b"-1", b"4 4"):
            self.assertEqual(status(HOST, (b"Content-Length", value)), 400, value)

    def test_lengths_over_the_limit_are_refused_at_once(self) -> None:
        """With the limit as a detail."""
        self.assertIsNone(status(HOST, (b"Content-Length", b"10")))
        refusal = refusal_of(b"POST", b"1.1", HeaderFields([HOST, (b"Content-Length", b"11")]), limits=LIMITS)
        self.assertEqual((refusal.status, refusal.details), (413, {"maxBytes": 10}))

    def test_expectations(self) -> None:
        """The one that is known, in any case; HTTP/1.0 expects nothing (RFC 9110 §10.1.1)."""
        self.assertIsNone(status(HOST, (b"Expect", b"100-Continue")))
        self.assertEqual(status(HOST, (b"Expect", b"100-continue, tea")), 417)
        self.assertEqual(status(HOST, (b"Expect", b"100-continue"), (b"Expect", b"tea")), 417)
        self.assertIsNone(status(HOST, (b"Expect", b"tea"), version=b"1.0"))
