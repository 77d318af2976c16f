"""Header fields on their way through: what stays behind, what goes on, what is ours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import Field, HeaderFields
from nnogw.wire.headers import TrustedProxies, client_address, end_to_end_request, end_to_end_response, forwarded_fields, via

_HOP_BY_HOP = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
    b"HTTP2-Settings",
]
_NAMES = st.sampled_from(
    [
        *_HOP_BY_HOP,
        b"X-Nno-User-Id",
        b"x_nno_role",
        b"X.Nno-Platform_Id",
        b"Cookie",
        b"cookie",
        b"Accept",
        b"X-Named",
        b"Host",
        b"X-Nnother",
    ]
)
_FIELDS = st.lists(
    st.tuples(_NAMES, st.sampled_from([b"1", b"2", b"close, X-Named", b"x-nno-user-id, cookie", b"keep-alive"])), max_size=12
)


def passing(*pairs: tuple[bytes, bytes], forward_credentials: bool = True) -> list[tuple[bytes, bytes]]:
    """Return what of a client's fields goes on."""
    return [(name, value) for _, name, value in end_to_end_request(HeaderFields(pairs), forward_credentials=forward_credentials)]


class FromTheClient(SynchronousTestCase):
    """Requests."""

    def test_hop_by_hop_fields_and_those_that_connection_names_stay_behind(self) -> None:
        """All others go on in their order, spelling and repetition."""
        pairs = [(name, b"x") for name in _HOP_BY_HOP if name != b"Connection"]
        kept = [(b"CoOkie", b"a"), (b"Accept", b"1"), (b"accept", b"2")]
        self.assertEqual(passing(*pairs, *kept, (b"X-Named", b"x"), (b"Connection", b"close, x-NAMED ,"), (b"Connection", b"foo")), kept)

    def test_te_keeps_its_trailers(self) -> None:
        """And only these."""
        self.assertEqual(passing((b"TE", b"gzip;q=0.5 , Trailers")), [(b"TE", b"trailers")])
        self.assertEqual(passing((b"TE", b"gzip")), [])

    def test_what_looks_like_ours_stays_behind(self) -> None:
        """In every spelling that a CGI-like server would take for it."""
        ours = [
            b"X-Nno-User-Id",
            b"x_nno_role",
            b"X.NNO.Platform-Id",
            b"x-nno-anything",
            b"X_Forwarded_For",
            b"x-forwarded-host",
            b"Forwarded",
        ]
        ours += [b"Host", b"Content-Length", b"content_length", b"transfer_encoding", b"Expect", b"Via", b"X-Forwarded-Proto"]
        self.assertEqual(passing(*((name, b"x") for name in ours)), [])
        self.assertEqual(passing((b"X-Nnother", b"x"), (b"X-Request-Id", b"1")), [(b"X-Nnother", b"x"), (b"X-Request-Id", b"1")])

    def test_credentials_go_on_unless_the_service_must_not_see_them(self) -> None:
        """Both kinds, in every spelling."""
        pairs = [(b"Authorization", b"Bearer x"), (b"x-api-key", b"nno_x"), (b"X_Api_Key", b"nno_y")]
        self.assertEqual(passing(*pairs), pairs)
        self.assertEqual(passing(*pairs, (b"Accept", b"1"), forward_credentials=False), [(b"Accept", b"1")])

    @settings(deadline=None, max_examples=300)
    @given(_FIELDS)
    def test_nothing_of_a_hop_or_of_ours_ever_passes(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Whatever Connection names; and what passes is in its order."""
        fields = HeaderFields(pairs)
        kept = [item for item in end_to_end_request(fields, forward_credentials=True) if item[0] != b"te"]
        named = {name.strip().lower() for name in fields.joined(b"connection").split(b",")}
        hop_by_hop = {name.lower() for name in _HOP_BY_HOP}
        for key, _, _ in kept:
            self.assertNotIn(key, hop_by_hop | named | {b"host"})
            self.assertFalse(key.replace(b"_", b"-").replace(b".", b"-").startswith(b"x-nno-"))
        allowed = {b"cookie", b"accept", b"x-named", b"x-nnother"} - named
        self.assertEqual(kept, [item for item in fields.raw if item[0] in allowed])


class FromTheUpstream(SynchronousTestCase):
    """Answers."""

    def test_hop_by_hop_and_cors_stay_behind(self) -> None:
        """Everything else comes through as it is, framing included."""
        kept = [
            (b"Set-Cookie", b"a"),
            (b"ETag", b"x"),
            (b"set-cookie", b"b"),
            (b"Content-Length", b"3"),
            (b"Server", b"theirs"),
            (b"X-Nno-X", b"1"),
        ]
        gone = [(name, b"x") for name in _HOP_BY_HOP if name != b"Connection"]
        gone += [(b"Access-Control-Allow-Origin", b"*"), (b"Connection", b"x-gone"), (b"X-Gone", b"1"), (b"Via", b"1.0 other")]
        passed = end_to_end_response(HeaderFields([*kept, *gone]))
        self.assertEqual([(name, value) for _, name, value in passed], kept)


class Via(SynchronousTestCase):
    """RFC 9110 §7.6.3."""

    def test_ours_comes_behind_theirs(self) -> None:
        """In one list."""
        self.assertEqual(via(HeaderFields())[2], b"1.1 nnogw")
        self.assertEqual(via(HeaderFields([(b"Via", b"1.0 a"), (b"via", b"1.1 b")]))[2], b"1.0 a, 1.1 b, 1.1 nnogw")


class Forwarded(SynchronousTestCase):
    """What upstreams are told of the client's connection."""

    def said(self, *pairs: tuple[bytes, bytes], peer: str = "192.0.2.1", secure: bool = False, trusted: bool = False) -> dict[bytes, bytes]:
        """Return the fields: name → value."""
        fields: tuple[Field, ...] = forwarded_fields(HeaderFields(pairs), peer=peer, secure=secure, peer_trusted=trusted)
        return {name: value for _, name, value in fields}

    def test_a_strangers_word_is_replaced(self) -> None:
        """By what we see ourselves."""
        said = self.said((b"Host", b"api.example:8787"), (b"X-Forwarded-For", b"6.6.6.6"), (b"Forwarded", b"for=6.6.6.6"), secure=True)
        self.assertEqual(
            said,
            {
                b"X-Forwarded-For": b"192.0.2.1",
                b"X-Forwarded-Proto": b"https",
                b"X-Forwarded-Host": b"api.example:8787",
                b"Forwarded": b'for=192.0.2.1;host="api.example:8787";proto=https',
            },
        )

    def test_a_trusted_proxys_word_is_added_to(self) -> None:
        """Ours comes last."""
        said = self.said(
            (b"Host", b"gateway"),
            (b"X-Forwarded-For", b"203.0.113.9"),
            (b"X-Forwarded-For", b"198.51.100.7"),
            (b"X-Forwarded-Proto", b"https"),
            (b"Forwarded", b"for=203.0.113.9"),
            trusted=True,
        )
        self.assertEqual(said[b"X-Forwarded-For"], b"203.0.113.9, 198.51.100.7, 192.0.2.1")
        self.assertEqual(said[b"X-Forwarded-Proto"], b"https, http")
        self.assertEqual(said[b"X-Forwarded-Host"], b"gateway")
        self.assertEqual(said[b"Forwarded"], b'for=203.0.113.9, for=192.0.2.1;host="gateway";proto=http')

    def test_ipv6_addresses_are_quoted_where_they_have_to_be(self) -> None:
        """RFC 7239 §6; one that stands for an IPv4 address is told as that."""
        self.assertEqual(self.said(peer="2001:db8::1")[b"Forwarded"], b'for="[2001:db8::1]";proto=http')
        self.assertEqual(self.said(peer="::ffff:192.0.2.7")[b"X-Forwarded-For"], b"192.0.2.7")

    def test_a_unix_socket_has_no_address(self) -> None:
        """A trusted proxy's list is left as it is."""
        self.assertEqual(self.said(peer="unix")[b"X-Forwarded-For"], b"unknown")
        self.assertEqual(self.said((b"X-Forwarded-For", b"203.0.113.9"), peer="unix", trusted=True)[b"X-Forwarded-For"], b"203.0.113.9")


class ClientAddress(SynchronousTestCase):
    """Who the client is, behind proxies."""

    def address(self, peer: str, *lists: bytes, trusted: tuple[str, ...] = ("10.0.0.0/8", "2001:db8::/32")) -> str:
        """Return the client's address."""
        return client_address(HeaderFields((b"X-Forwarded-For", value) for value in lists), peer, TrustedProxies(trusted))

    def test_a_stranger_is_who_he_is(self) -> None:
        """Whatever he says."""
        self.assertEqual(self.address("192.0.2.1", b"6.6.6.6"), "192.0.2.1")
        self.assertEqual(self.address("10.0.0.1", b"6.6.6.6", trusted=()), "10.0.0.1")
        self.assertEqual(self.address("::ffff:192.0.2.1"), "192.0.2.1")

    def test_the_walk_goes_from_right_to_left_over_trusted_proxies(self) -> None:
        """And ends at the first that is none; what stands left of it is hearsay."""
        self.assertEqual(self.address("10.0.0.1", b"6.6.6.6, 192.0.2.1, 10.9.9.9"), "192.0.2.1")
        self.assertEqual(self.address("10.0.0.1", b"6.6.6.6", b"192.0.2.1"), "192.0.2.1")
        self.assertEqual(self.address("::ffff:10.0.0.1", b"192.0.2.1:4711"), "192.0.2.1")
        self.assertEqual(self.address("2001:db8::5", b"[2001:db9::1]:4711"), "2001:db9::1")
        self.assertEqual(self.address("unix", b"192.0.2.1", trusted=("unix",)), "192.0.2.1")

    def test_where_all_are_trusted_it_is_the_first_of_them(self) -> None:
        """And what is no address ends the walk."""
        self.assertEqual(self.address("10.0.0.1", b"10.0.0.3, 10.0.0.2"), "10.0.0.3")
        self.assertEqual(self.address("10.0.0.1", b"192.0.2.1, unknown, 10.0.0.2"), "10.0.0.2")
        self.assertEqual(self.address("10.0.0.1"), "10.0.0.1")

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["10.0.0.2", "192.0.2.1", "6.6.6.6", "junk", "2001:db8::1"]), max_size=6))
    def test_what_a_client_puts_in_front_never_wins(self, entries: list[str]) -> None:
        """As long as the nearest proxy has added whom it saw."""
        value = ", ".join([*entries, "198.51.100.7"]).encode()
        self.assertEqual(self.address("10.0.0.1", value), "198.51.100.7")


class Trusted(SynchronousTestCase):
    """The list of trusted proxies."""

    def test_it_knows_addresses_networks_and_unix_sockets(self) -> None:
        """And nothing that is no address."""
        proxies = TrustedProxies(["192.0.2.1", "10.0.0.0/8"])
        for address, expected in (
            ("192.0.2.1", True),
            ("192.0.2.2", False),
            ("10.2.3.4", True),
            ("::ffff:10.2.3.4", True),
            ("unix", False),
            ("x", False),
        ):
            self.assertEqual(address in proxies, expected, address)
        self.assertIn("unix", TrustedProxies(["unix"]))
        self.assertTrue(proxies)
        self.assertFalse(TrustedProxies())
