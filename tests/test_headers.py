"""Header fields on their way through: what stays behind, what goes on, what is ours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import Field, HeaderFields
from nnogw.headers import TrustedProxies, client_address, end_to_end_request, end_to_end_response, forwarded_fields, via
from nnogw.hops import forwarded_hops, hop_list
from tests.test_memo import kept_bytes

_SEPARATORS = b"!#$%&'*+-.^_`|~"  # RFC 9110 §5.6.2: what a name may have besides letters and digits
_FROM_PROXIES = [
    b"X-Real-IP",
    b"True-Client-IP",
    b"CF-Connecting-IP",
    b"X-Client-IP",
    b"X-Cluster-Client-IP",
    b"X-Forwarded-Port",
    b"X-Forwarded-Prefix",
    b"X-Forwarded-Ssl",
]

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
        b"X!Nno|Role",
        b"x~real^ip",
        b"X-Forwarded-Prefix",
    ]
)
_FIELDS = st.lists(
    st.tuples(_NAMES, st.sampled_from([b"1", b"2", b"close, X-Named", b"x-nno-user-id, cookie", b"keep-alive"])), max_size=12
)


def passing(*pairs: tuple[bytes, bytes], forward_credentials: bool = True, peer_trusted: bool = False) -> list[tuple[bytes, bytes]]:
    """Return what of a client's fields goes on."""
    fields = end_to_end_request(HeaderFields(pairs), forward_credentials=forward_credentials, peer_trusted=peer_trusted)
    return [(name, value) for _, name, value in fields]


