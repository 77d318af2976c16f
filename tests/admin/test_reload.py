"""An operator lets the configuration as it is now take over, and is told what came of it."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.admin.pages import Pages
from nnogw.admin.reload import ReloadPage
from nnogw.interfaces import ReloadRefused
from tests.admin.operator import Answer, ask


class ReloadPageTests(SynchronousTestCase):
    """A gateway whose reload does as the test says."""

    def setUp(self) -> None:
        self.reloads = 0
        self.changes: list[str] = []
        self.problems: list[str] = []
        self.root = Pages({b"/-/reload": {b"POST": ReloadPage(self.reload)}})

    def reload(self) -> list[str]:
        """Reload."""
        self.reloads += 1
        if self.problems:
            raise ReloadRefused(self.problems)
        return self.changes

    def post(self) -> tuple[Answer, list[str]]:
        """Ask for a reload; returns the response, and what the program's log says."""
        with capturedLogs() as events:
            answer = ask(self.root, "POST", "/-/reload")
        return answer, [event["log_format"].format(**event) for event in events]

    def test_it_says_what_is_different(self) -> None:
        """A line for each option, as the operator writes them."""
        self.changes = ["rate_limit.limit: 100 → 50", "cors.origins: [] → ['*']"]
        answer, said = self.post()
        self.assertEqual((answer.status, answer.document, said), (200, {"reloaded": True, "changes": self.changes}, []))
        self.assertEqual(self.reloads, 1)

    def test_that_nothing_is_different_is_no_problem(self) -> None:
        """Certificates and keys may be others."""
        answer, _ = self.post()
        self.assertEqual((answer.status, answer.document), (200, {"reloaded": True, "changes": []}))

    def test_a_configuration_that_is_not_good_is_500_with_every_problem(self) -> None:
        """A script sees it by the status; the program's log has it, too."""
        self.problems = ["[limits] max_body: -1", "{routes}: no prefix"]
        answer, said = self.post()
        self.assertEqual((answer.status, answer.document), (500, {"reloaded": False, "problems": self.problems}))
        self.assertEqual(said, [f"POST /-/reload changes nothing: {problem}" for problem in self.problems])

    def test_the_next_one_may_succeed(self) -> None:
        """Nothing is left of the one before."""
        self.problems = ["[limits] max_body: -1"]
        self.post()
        self.problems = []
        self.assertEqual(self.post()[0].document, {"reloaded": True, "changes": []})
