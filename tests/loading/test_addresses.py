"""Which endpoints and addresses the gateway takes."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading.addresses import admin_endpoint, client_endpoint, is_private, server_endpoint, trusted_proxy


class ServerEndpointTests(SynchronousTestCase):
    """Where the gateway listens."""

    def test_twisteds_server_endpoints_are_good(self) -> None:
        """Port 0 is any free one."""
        for description in (
            "tcp:8787",
            "tcp:8787:interface=127.0.0.1",
            "tcp:port=0:backlog=9",
            "tcp6:8787:interface=\\:\\:1",
            "unix:/run/nnogw.sock",
            "unix:address=/run/nnogw.sock:mode=660",
        ):
            self.assertEqual(server_endpoint(description), "", description)

    def test_anything_else_is_bad(self) -> None:
        """Also what Twisted would let fail only when it binds."""
        for description in (
            "",
            "8787",
            "tcp",
            "tcp:",
            "tcp:http",
            "tcp:65536",
            "tcp:-1",
            "tcp:80:nonsense=1",
            "tcp6:",
            "unix:",
            "stdio:",
            "haproxy:tcp:80",
        ):
            self.assertIn("a Twisted server endpoint", server_endpoint(description), description)
        for value in (8787, None, "tcp:80\n", "unix:/a\x00"):
            self.assertIn("a Twisted server endpoint", server_endpoint(value), repr(value))

    def test_what_people_write_instead_is_answered_with_the_endpoint(self) -> None:
        """Ports, addresses and URLs, as other programs take them."""
        for value, endpoint in (
            (8787, "tcp:8787"),
            ("8787", "tcp:8787"),
            (":8787", "tcp:8787"),
            ("*:8787", "tcp:8787"),
            ("127.0.0.1:8787", "tcp:8787:interface=127.0.0.1"),
            ("[::1]:8787", "tcp:8787:interface=\\:\\:1"),
            ("tcp:127.0.0.1:8787", "tcp:8787:interface=127.0.0.1"),
            ("http://localhost:8787/", "tcp:8787:interface=localhost"),
            ("/run/nnogw.sock", "unix:/run/nnogw.sock"),
        ):
            self.assertEqual(server_endpoint(value), f'a Twisted server endpoint: "{endpoint}"', repr(value))
            self.assertEqual(server_endpoint(endpoint), "", endpoint)

    def test_the_colons_of_an_ipv6_address_are_answered_with_their_escapes(self) -> None:
        """Twisted would complain of an argument that is there twice."""
        for value, escaped in (("tcp6:80:interface=::1", "\\:\\:1"), ("tcp:80:interface=fe80::1:2:backlog=9", "fe80\\:\\:1\\:2")):
            self.assertIn(f"interface={escaped}", server_endpoint(value), value)

    def test_twisteds_own_complaint_is_passed_on(self) -> None:
        """It knows best."""
        self.assertTrue(server_endpoint("tcp:80:nonsense=1").endswith("(got an unexpected keyword argument 'nonsense')"))
        self.assertTrue(server_endpoint("unix:/a:mode=9").endswith("(invalid literal for int() with base 8: '9')"))

    def test_a_certificate_has_to_be_there(self) -> None:
        """It is told which file is not."""
        self.assertTrue(server_endpoint("ssl:443:privateKey=/nonexistent.pem").endswith("(/nonexistent.pem: No such file or directory)"))

    def test_a_certificate_that_is_none_is_bad(self) -> None:
        """Without a traceback."""
        path = self.mktemp()
        Path(path).write_text("nothing")
        self.assertIn("a Twisted server endpoint", server_endpoint(f"ssl:443:privateKey={path}"))

    def test_a_certificate_that_can_be_read_is_good(self) -> None:
        """For TLS without anything in front."""
        path = Path(self.mktemp())
        key = crypto.PKey()
        key.generate_key(crypto.TYPE_RSA, 2048)
        certificate = crypto.X509()
        certificate.set_pubkey(key)
        certificate.gmtime_adj_notBefore(0)
        certificate.gmtime_adj_notAfter(60)
        certificate.sign(key, "sha256")
        path.write_bytes(crypto.dump_privatekey(crypto.FILETYPE_PEM, key) + crypto.dump_certificate(crypto.FILETYPE_PEM, certificate))
        self.assertEqual(server_endpoint(f"ssl:443:privateKey={path}"), "")

    def test_a_socket_that_systemd_has_not_passed_is_bad(self) -> None:
        """The unit's socket is missing, or has another name."""
        for description in ("systemd:domain=INET:index=0", "systemd:domain=UNIX:name=nnogw"):
            self.assertIn("systemd has passed no such socket", server_endpoint(description))
        self.assertIn("Specify exactly one", server_endpoint("systemd:domain=INET"))


