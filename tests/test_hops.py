"""What a trusted proxy says of the hops before it, read from what it sends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import HeaderFields
from nnogw.hops import EarlierHops, earlier_hops, forwarded_hops, hop_list


def read(*pairs: tuple[bytes, bytes]) -> EarlierHops:
    """Return what is read of the fields `pairs`."""
    return earlier_hops(HeaderFields(pairs))


def standard(value: bytes) -> list[str | None]:
    """Return the addresses that a ``Forwarded`` lists, the client's first."""
    return [hop.address for hop in forwarded_hops(value)]


class Nodes(SynchronousTestCase):
    """An entry of X-Forwarded-For, and how the two fields have it."""

    def test_each_form_of_a_node(self) -> None:
        """RFC 7239 §6: IPv6 addresses are quoted, ports are kept, and what is no address is unknown."""
        for entry, address, listed, element in (
            (b"192.0.2.1", "192.0.2.1", b"192.0.2.1", b"for=192.0.2.1"),
            (b"192.0.2.1:4711", "192.0.2.1", b"192.0.2.1:4711", b'for="192.0.2.1:4711"'),
            (b"2001:DB8::1", "2001:db8::1", b"2001:db8::1", b'for="[2001:db8::1]"'),
            (b"[2001:db8::1]", "2001:db8::1", b"2001:db8::1", b'for="[2001:db8::1]"'),
            (b"[2001:db8::1]:4711", "2001:db8::1", b"[2001:db8::1]:4711", b'for="[2001:db8::1]:4711"'),
            (b"::ffff:192.0.2.1", "192.0.2.1", b"192.0.2.1", b"for=192.0.2.1"),
            (b"unknown", None, b"unknown", b"for=unknown"),
            (b"_hidden-1.a", None, b"_hidden-1.a", b"for=_hidden-1.a"),
            (b"", None, b"unknown", b"for=unknown"),
            (b'1.2.3.4";proto=evil', None, b"unknown", b"for=unknown"),
            (b"1.2.3.4\xe9", None, b"unknown", b"for=unknown"),
            (b"1" * 5000, None, b"unknown", b"for=unknown"),
        ):
            (hop,) = read((b"X-Forwarded-For", entry or b"\t,\t1.1.1.1")).hops[:1]
            self.assertEqual((hop.address, hop.listed, hop.element), (address, listed, element), entry)


