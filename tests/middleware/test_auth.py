"""Who is let in, by which credential, and what is remembered of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import AuthUnavailable, RateLimited, Unauthorized
from nnogw.exchange import Exchange, Identity, Response
from nnogw.interfaces import Verdict
from nnogw.middleware.auth import Auth
from nnogw.settings import AuthSettings, VerdictCacheSettings
from tests.doubles import Further, exchange

_ADA = Identity("session", "ada")
_OK = Response(200)


class Identities:
    """Judges as it is told (a `nnogw.interfaces.IdentitySource`), and remembers what it was asked."""

    def __init__(self, verdict: Verdict | Deferred[Verdict]) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, bytes]] = []
        self.remembered: dict[bytes, Verdict] = {}
        self.forgotten: list[tuple[str, bytes]] = []
        self.owners: list[tuple[str, bytes, str | None]] = []

    def remembered_session(self, token: bytes) -> Verdict | None:
        """Return what a test has put there."""
        return self.remembered.get(token)

    def session(self, token: bytes, request: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge a session."""
        self.asked.append(("session", token))
        return self.verdict

    def api_key(self, key: bytes, request: Exchange) -> Verdict | Deferred[Verdict]:
        """Judge an API key."""
        self.asked.append(("apikey", key))
        return self.verdict

    def forget(self, kind: str, credential: bytes) -> None:
        """Take note."""
        self.forgotten.append((kind, credential))

    def forget_owner(self, kind: str, credential: bytes, user_id: str | None = None) -> int:
        """Take note."""
        self.owners.append((kind, credential, user_id))
        return 1


def bearing(token: bytes, method: bytes = b"GET", path: bytes = b"/api/v1/billing/x") -> Exchange:
    """Return a request with a bearer token."""
    return exchange(method, path, [(b"Authorization", b"Bearer " + token)])


