"""What the demo's registry says of platforms."""

from __future__ import annotations

from typing import Any

from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.echo import DemoService
from nnogw.demo.registry import registry_responders


class RegistryTests(SynchronousTestCase):
    """The demo's registry knows two platforms."""

    def setUp(self) -> None:
        self.treq = StubTreq(DemoService("registry", registry_responders()))

    def get(self, path: str) -> Any:
        return self.successResultOf(self.successResultOf(self.treq.get("http://registry" + path)).json())

    def test_one_platform_is_active(self) -> None:
        """It is the one of the session and of the API key."""
        self.assertEqual(self.get("/platform-acme"), {"id": "platform-acme", "name": "Acme", "status": "active"})

    def test_one_platform_is_suspended(self) -> None:
        """It has a session, too."""
        self.assertEqual(self.get("/platform-closed"), {"id": "platform-closed", "name": "Closed for now", "status": "suspended"})

    def test_everything_else_is_an_echo(self) -> None:
        """A platform's tenants, for example."""
        self.assertEqual(self.get("/platform-acme/tenants")["path"], "/platform-acme/tenants")