class Lists(SynchronousTestCase):
    """Which of the two lists counts."""

    def test_x_forwarded_for_decides(self) -> None:
        """Many proxies set it, and pass on a Forwarded that they never read."""
        said = read((b"X-Forwarded-For", b"203.0.113.9"), (b"Forwarded", b"for=6.6.6.6;proto=https;host=evil"))
        self.assertEqual((said.forwarded, said.proto, said.host), (b"for=203.0.113.9", b"", b""))

    def test_a_forwarded_that_lists_the_same_hops_is_kept_as_it_is(self) -> None:
        """With all that it says besides."""
        for value in (
            b'for=203.0.113.9;proto=https;by=_lb , For="[2001:db8::1]:4711"',
            b'FOR="203.0.113.9:1234", for="[2001:DB8:0::1]"; host="a\\.example:8080" ;proto=https',
            b"for=203.0.113.9,, for=[2001:db8::1]:4711;host=a.example:8080",
        ):
            said = read((b"X-Forwarded-For", b"203.0.113.9, 2001:db8::1"), (b"Forwarded", value))
            self.assertEqual(said.forwarded, value)

    def test_one_that_does_not_is_written_anew(self) -> None:
        """Other hops, fewer, more, another order, or nothing that can be read."""
        for value in (
            b"for=203.0.113.9",
            b"for=203.0.113.9, for=198.51.100.7, for=10.0.0.1",
            b"for=198.51.100.7, for=203.0.113.9",
            b"for=203.0.113.9, proto=http",
            b'for="203.0.113.9, for=198.51.100.7',
            b"for=203.0.113.9, for=198.51.100.7 junk",
            b"",
            b"," * 500,
        ):
            said = read((b"X-Forwarded-For", b"203.0.113.9, 198.51.100.7"), (b"Forwarded", value))
            self.assertEqual(said.forwarded, b"for=203.0.113.9, for=198.51.100.7", value)

    def test_one_that_is_written_anew_says_scheme_and_host_in_the_proxys_element(self) -> None:
        """The last: it is the one that the proxy would have added. Who reads Forwarded first would find another scheme in ours."""
        pairs = [(b"X-Forwarded-For", b"6.6.6.6, 203.0.113.9"), (b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"for=6.6.6.6;proto=http")]
        self.assertEqual(read(*pairs).forwarded, b"for=6.6.6.6, for=203.0.113.9;proto=https")
        pairs.append((b"X-Forwarded-Host", b"api.example"))
        self.assertEqual(read(*pairs).forwarded, b'for=6.6.6.6, for=203.0.113.9;host="api.example";proto=https')
        self.assertEqual(read(*pairs[1:2]).forwarded, b"")

    def test_forwarded_alone_does_not_count(self) -> None:
        """It may be a client's, passed on by a proxy that never read it; an X-Forwarded-For that says nothing is none."""
        value = b'for=203.0.113.9;proto=http, for="[2001:db8::1]:80";proto=https;host="api.example"'
        for pairs in ([(b"Forwarded", value)], [(b"X-Forwarded-For", b" , "), (b"Forwarded", value)], []):
            self.assertEqual(read(*pairs), EarlierHops([], b"", b"", b""))

    def test_forwarded_is_read_as_it_is_written(self) -> None:
        """Several elements, parameters other than ``for``, and nothing of what is malformed."""
        self.assertEqual(standard(b'for=203.0.113.9;proto=http, for="[2001:db8::1]:80";proto=https'), ["203.0.113.9", "2001:db8::1"])
        self.assertEqual(standard(b"proto=http, for=_x, for=192.0.2.1"), [None, None, "192.0.2.1"])
        self.assertEqual(standard(b"for=203.0.113.9 junk"), [])

    def test_of_a_list_without_end_the_nearest_hops_are_read(self) -> None:
        """It costs time, and comes from nobody but a client."""
        value = b", ".join(b"10.%d.%d.1" % divmod(number, 200) for number in range(1000))
        hops = hop_list(HeaderFields([(b"X-Forwarded-For", value)]))
        self.assertEqual((len(hops), hops[-1].address), (32, "10.4.199.1"))
        for endless in (b", ".join([b"for=10.0.0.1"] * 33), b"for=10.0.0.1" + b";" * 500, b"for=10.0.0.1;by=_" + b"a" * 5000):
            self.assertEqual(standard(endless), [])

    @settings(deadline=None, max_examples=300)
    @given(st.text('for="\\[]:;, \t_ab1.é', max_size=60), st.text('1.:[],_a "', max_size=40))
    def test_whatever_comes_both_lists_have_the_same_length(self, forwarded: str, listed: str) -> None:
        """Neither can break out of its place in the other."""
        said = read((b"Forwarded", forwarded.encode("latin-1")), (b"X-Forwarded-For", listed.encode("latin-1")))
        again = forwarded_hops(said.forwarded)
        self.assertEqual([hop.address or hop.listed for hop in again], [hop.address or hop.listed for hop in said.hops])


class ProtoAndHost(SynchronousTestCase):
    """One value each."""

    def test_the_nearest_proxys_own_counts(self) -> None:
        """It comes last; what is left of it came through that proxy."""
        said = read(
            (b"X-Forwarded-Proto", b"http, https"), (b"X-Forwarded-Host", b"evil.example"), (b"X-Forwarded-Host", b"api.example:8443")
        )
        self.assertEqual((said.proto, said.host), (b"https", b"api.example:8443"))

    def test_what_is_neither_scheme_nor_host_is_not_said(self) -> None:
        """Not even in quotes."""
        for value in (b"", b"https,", b"a b", b'"x"', b"x/y", b"\xe9", b"a;b=c d"):
            said = read((b"X-Forwarded-Proto", value), (b"X-Forwarded-Host", value))
            self.assertEqual((said.proto, said.host), (b"", b""), value)