class AuthTests(SynchronousTestCase):
    """With a service key set, unless a test says otherwise."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.identities = Identities(Verdict(_ADA, "miss"))

    def auth(self, *public: str, keys: tuple[str, ...] = ("key-1", "key-2")) -> Auth:
        """Return the middleware."""
        return Auth(AuthSettings(api_key=keys, public=public), identities=self.identities, clock=self.clock)

    def test_any_active_service_key_is_let_in_without_a_question(self) -> None:
        """The caller acts for the platform itself."""
        for key in (b"key-1", b"key-2"):
            request = bearing(key)
            self.assertIs(self.successResultOf(self.auth()(request, Further(_OK))), _OK)
            self.assertEqual((request.auth, request.identity and request.identity.kind, request.cache), ("service", "service", "-"))
        self.assertEqual(self.identities.asked, [])

    def test_a_service_key_is_no_api_key(self) -> None:
        """And what is nearly one is a session."""
        for token in (b"key-", b"key-11", b"KEY-1"):
            self.auth()(bearing(token), Further(_OK))
        self.assertEqual(self.identities.asked, [("session", b"key-"), ("session", b"key-11"), ("session", b"KEY-1")])

    def test_a_session_is_judged(self) -> None:
        """Whatever the case of the scheme."""
        request = exchange(fields=[(b"authorization", b"bEARER  token-1 ")])
        self.assertIs(self.successResultOf(self.auth()(request, Further(_OK))), _OK)
        self.assertEqual(self.identities.asked, [("session", b"token-1")])
        self.assertEqual((request.auth, request.identity, request.cache), ("session", _ADA, "miss"))

    def test_a_session_that_is_remembered_is_let_in_at_once(self) -> None:
        """Nobody is asked, and it has been compared with the service keys before it was judged."""
        self.identities.remembered[b"t"] = Verdict(_ADA, "hit")
        request = bearing(b"t")
        self.assertIs(self.successResultOf(self.auth()(request, Further(_OK))), _OK)
        self.assertEqual((request.identity, request.cache, self.identities.asked), (_ADA, "hit", []))

    def test_an_api_key_is_judged_where_no_authorization_came(self) -> None:
        """Beside one it does not count."""
        request = exchange(fields=[(b"X-Api-Key", b"nno_1")])
        self.auth()(request, Further(_OK))
        self.auth()(exchange(fields=[(b"X-Api-Key", b"nno_1"), (b"Authorization", b"Bearer t")]), Further(_OK))
        self.assertEqual(self.identities.asked, [("apikey", b"nno_1"), ("session", b"t")])
        self.assertEqual(request.auth, "apikey")

    def test_a_verdict_may_be_waited_for(self) -> None:
        """How long is noted."""
        self.identities.verdict = waiting = Deferred()
        request = bearing(b"t")
        answer = self.auth()(request, Further(_OK))
        self.assertNoResult(answer)
        self.clock.advance(0.5)
        waiting.callback(Verdict(_ADA, "stale"))
        self.assertIs(self.successResultOf(answer), _OK)
        self.assertEqual((request.auth_time, request.cache), (0.5, "stale"))

    def test_a_refused_credential_is_401(self) -> None:
        """With a reason that does not tell it."""
        for request in (bearing(b"secret"), exchange(fields=[(b"X-Api-Key", b"nno_secret")])):
            self.identities.verdict = Verdict(None, "hit")
            error = self.assertRaises(Unauthorized, self.auth(), request, Further())
            self.assertIn("refused", error.reason)
            self.assertNotIn("secret", error.reason)
            self.assertEqual((request.auth, request.identity), ("none", None))

    def test_an_outage_is_neither_a_refusal_nor_an_open_door(self) -> None:
        """It passes as what it is, and its time is noted."""
        self.identities.verdict = waiting = Deferred()
        request, further = bearing(b"t"), Further()
        answer = self.auth()(request, further)
        self.clock.advance(3)
        waiting.errback(AuthUnavailable())
        self.failureResultOf(answer, AuthUnavailable)
        self.assertEqual((further.calls, request.auth_time, request.auth), (0, 3, "none"))

    def test_without_good_credentials_nobody_is_asked(self) -> None:
        """None, two, another scheme, an empty token, another prefix."""
        for fields in (
            [],
            [(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
            [(b"X-Api-Key", b"nno_a"), (b"x-api-key", b"nno_a")],
            [(b"Authorization", b"Basic eDp5")],
            [(b"Authorization", b"Bearer")],
            [(b"Authorization", b"Bearer   ")],
            [(b"Authorization", b"")],
            [(b"Authorization", b"Bearer a b")],
            [(b"Authorization", b"Bearer \xe9")],
            [(b"Authorization", b"Bearer " + b"a" * 9000)],
            [(b"X-Api-Key", b"sk_1")],
            [(b"X-Api-Key", b"")],
        ):
            self.assertRaises(Unauthorized, self.auth(), exchange(fields=fields), Further())
        self.assertEqual(self.identities.asked, [])

    def test_everything_under_api_and_nothing_else_needs_an_identity(self) -> None:
        """With a route or without."""
        for path in (b"/api", b"/api/", b"/api/v1/nowhere"):
            self.assertRaises(Unauthorized, self.auth(), exchange(path=path, route=None), Further())
        for path in (b"/health", b"/", b"/apix", b"/API/v1"):
            further = Further()
            self.assertIs(self.auth()(exchange(path=path, route=None), further), further.waiting)

    def test_without_a_service_key_everybody_passes(self) -> None:
        """The bypass; an empty key is none."""
        for keys in ((), ("",)):
            request, further = exchange(), Further()
            self.assertIs(self.auth(keys=keys)(request, further), further.waiting)
            self.assertEqual((request.auth, request.identity), ("bypass", None))

    def test_public_patterns_need_no_identity(self) -> None:
        """For their method and path only; a star ends a path."""
        auth = self.auth("POST /api/v1/iam/sign-in", "GET /api/v1/iam/public/*", "GET /api/v1/iam/keys/*")
        for method, path in ((b"POST", b"/api/v1/iam/sign-in"), (b"GET", b"/api/v1/iam/public/a/b"), (b"GET", b"/api/v1/iam/keys/1")):
            request, further = exchange(method, path), Further()
            self.assertIs(auth(request, further), further.waiting)
            self.assertEqual(request.auth, "public")
        for method, path in ((b"GET", b"/api/v1/iam/sign-in"), (b"POST", b"/api/v1/iam/sign-in/x"), (b"GET", b"/api/v1/iam/publicity")):
            self.assertRaises(Unauthorized, auth, exchange(method, path), Further())

    def test_an_upstreams_401_drops_the_verdict(self) -> None:
        """Others leave it."""
        for status, forgotten in ((200, []), (403, []), (401, [("session", b"t")])):
            self.auth()(bearing(b"t"), Further(Response(status)))
            self.assertEqual(self.identities.forgotten, forgotten)

    def test_what_ends_a_session_at_iam_drops_every_verdict_of_its_user(self) -> None:
        """By Better Auth's own paths wherever they are mounted, and by the deletion of a session."""
        for method, path, status, drops in (
            (b"POST", b"/api/v1/iam/sign-out", 200, True),
            (b"POST", b"/api/v1/iam/api/auth/sign-out", 200, True),
            (b"POST", b"/api/v1/iam/api/auth/revoke-session", 200, True),
            (b"POST", b"/api/v1/iam/api/auth/revoke-sessions", 200, True),
            (b"POST", b"/api/v1/iam/api/auth/revoke-other-sessions", 204, True),
            (b"POST", b"/api/v1/iam/api/auth/change-password", 200, True),
            (b"DELETE", b"/api/v1/iam/api/sessions/s1", 204, True),
            (b"POST", b"/api/v1/iam/api/auth/sign-out", 500, False),
            (b"POST", b"/api/v1/iam/api/auth/sign-out", 302, False),
            (b"GET", b"/api/v1/iam/api/auth/sign-out", 200, False),
            (b"POST", b"/api/v1/iam/api/auth/sign-outs", 200, False),
            (b"POST", b"/api/v1/iam/api/auth/no-sign-out", 200, False),
            (b"DELETE", b"/api/v1/iam/api/users/s1", 204, False),
        ):
            self.identities.owners.clear()
            self.auth()(bearing(b"t", method, path), Further(Response(status)))
            self.assertEqual(self.identities.owners, [("session", b"t", "ada")] if drops else [], (method, path, status))
        self.assertEqual(self.identities.forgotten, [])

    def test_what_ends_a_session_is_a_setting(self) -> None:
        """In place of the defaults."""
        settings = AuthSettings(api_key=("key-1",), cache=VerdictCacheSettings(forget_on=("PUT /api/v1/iam/lock",)))
        auth = Auth(settings, identities=self.identities, clock=self.clock)
        auth(bearing(b"t", b"PUT", b"/api/v1/iam/lock"), Further(_OK))
        auth(bearing(b"t", b"POST", b"/api/v1/iam/sign-out"), Further(_OK))
        self.assertEqual(self.identities.owners, [("session", b"t", "ada")])

    def test_it_is_so_where_the_path_is_public_too(self) -> None:
        """If it comes with a credential, whose owner nobody has asked for."""
        auth = self.auth("POST /api/v1/iam/sign-out")
        auth(bearing(b"t", b"POST", b"/api/v1/iam/sign-out"), Further(_OK))
        self.assertEqual(self.identities.owners, [("session", b"t", None)])
        self.successResultOf(auth(exchange(b"POST", b"/api/v1/iam/sign-out"), Further(_OK)))
        self.assertEqual(len(self.identities.owners), 1)
        self.assertEqual(self.identities.asked, [])

    def test_who_guesses_too_much_is_refused_as_what_it_is(self) -> None:
        """The identity source says so, and nothing goes further."""
        self.identities.verdict = fail(RateLimited(7, reason="guessing"))
        further = Further(_OK)
        error = self.failureResultOf(self.auth()(bearing(b"t"), further), RateLimited).value
        self.assertEqual((error.headers, further.calls), (((b"Retry-After", b"7"),), 0))
