"""A purge makes the gateway ask again: about one credential, a user, a platform, or everybody."""

from __future__ import annotations

import orjson
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.admin.pages import Pages
from nnogw.admin.purge import Purge
from nnogw.exchange import Exchange, Identity
from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.status_store import StatusStore
from nnogw.identity.verdict_store import VerdictStore
from nnogw.identity.verdicts import VerdictCache
from nnogw.settings import AuthSettings, LifecycleSettings
from tests.admin.operator import Answer, ask
from tests.identity.doubles import ReadableLedger, ScriptedService, an_exchange

#: The credential says what IAM answers: user and platform, or nothing.
ADA, BOB, BAD = b"ada.acme", b"bob.acme", b"bad"
EVE = b"eve.zeta"


class TalkingCredentials:
    """Believes what a credential says, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def session(self, token: bytes, exchange: Exchange) -> object:
        self.asked.append(token)
        user, dot, platform = token.decode().partition(".")
        return succeed(Identity("session", user, None, platform) if dot else None)

    api_key = session


class PurgeTests(SynchronousTestCase):
    """Three users of two platforms, a refused token, and a key are in memory; so are the statuses of the platforms."""

    def setUp(self) -> None:
        clock = Clock()
        self.iam = TalkingCredentials()
        self.registry = ScriptedService()
        self.registry.answers({"status": "active"})
        verdicts = VerdictStore(AuthSettings(), clock=clock, ledger=ReadableLedger())
        statuses = StatusStore(LifecycleSettings(), clock=clock, ledger=ReadableLedger())
        self.verdicts = VerdictCache(AuthSettings(), self.iam, verdicts, clock=clock)
        self.statuses = PlatformStatuses(self.registry.agent(), LifecycleSettings(), statuses, clock=clock)
        self.root = Pages({b"/-/purge": {b"POST": Purge(verdicts, statuses)}})
        self.use()
        self.iam.asked.clear()
        self.registry.asked.clear()

    def use(self) -> None:
        """Let everybody come by."""
        for token in (ADA, BOB, EVE, BAD):
            self.verdicts.session(token, an_exchange())
        self.verdicts.api_key(ADA, an_exchange())
        for platform in ("acme", "zeta"):
            self.statuses.status(platform, an_exchange())

    def purge(self, body: bytes, content_type: str = "application/x-www-form-urlencoded", path: str = "/-/purge") -> Answer:
        return ask(self.root, "POST", path, body, Content_Type=content_type)

    def asked_again(self) -> tuple[list[bytes], list[str]]:
        """Return about whom IAM and the registry have to be asked, when everybody comes by again."""
        self.use()
        return self.iam.asked, [call.url.rpartition("/")[2] for call in self.registry.asked]

    def test_nobody_is_asked_again_without_a_purge(self) -> None:
        """All of it is in memory."""
        self.assertEqual(self.asked_again(), ([], []))

    def test_a_token(self) -> None:
        """And not the key that is spelled like it."""
        self.assertEqual(self.purge(b"token=" + ADA).document, {"purged": 1})
        self.assertEqual(self.asked_again(), ([ADA], []))

    def test_a_token_that_was_refused(self) -> None:
        """It may be good now."""
        self.assertEqual(self.purge(b"token=" + BAD).document, {"purged": 1})
        self.assertEqual(self.asked_again(), ([BAD], []))

    def test_a_token_that_nobody_knows(self) -> None:
        """Nothing was purged, and it says so."""
        self.assertEqual(self.purge(b"token=mallory").document, {"purged": 0})

    def test_an_api_key(self) -> None:
        """And not the session that is spelled like it."""
        self.assertEqual(self.purge(b"api_key=" + ADA).document, {"purged": 1})
        self.assertEqual(self.asked_again(), ([ADA], []))
        self.assertEqual(self.purge(b"api_key=" + BOB).document, {"purged": 0})

    def test_a_user(self) -> None:
        """With every credential."""
        self.assertEqual(self.purge(b"user=ada").document, {"purged": 2})
        self.assertEqual(self.asked_again(), ([ADA, ADA], []))

    def test_a_platform(self) -> None:
        """All of its users, and its status."""
        self.assertEqual(self.purge(b"platform=acme").document, {"purged": 3})
        self.assertEqual(self.asked_again(), ([ADA, BOB, ADA], ["acme"]))

    def test_everybody(self) -> None:
        """Refusals and statuses too."""
        self.assertEqual(self.purge(b"all=true").document, {"purged": 7})
        self.assertEqual(self.asked_again(), ([ADA, BOB, EVE, BAD, ADA], ["acme", "zeta"]))

    def test_json_is_understood_too(self) -> None:
        """With or without a charset."""
        self.assertEqual(self.purge(orjson.dumps({"user": "eve"}), "application/json").document, {"purged": 1})
        self.assertEqual(self.purge(orjson.dumps({"all": True}), "Application/JSON; charset=utf-8").document, {"purged": 6})

    def test_a_request_that_is_not_clear_purges_nothing(self) -> None:
        """It is told what is."""
        forms = (b"", b"user=", b"user=ada&token=x", b"user=ada&user=bob", b"name=ada", b"all=false", b"all=", b"user=%ff", b"ada", b"\xff")
        documents = (b"", b"{", b"[]", b'"all"', b"{}", b'{"user":7}', b'{"user":""}', b'{"all":1}', b'{"all":false}')
        documents += (b'{"user":"ada","all":true}', b'{"user":["ada"]}')
        refused = [self.purge(form) for form in forms] + [self.purge(document, "application/json") for document in documents]
        for answer in refused:
            self.assertEqual(answer.status, 400)
            self.assertIn("exactly one of token=", answer.document["error"])
        self.assertEqual(self.asked_again(), ([], []))

    def test_the_query_does_not_count(self) -> None:
        """It would stand in the history of a shell, and in logs on the way."""
        self.assertEqual(self.purge(b"", path="/-/purge?all=true").status, 400)

    def test_the_programs_log_tells_of_a_purge_and_not_whose(self) -> None:
        """That may be a token."""
        with capturedLogs() as events:
            self.purge(b"token=" + ADA)
        (said,) = [event["log_format"].format(**event) for event in events]
        self.assertEqual(said, "purged by token: 1 dropped")
