"""What an address counts as."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.networks import network_of


class NetworkTests(SynchronousTestCase):
    """A host may take any address of its /64."""

    def test_an_ipv6_address_counts_as_its_network(self) -> None:
        """However it is written."""
        self.assertEqual({network_of(ip) for ip in ("2001:db8::1", "2001:db8::ffff", "2001:DB8:0:0:1::")}, {"2001:db8::/64"})
        self.assertNotEqual(network_of("2001:db8:0:1::1"), network_of("2001:db8::1"))

    def test_everything_else_counts_as_itself(self) -> None:
        """An IPv4 address within IPv6 as that; what is no address as it stands."""
        for ip, network in (("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("unix", "unix"), ("", ""), ("a:b", "a:b")):
            self.assertEqual(network_of(ip), network)
