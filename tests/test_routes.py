"""Where paths lead: matched in one form, forwarded in the other."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest
from nnogw.routes import RouteTable, canonical
from nnogw.settings import RouteSettings, Settings

TABLE = RouteTable(Settings().routes)

_PIECES = st.sampled_from(
    [
        "/",
        "/api",
        "/v1",
        "/billing",
        "/iam",
        "api",
        "%61pi",
        "%2f",
        "%2F",
        "%2e",
        ".",
        "..",
        "%252e",
        "%25",
        "%5c",
        "%255C",
        "%25252E",
        "%252f",
        ";",
        "//",
        "a",
        "~",
        "%E4",
        "+",
        "%7E",
    ]
)
_PATHS = st.lists(_PIECES, max_size=10).map(lambda pieces: ("/" + "".join(pieces)).encode())
_QUERIES = st.sampled_from([b"", b"?", b"?a=%zz", b"?x=/../y", b"?a=b&c=%2F"])


def resolved(target: bytes, host: bytes | None = b"gateway") -> tuple[str | None, bytes]:
    """Return the service and what is forwarded to it."""
    found = TABLE.resolve(target, host)
    return (None if found.route is None else found.route.service), found.rest


class Matching(SynchronousTestCase):
    """Which route a path has."""

    def test_the_whole_table(self) -> None:
        """Every prefix leads to its service, without the prefix."""
        for prefix, service in (
            (b"iam", "iam"),
            (b"platforms", "registry"),
            (b"billing", "billing"),
            (b"provisioning", "provisioning"),
            (b"stacks", "stack-registry"),
            (b"cli", "cli"),
            (b"onboarding", "registry"),
        ):
            self.assertEqual(resolved(b"/api/v1/%b/abc?x=1" % prefix), (service, b"/abc?x=1"))
            self.assertEqual(resolved(b"/api/v1/%b" % prefix), (service, b"/"))
            self.assertEqual(resolved(b"/api/v1/%b/" % prefix), (service, b"/"))
            self.assertEqual(resolved(b"/api/v1/%b?x" % prefix), (service, b"/?x"))

    def test_a_prefix_ends_where_a_segment_ends(self) -> None:
        """``/api/v1/cli`` is not the beginning of ``/api/v1/client``."""
        for path in (
            b"/api/v1/client",
            b"/api/v1/cli%2Fx",
            b"/api/v1/cli;x",
            b"/api/v1",
            b"/",
            b"/health",
            b"//api/v1/cli",
            b"/API/v1/cli",
        ):
            self.assertIsNone(TABLE.resolve(path).route, path)

    def test_the_longest_prefix_wins(self) -> None:
        """Whatever their order, and whatever their depth."""
        table = RouteTable(RouteSettings(prefix, prefix) for prefix in ("/api", "/api/v1/a/b", "/api/v1", "/api/v1/a"))
        for path, prefix in (
            (b"/api/v1/a/b/c", "/api/v1/a/b"),
            (b"/api/v1/a/bc", "/api/v1/a"),
            (b"/api/v1/b", "/api/v1"),
            (b"/api/x", "/api"),
        ):
            found = table.resolve(path).route
            self.assertEqual(found and found.name, prefix)

    def test_an_escaped_prefix_matches_and_what_is_behind_it_stays_escaped(self) -> None:
        """The canonical form decides, the bytes of the client are forwarded."""
        found = TABLE.resolve(b"/%61pi/v1/%62illing/%61%2fb//c;d+e/?q=%61")
        self.assertEqual((found.path, found.rest), (b"/api/v1/billing/a%2Fb//c;d+e/", b"/%61%2fb//c;d+e/?q=%61"))
        self.assertEqual(resolved(b"/api/v1/%62illing"), ("billing", b"/"))

    def test_an_upstream_path_loses_its_trailing_slash(self) -> None:
        """What is put behind it begins with one."""
        (route,) = RouteTable([RouteSettings("/api/x", "iam", "/base/")]).routes
        self.assertEqual(route.upstream_path, b"/base")

    def test_an_empty_table_leads_nowhere(self) -> None:
        """And fails at nothing."""
        self.assertIsNone(RouteTable([]).resolve(b"/api/v1/iam").route)


class Forms(SynchronousTestCase):
    """RFC 9112 §3.2: the forms of a target."""

    def test_an_absolute_target_counts_by_its_path_if_its_authority_is_that_of_host(self) -> None:
        """Without regard to case and to the scheme's own port."""
        for target, host in (
            (b"http://gateway/api/v1/iam/x?y", b"gateway"),
            (b"HTTP://GateWay:80/api/v1/iam/x?y", b"gateway"),
            (b"https://gateway/api/v1/iam/x?y", b"gateway:443"),
            (b"http://gateway:8787/api/v1/iam/x?y", b"gateway:8787"),
            (b"http://whatever/api/v1/iam/x?y", None),
        ):
            self.assertEqual(resolved(target, host), ("iam", b"/x?y"))
        self.assertEqual(TABLE.resolve(b"http://gateway?x", b"gateway").path, b"/")

    def test_an_absolute_target_that_contradicts_host_is_refused(self) -> None:
        """Who of the two would be believed behind us, nobody knows."""
        for target in (b"http://other/health", b"http://gateway:81/health", b"http://user@gateway/health", b"https://gateway:80/health"):
            self.assertRaises(BadRequest, TABLE.resolve, target, b"gateway")

    def test_other_forms_lead_nowhere(self) -> None:
        """The asterisk is a target; a bare word is not."""
        self.assertEqual(TABLE.resolve(b"*", b"gateway", b"OPTIONS").path, b"*")
        for target in (b"api/v1/iam", b"gateway:443", b"ftp://gateway/x", b""):
            self.assertRaises(BadRequest, TABLE.resolve, target, b"gateway")

    def test_the_asterisk_is_for_options_alone(self) -> None:
        """RFC 9112 §3.2.4."""
        for method in (b"GET", b"HEAD", b"POST", b"DELETE"):
            error = self.assertRaises(BadRequest, TABLE.resolve, b"*", b"gateway", method)
            self.assertIn("OPTIONS", error.reason)