def spellings(name: bytes) -> list[bytes]:
    """Return `name` with each separator that there is in place of its hyphens, and with two kinds of them."""
    alike = [name.replace(b"-", bytes((separator,))) for separator in _SEPARATORS if separator != ord("-")]
    return [*alike, name.replace(b"-", b"_", 1)]


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

    def test_no_separator_makes_another_name_of_it(self) -> None:
        """All that a name may have: CGI-like servers make the same of them, whoever sends it."""
        ours = [b"X-Nno-Role", b"X-Forwarded-For", b"Content-Length", b"Transfer-Encoding", b"Proxy-Connection", *_FROM_PROXIES]
        for name in ours:
            for alike in spellings(name):
                for trusted in (False, True):
                    self.assertEqual(passing((alike, b"x"), peer_trusted=trusted), [], (alike, trusted))

    def test_what_a_proxy_says_of_its_client_comes_from_trusted_proxies_only(self) -> None:
        """From anybody else it is the client's own word."""
        pairs = [(name, b"x") for name in _FROM_PROXIES]
        self.assertEqual(passing(*pairs, (b"Accept", b"1")), [(b"Accept", b"1")])
        self.assertEqual(passing(*pairs, peer_trusted=True), pairs)
        self.assertEqual(passing((b"X-Nno-Role", b"x"), (b"X-Forwarded-For", b"x"), peer_trusted=True), [])

    def test_credentials_go_on_unless_the_service_must_not_see_them(self) -> None:
        """Both kinds, in every spelling."""
        pairs = [(b"Authorization", b"Bearer x"), (b"x-api-key", b"nno_x"), (b"X_Api_Key", b"nno_y")]
        self.assertEqual(passing(*pairs), pairs)
        self.assertEqual(passing(*pairs, (b"Accept", b"1"), forward_credentials=False), [(b"Accept", b"1")])
        for alike in spellings(b"X-Api-Key"):
            self.assertEqual(passing((alike, b"nno_x"), forward_credentials=False), [], alike)

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
            self.assertFalse(key.translate(bytes.maketrans(b"_.!|", b"----")).startswith(b"x-nno-"))
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
        """Ours comes last; scheme and host are the proxy's, one value each."""
        said = self.said(
            (b"Host", b"gateway"),
            (b"X-Forwarded-For", b"203.0.113.9"),
            (b"X-Forwarded-For", b"198.51.100.7"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Host", b"api.example"),
            (b"Forwarded", b"for=203.0.113.9;proto=https, for=198.51.100.7"),
            trusted=True,
        )
        self.assertEqual(said[b"X-Forwarded-For"], b"203.0.113.9, 198.51.100.7, 192.0.2.1")
        self.assertEqual(said[b"X-Forwarded-Proto"], b"https")
        self.assertEqual(said[b"X-Forwarded-Host"], b"api.example")
        self.assertEqual(said[b"Forwarded"], b'for=203.0.113.9;proto=https, for=198.51.100.7, for=192.0.2.1;host="gateway";proto=http')

    def test_what_a_trusted_proxy_does_not_say_is_ours(self) -> None:
        """Or says in a way that is not right."""
        for pairs in ([], [(b"X-Forwarded-Proto", b""), (b"X-Forwarded-Host", b"a b")]):
            said = self.said((b"Host", b"gateway"), *pairs, secure=True, trusted=True)
            self.assertEqual((said[b"X-Forwarded-Proto"], said[b"X-Forwarded-Host"]), (b"https", b"gateway"))
            self.assertEqual((said[b"X-Forwarded-For"], said[b"Forwarded"]), (b"192.0.2.1", b'for=192.0.2.1;host="gateway";proto=https'))

    def test_x_forwarded_for_and_forwarded_list_the_same_hops(self) -> None:
        """Where a proxy sends one of them, or two that differ: X-Forwarded-For decides."""
        for pairs, expected in (
            ([(b"X-Forwarded-For", b"203.0.113.9")], (b"203.0.113.9, 192.0.2.1", b"for=203.0.113.9, for=192.0.2.1;proto=http")),
            ([(b"Forwarded", b"for=6.6.6.6")], (b"192.0.2.1", b"for=192.0.2.1;proto=http")),
            (
                [(b"X-Forwarded-For", b"203.0.113.9"), (b"Forwarded", b"for=6.6.6.6;proto=https, for=203.0.113.9")],
                (b"203.0.113.9, 192.0.2.1", b"for=203.0.113.9, for=192.0.2.1;proto=http"),
            ),
            (
                [(b"X-Forwarded-For", b'junk, [2001:db8::1]:80, 6.6.6.6";host=evil')],
                (
                    b"unknown, [2001:db8::1]:80, unknown, 192.0.2.1",
                    b'for=unknown, for="[2001:db8::1]:80", for=unknown, for=192.0.2.1;proto=http',
                ),
            ),
        ):
            said = self.said(*pairs, trusted=True)
            self.assertEqual((said[b"X-Forwarded-For"], said[b"Forwarded"]), expected, pairs)

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(st.sampled_from(["203.0.113.9", "6.6.6.6", "junk", "", "2001:db8::1", "[2001:db8::1]:80", "_x"]), max_size=4),
        st.lists(st.sampled_from(["for=203.0.113.9", "for=6.6.6.6", "junk", 'for="[2001:db8::1]:80"', "proto=http", "for=_x"]), max_size=4),
        st.sampled_from(["192.0.2.1", "2001:db8::2", "unix"]),
        st.booleans(),
    )
    def test_the_two_lists_never_differ(self, listed: list[str], elements: list[str], peer: str, trusted: bool) -> None:
        """Whatever comes, from whomever."""
        pairs = [(b"X-Forwarded-For", ", ".join(listed).encode()), (b"Forwarded", ", ".join(elements).encode())]
        said = self.said(*pairs, peer=peer, trusted=trusted)
        both = hop_list(HeaderFields([(b"X-Forwarded-For", said[b"X-Forwarded-For"])])), forwarded_hops(said[b"Forwarded"])
        one, other = ([hop.address or hop.listed for hop in hops] for hops in both)
        self.assertEqual(one, other)

    def test_ipv6_addresses_are_quoted_where_they_have_to_be(self) -> None:
        """RFC 7239 §6; one that stands for an IPv4 address is told as that."""
        self.assertEqual(self.said(peer="2001:db8::1")[b"Forwarded"], b'for="[2001:db8::1]";proto=http')
        self.assertEqual(self.said(peer="::ffff:192.0.2.7")[b"X-Forwarded-For"], b"192.0.2.7")

    def test_a_unix_socket_has_no_address(self) -> None:
        """A trusted proxy's lists are left as they are."""
        self.assertEqual(self.said(peer="unix")[b"X-Forwarded-For"], b"unknown")
        said = self.said((b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-Proto", b"https"), peer="unix", trusted=True)
        self.assertEqual((said[b"X-Forwarded-For"], said[b"Forwarded"]), (b"203.0.113.9", b"for=203.0.113.9;proto=https"))
        self.assertEqual(said[b"X-Forwarded-Proto"], b"https")


class Memory(SynchronousTestCase):
    """What is remembered of names and hosts, which clients choose."""

    def test_names_and_hosts_of_15_kb_leave_nothing_behind(self) -> None:
        """However many come; with 1,000 of them, 15 MiB would be in use."""

        def runs(unique: bytes) -> None:
            fields = HeaderFields([(b"Host", unique), (unique, b"1"), (b"X-Forwarded-For", unique)])
            for trusted in (False, True):
                end_to_end_request(fields, forward_credentials=trusted, peer_trusted=trusted)
                forwarded_fields(fields, peer="192.0.2.1", secure=False, peer_trusted=trusted)
            end_to_end_response(fields)
            client_address(fields, "192.0.2.1", TrustedProxies(["192.0.2.1"]))

        self.assertLess(kept_bytes(runs, (b"a%015000d" % number for number in range(1000))), 1 << 20)


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

    def test_forwarded_is_not_walked(self) -> None:
        """It may be a client's, passed on by a proxy that does not know it."""
        fields = [(b"Forwarded", b'for=6.6.6.6, for="192.0.2.1:80", for=10.9.9.9')]
        trusted = TrustedProxies(["10.0.0.0/8"])
        self.assertEqual(client_address(HeaderFields(fields), "10.0.0.1", trusted), "10.0.0.1")
        self.assertEqual(client_address(HeaderFields(fields), "198.51.100.7", trusted), "198.51.100.7")
        fields.append((b"X-Forwarded-For", b"192.0.2.9"))
        self.assertEqual(client_address(HeaderFields(fields), "10.0.0.1", trusted), "192.0.2.9")

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