class PrivateTests(SynchronousTestCase):
    """What only this machine can reach."""

    def test_loopback_addresses_and_unix_sockets_are_private(self) -> None:
        """All of 127.0.0.0/8."""
        for description in (
            "tcp:80:interface=127.0.0.1",
            "tcp:80:interface=127.9.9.9",
            "tcp:80:interface=localhost",
            "tcp6:80:interface=\\:\\:1",
            "ssl:443:interface=127.0.0.1",
            "unix:/run/nnogw.sock",
            "systemd:domain=UNIX:index=0",
        ):
            self.assertTrue(is_private(description), description)

    def test_everything_else_is_public(self) -> None:
        """Above all what names no interface: it listens on all of them."""
        for description in (
            "tcp:80",
            "tcp:80:interface=",
            "tcp:80:interface=0.0.0.0",
            "tcp:80:interface=10.0.0.1",
            "tcp:80:interface=example.com",
            "tcp6:80",
            "tcp6:80:interface=\\:\\:",
            "systemd:domain=INET:index=0",
        ):
            self.assertFalse(is_private(description), description)

    def test_the_admin_listener_is_private_or_not_there(self) -> None:
        """The fix is told."""
        for description in ("", "tcp:9787:interface=127.0.0.1", "unix:/run/admin.sock"):
            self.assertEqual(admin_endpoint(description), "", description)
        self.assertIn("add :interface=127.0.0.1", admin_endpoint("tcp:9787"))
        self.assertEqual(
            admin_endpoint("127.0.0.1:9787"), 'a Twisted server endpoint: "tcp:9787:interface=127.0.0.1", or "" for no admin listener'
        )
        self.assertIn("a Twisted server endpoint", admin_endpoint("nonsense"))
        self.assertIn("a Twisted server endpoint", admin_endpoint(3))


class ClientEndpointTests(SynchronousTestCase):
    """Where services are."""

    def test_bindings_are_twisteds_client_endpoints(self) -> None:
        """Or empty: no binding."""
        for description in (
            "",
            "unix:/run/nno/iam.sock",
            "unix:path=/run/nno/iam.sock:timeout=3",
            "tcp:10.0.0.4:8080",
            "tcp:host=10.0.0.4:port=8080",
            "tcp:host=10.0.0.4:8080",
            "tcp:\\:\\:1:8080",
            "tls:registry.internal:443",
        ):
            self.assertEqual(client_endpoint(description), "", description)

    def test_anything_else_is_bad(self) -> None:
        """Also what Twisted would let fail only when it connects."""
        for value in (
            "10.0.0.4:8080",
            "http://10.0.0.4:8080",
            "tcp:",
            "tcp:10.0.0.4",
            "tcp:10.0.0.4:0",
            "tcp:10.0.0.4:65536",
            "tcp:10.0.0.4:http",
            "tcp::8080",
            "tcp:a b:80",
            "tcp:[::1]:8080",
            "unix:",
            "unix:/a:nonsense=1",
            "tls:registry.internal",
            "tcp:a:80\n",
            8080,
            None,
        ):
            self.assertIn("a Twisted client endpoint", client_endpoint(value), repr(value))

    def test_what_people_write_instead_is_answered_with_the_endpoint(self) -> None:
        """A URL belongs into another option."""
        self.assertEqual(client_endpoint("localhost:8080"), 'a Twisted client endpoint: "tcp:localhost:8080"')
        self.assertEqual(client_endpoint("/run/a.sock"), 'a Twisted client endpoint: "unix:/run/a.sock"')
        self.assertTrue(client_endpoint("http://localhost:8080").endswith("; a URL is given as url, in the environment as NNO_…_URL"))

    def test_ssl_is_refused_with_the_reason(self) -> None:
        """Twisted's ``ssl:`` accepts any certificate."""
        self.assertTrue(client_endpoint("ssl:registry.internal:443").endswith("ssl: does not check whose certificate it is, tls: does"))

    def test_a_trust_root_has_to_be_there(self) -> None:
        """It is told which file is not."""
        self.assertIn(
            "/nonexistent.pem: No such file", client_endpoint("tls:a:443:certificate=/nonexistent.pem:privateKey=/nonexistent.pem")
        )
        self.assertIn("/nonexistent: No such file", client_endpoint("tls:a:443:trustRoots=/nonexistent"))


class TrustedProxyTests(SynchronousTestCase):
    """Whose word on the client's address is taken."""

    def test_addresses_networks_and_unix_are_good(self) -> None:
        """Of both families."""
        for value in ("10.0.0.4", "10.0.0.0/8", "::1", "fd00::/8", "unix"):
            self.assertEqual(trusted_proxy(value), "", value)

    def test_anything_else_is_bad(self) -> None:
        """Host names above all: they would have to be looked up."""
        for value in ("", "proxy.internal", "10.0.0.4:80", "10.0.0.0/33", "*", 10, None):
            self.assertTrue(trusted_proxy(value).startswith("an address such as"), repr(value))

    def test_a_network_with_bits_behind_its_mask_is_told_right(self) -> None:
        """One address or the whole network may have been meant."""
        self.assertTrue(trusted_proxy("10.1.2.3/8").endswith('the network is "10.0.0.0/8"'))