class Refusals(SynchronousTestCase):
    """Paths that servers read in different ways."""

    def test_each_kind_is_refused_with_its_reason(self) -> None:
        """The reason is for the log."""
        for path, reason in (
            (b"/a/../b", "dot segment"),
            (b"/a/.", "dot segment"),
            (b"/..", "dot segment"),
            (b"/a/%2e%2E/b", "dot segment"),
            (b"/a/.%2e", "dot segment"),
            (b"/a/%252e%252e/b", "dot segment"),
            (b"/a/..%2fb", "dot segment"),
            (b"/a%2f..%2fb", "dot segment"),
            (b"/a/%252e%252e%252fb", "dot segment"),
            (b"/a/..;x/b", "dot segment"),
            (b"/a/..%3fb", "dot segment"),
            (b"/a/..%23", "dot segment"),
            (b"/a/..%253Bx/b", "dot segment"),
            (b"/a/..%252f..%252fb", "dot segment"),
            (b"/a/%25252e%25252e/b", "dot segment"),
            (b"/a/%25%32%65./b", "dot segment"),
            (b"/a/..%25252fb", "dot segment"),
            (b"/a/..%255cb", "backslash"),
            (b"/a/..%255Cb", "backslash"),
            (b"/a/..%25255cb", "backslash"),
            (b"/a/..%25%35%63b", "backslash"),
            (b"/a%255cb", "backslash"),
            (b"/a%2500", "control byte"),
            (b"/a%25250d%25250a", "control byte"),
            (b"/a/..%2525255cb", "backslash"),
            (b"/a/..%252525255cb", "escaped more than three times"),
            (b"/a/%2525252541", "escaped more than three times"),
            (b"/a%00", "control byte"),
            (b"/a%0d%0a", "control byte"),
            (b"/a%7f", "control byte"),
            (b"/a\\b", "backslash"),
            (b"/a%5Cb", "backslash"),
            (b"/a%", "malformed escape"),
            (b"/a%4", "malformed escape"),
            (b"/a%g0", "malformed escape"),
            (b"/a#b", "fragment"),
            (b"/a\xe4", "outside ASCII"),
        ):
            error = self.assertRaises(BadRequest, TABLE.resolve, path)
            self.assertIn(reason, error.reason)

    def test_what_only_looks_like_it_passes(self) -> None:
        """Dots within a segment, escapes of other bytes, and anything in the query."""
        for path in (
            b"/a/...",
            b"/a/..b",
            b"/a/b..",
            b"/.well-known/x",
            b"/a/%2e%2e%2e",
            b"/%E4%B8%80",
            b"/a%20b",
            b"/x?../..%zz\\#",
            b"/100%25",
            b"/100%25/x",
            b"/100%25zz",
            b"/a%2525",
            b"/a%252Fb",
            b"/a%252eb",
            b"/http%253A%252F%252Fb%252Fc%25253D%252520",
            b"/x?..%255c",
        ):
            self.assertEqual(TABLE.resolve(path).rest, path)


class Properties(SynchronousTestCase):
    """What holds for every path."""

    @settings(deadline=None, max_examples=300)
    @given(_PATHS, _QUERIES)
    def test_what_is_forwarded_is_the_end_of_what_came(self, path: bytes, query: bytes) -> None:
        """Byte for byte; and no dot segment is ever in it, in any reading."""
        try:
            found = TABLE.resolve(path + query)
        except BadRequest:
            return
        self.assertTrue((path + query).endswith(found.rest) or found.rest == b"/" + query)
        if found.route is not None:
            self.assertTrue(found.path == found.route.prefix or found.path.startswith(found.route.prefix + b"/"))
        reading = path
        for _ in range(6):
            reading = unquote_to_bytes(reading)
            self.assertFalse({b".", b".."} & set(reading.replace(b"\\", b"/").split(b"/")), reading)
            self.assertNotIn(b"\\", reading)

    @settings(deadline=None, max_examples=300)
    @given(_PATHS)
    def test_the_canonical_form_is_its_own(self, path: bytes) -> None:
        """Made twice it is the same, and it leads where the path leads."""
        try:
            once = canonical(path)
        except BadRequest:
            return
        self.assertEqual(canonical(once), once)
        self.assertEqual(TABLE.resolve(once).route, TABLE.resolve(path).route)
        self.assertEqual(once.count(b"/"), path.count(b"/"))
