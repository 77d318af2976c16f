"""Load balancers are told whether to send requests here."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.middleware.health import Health
from tests.doubles import Further, exchange


class HealthTests(SynchronousTestCase):
    """``/health``."""

    def test_it_is_ok(self) -> None:
        """To GET and HEAD."""
        for method in (b"GET", b"HEAD"):
            response = self.successResultOf(Health(lambda: False)(exchange(method, b"/health"), Further()))
            self.assertEqual((response.status, response.body), (200, b"ok"))
            self.assertEqual(response.fields, [(b"content-type", b"Content-Type", b"text/plain")])

    def test_it_says_draining_when_the_gateway_is_about_to_stop(self) -> None:
        """With a 503."""
        response = self.successResultOf(Health(lambda: True)(exchange(path=b"/health"), Further()))
        self.assertEqual((response.status, response.body), (503, b"draining"))

    def test_anything_else_goes_on(self) -> None:
        """Other paths, other methods."""
        for request in (exchange(path=b"/healthy"), exchange(b"POST", b"/health"), exchange(path=b"/health/")):
            further = Further()
            self.assertIs(Health(lambda: False)(request, further), further.waiting)
