"""A binding is what Twisted's client endpoint strings are, as far as it makes sense for a service."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.upstream.binding import BadBinding, Binding, parse_binding, split_endpoint


class Bindings(SynchronousTestCase):
    """What is understood."""

    def test_every_argument_of_twisteds_parsers_is_understood(self) -> None:
        """With a name or in its place."""
        for text, binding in (
            ("tcp:a:80", Binding("tcp", "a", 80)),
            ("tcp:host=a:port=80", Binding("tcp", "a", 80)),
            ("tcp:host=a:80", Binding("tcp", "a", 80)),
            ("tcp:80:host=a", Binding("tcp", "a", 80)),
            ("tcp:10.0.0.4:80:timeout=5:bindAddress=10.0.0.9", Binding("tcp", "10.0.0.4", 80, timeout=5, bind_address="10.0.0.9")),
            (r"tcp:2001\:db8\:\:1:80", Binding("tcp", "2001:db8::1", 80)),
            (r"tls:\:\:1:443", Binding("tls", "::1", 443)),
            ("tls:a:443:5:10.0.0.9", Binding("tls", "a", 443, timeout=5, bind_address="10.0.0.9")),
            (
                "tls:a:443:certificate=/c:privateKey=/k:trustRoots=/t",
                Binding("tls", "a", 443, certificate="/c", private_key="/k", trust_roots="/t"),
            ),
            (r"tls:a:443:endpoint=unix\:/run/a", Binding("tls", "a", 443, endpoint=Binding("unix", path="/run/a"))),
            (r"tls:a:443:endpoint=tcp\:10.0.0.4\:80", Binding("tls", "a", 443, endpoint=Binding("tcp", "10.0.0.4", 80))),
            ("unix:/run/a", Binding("unix", path="/run/a")),
            ("unix:path=/run/a:timeout=3:lockfile=1", Binding("unix", path="/run/a", timeout=3, lockfile=True)),
            (r"unix:/run/a\:b\=c", Binding("unix", path="/run/a:b=c")),
        ):
            self.assertEqual(parse_binding(text), binding, text)

    def test_names_are_kept_as_dns_has_them(self) -> None:
        """IDNA where it is needed; an underscore is common among containers."""
        self.assertEqual(parse_binding("tcp:bücher.example:80").host, "xn--bcher-kva.example")
        self.assertEqual(parse_binding("tls:Bücher.example:443").host, "xn--bcher-kva.example")
        self.assertEqual(parse_binding("tcp:my_service:80").host, "my_service")

    def test_what_is_wrong_is_said(self) -> None:
        """Before anything starts."""
        for text, complaint in (
            ("ssl:a:443", "does not check whose certificate"),
            ("http://a", "unix, tcp or tls"),
            ("tcp:a", "port from 1 to 65535"),
            ("tcp:a:0", "port from 1 to 65535"),
            ("tcp:a:port=x", "port from 1 to 65535"),
            ("tcp:", "needs a host"),
            ("tcp:[::1]:80", "written \\:"),
            (r"tcp:a\:b:80", "neither a name nor an address"),
            (f"tcp:{'ü' * 70}.example:80", "is no name"),
            ("tcp:10.0.0.256:80", "neither a name nor an address"),
            ("tls:1234:443", "neither a name nor an address"),
            ("tls:a..b:443", "neither a name nor an address"),
            ("tcp:a b:80", "neither a name nor an address"),
            ("tcp:-a:80", "neither a name nor an address"),
            (f"tcp:{'a.' * 130}:80", "neither a name nor an address"),
            ("tcp:a:80:5", "a value too many: '5'"),
            ("tcp:a:80:trustRoots=/t", "tcp has no argument 'trustRoots'; it has host, port, timeout, bindAddress"),
            ("tls:a:443:nonsense=1", "tls has no argument 'nonsense'"),
            ("tcp:a:80:timeout=0", "whole number of seconds"),
            ("tcp:a:80:timeout=1.5", "whole number of seconds"),
            ("tcp:a:80:bindAddress=b", "not a name"),
            (r"tcp:10.0.0.4:80:bindAddress=\:\:1", "an IPv6 address, and the host an IPv4"),
            ("tls:a:443:privateKey=/k", "needs a certificate"),
            (r"tls:a:443:endpoint=tls\:b\:443", "no TLS within TLS"),
            (r"tls:a:443:endpoint=tcp\:b", "endpoint is a client endpoint of its own, and it needs a port"),
            ("unix:", "path of a socket"),
            ("unix:/a:lockfile=maybe", "0 or 1"),
        ):
            with self.assertRaises(BadBinding, msg=text) as caught:
                parse_binding(text)
            self.assertIn(complaint, str(caught.exception))

    def test_an_endpoint_string_comes_apart(self) -> None:
        """A backslash makes the next sign a plain one."""
        self.assertEqual(split_endpoint(r"tcp:a\:b:c=d\=e\\f"), ("tcp", ["a:b"], {"c": r"d=e\f"}))
