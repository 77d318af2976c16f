"""What the demo's IAM says of sessions and API keys."""

from __future__ import annotations

from typing import Any

from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.echo import DemoService
from nnogw.demo.iam import iam_responders


class IamTests(SynchronousTestCase):
    """The demo's IAM speaks as the platform's does."""

    def setUp(self) -> None:
        self.treq = StubTreq(DemoService("iam", iam_responders(lambda: 1_700_000_000.0)))

    def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        response = self.successResultOf(self.treq.request(method, "http://iam" + path, **arguments))
        return response.code, self.successResultOf(response.json())

    def session(self, token: str) -> tuple[int, Any]:
        return self.ask("GET", "/api/nno/session", headers={"Authorization": f"Bearer {token}"})

    def test_a_session_has_a_user_a_role_a_platform_and_an_end(self) -> None:
        """The end is an hour away at every question."""
        facts = {"userId": "user-ada", "role": "admin", "platformId": "platform-acme", "expiresAt": "2023-11-14T23:13:20+00:00"}
        self.assertEqual(self.session("demo-session"), (200, facts))

    def test_a_suspended_platforms_session_is_a_good_one(self) -> None:
        """That its platform is suspended is the registry's to say."""
        status, facts = self.session("demo-suspended")
        self.assertEqual((status, facts["platformId"]), (200, "platform-closed"))
        self.assertNotIn("platformStatus", facts)

    def test_an_unknown_session_is_null(self) -> None:
        """So is a question without a token."""
        self.assertEqual(self.session("other"), (200, None))
        self.assertEqual(self.ask("GET", "/api/nno/session"), (200, None))

    def test_one_session_makes_it_fail(self) -> None:
        """So that an outage can be seen."""
        self.assertEqual(self.session("demo-outage")[0], 500)

    def test_an_api_key_has_a_user_a_role_and_a_platform(self) -> None:
        """It is valid."""
        self.assertEqual(
            self.ask("POST", "/api/nno/apikey/validate", json={"key": "nno_demo_key"}),
            (200, {"valid": True, "userId": "user-build", "role": "deployer", "platformId": "platform-acme"}),
        )

    def test_an_unknown_api_key_is_not_valid(self) -> None:
        """Nothing more is said of it."""
        self.assertEqual(self.ask("POST", "/api/nno/apikey/validate", json={"key": "nno_other"}), (200, {"valid": False}))

    def test_a_validation_without_a_key_is_refused(self) -> None:
        """Whatever stands in the body instead."""
        for body in (b"", b"{", b"[]", b"{}", b'{"key": []}'):
            self.assertEqual(self.ask("POST", "/api/nno/apikey/validate", data=body)[0], 400, body)

    def test_a_sign_out_is_granted_and_the_session_stays(self) -> None:
        """The printed lines work again afterwards."""
        headers = {"Authorization": "Bearer demo-session"}
        self.assertEqual(self.ask("POST", "/api/auth/sign-out", headers=headers), (200, {"success": True}))
        self.assertEqual(self.session("demo-session")[1]["userId"], "user-ada")
