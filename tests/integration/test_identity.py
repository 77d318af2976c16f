"""Who gets in, over real sockets, and what services see of them; IAM and registry that fail or lie."""

from __future__ import annotations

import re

import orjson
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.integration.platform import ACTIVE, AS_API_KEY, AS_SERVICE, AS_USER, IDENTITY, Platform, code, status
from tests.integration.sockets import Visit, ok, says, silence, until

_PATH = "/api/v1/billing/invoices"


class WhoGetsIn(TestCase):
    """The three paths, and no other."""

    async def setUp(self) -> None:
        self.platform = Platform(self)
        await self.platform.start()

    async def test_the_service_key_gets_in_without_a_question(self) -> None:
        """Neither IAM nor the registry hears of it."""
        self.assertEqual(status(await self.platform.ask(_PATH, AS_SERVICE)), 200)
        self.assertEqual((self.platform.iam.visits, self.platform.registry.visits), ([], []))

    async def test_a_session_and_an_api_key_arrive_as_who_iam_says_they_are(self) -> None:
        """And what the client said of itself does not."""
        for credential in (AS_USER, AS_API_KEY):
            answer = await self.platform.ask(_PATH, credential, "X-Nno-User-Id: root", "x_nno_role: root", "Connection: close, X-Nno-Role")
            self.assertEqual(status(answer), 200)
            arrived = self.platform.billing.received.rpartition(b"GET /")[2]
            self.assertEqual(re.findall(rb"(?im)^x.nno.(user.id|role|platform.id): (.*)\r$", arrived), _IDENTITY_FIELDS)

    async def test_who_has_no_good_credentials_is_told_so(self) -> None:
        """401 with WWW-Authenticate, and the service sees nothing."""
        for fields in (
            (),
            ("Authorization: Basic eDp5",),
            ("Authorization: Bearer ",),
            ("Authorization: Bearer a", "Authorization: Bearer b"),
            ("x-api-key: nno_a", "x-api-key: nno_b"),
            ("x-api-key: sk_live_1",),
        ):
            answer = await self.platform.ask(_PATH, *fields)
            self.assertEqual((status(answer), code(answer)), (401, "UNAUTHORIZED"), fields)
            self.assertIn(b"\r\nWWW-Authenticate: Bearer\r\n", answer)
        self.assertEqual((self.platform.iam.visits, self.platform.billing.visits), ([], []))

    async def test_a_thousand_at_once_with_one_new_token_cost_iam_one_call(self) -> None:
        """They wait for the same verdict."""
        self.platform.iam.answer = lambda visit: visit.transport.reactor.callLater(0.5, visit.send, IDENTITY)
        answers = await gatherResults([Deferred.fromCoroutine(self.platform.ask(f"{_PATH}?{n}", AS_USER)) for n in range(300)])
        self.assertNotIn(401, {status(answer) for answer in answers})
        self.assertEqual(self.platform.iam.received.count(b"GET /api/nno/session"), 1)

    async def test_no_secret_and_no_query_is_in_the_log(self) -> None:
        """Neither of those who got in nor of those who did not."""
        for credential in (AS_SERVICE, AS_USER, AS_API_KEY, "Authorization: Basic secret-in-basic", "Cookie: secret-cookie"):
            await self.platform.ask(f"{_PATH}?secret-query", credential)
        self.platform.iam.answer = says(b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nsecret-xx")
        await self.platform.ask(f"{_PATH}?secret-query", "Authorization: Bearer secret-bearer")
        gateway = self.platform.gateway
        await gateway.until(lambda: sum(line["path"] == _PATH for line in gateway.request_log) == 6, "the log lines")
        for secret in ("secret-", "service-key-of", "session-of", "nno_key"):
            self.assertNotIn(secret, gateway.output)

    async def test_a_signed_out_session_is_asked_about_again(self) -> None:
        """Its verdict does not outlive it."""
        await self.platform.ask(_PATH, AS_USER)
        await self.platform.ask("/api/v1/iam/api/auth/sign-out", AS_USER, "Content-Length: 0", method="POST")
        self.platform.iam.answer = says(ok(b"null"))
        self.assertEqual(status(await self.platform.ask(_PATH, AS_USER)), 401)


class OutagesAndLies(TestCase):
    """An outage is a 503, whatever it looks like: neither a refusal nor an open door."""

    async def setUp(self) -> None:
        self.platform = Platform(self, config="[auth]\nconnect_timeout = 0.5\ntimeout = 1")
        await self.platform.start()

    async def test_every_way_in_which_iam_can_fail_is_a_503_that_says_when_to_retry(self) -> None:
        """And is never remembered: the next request asks again, and gets in."""
        ways = {
            "silent": silence,
            "gone": lambda visit: visit.hang_up(),
            "slow body": says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
            "5xx": says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
            "429": says(b"HTTP/1.1 429 Oh\r\nContent-Length: 0\r\n\r\n"),
            "redirect": says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            "not JSON": says(ok(b"<html>")),
            "a list": says(ok(b"[]")),
            "too large": says(ok(b'{"userId":"' + b"u" * 70_000 + b'"}')),
            "a control character": says(ok(b'{"userId":"u\\r\\nX-Nno-Role: root"}')),
            "beyond latin-1": says(ok('{"userId":"u\u4e00"}'.encode())),
            "not HTTP": says(b"\x15\x03\x01"),
        }
        for name, way in ways.items():
            self.platform.iam.answer = way
            answer = await self.platform.ask(_PATH, f"Authorization: Bearer {name.replace(' ', '-')}")
            self.assertEqual((status(answer), code(answer)), (503, "AUTH_UNAVAILABLE"), name)
            self.assertIn(b"\r\nRetry-After: ", answer, name)
        self.assertEqual(self.platform.billing.visits, [])
        self.platform.iam.answer = says(IDENTITY)
        self.assertEqual(status(await self.platform.ask(_PATH, "Authorization: Bearer silent")), 200)

    async def test_an_api_key_without_a_platform_breaks_the_contract(self) -> None:
        """It is refused as an outage."""
        self.platform.iam.answer = says(ok(b'{"valid":true,"userId":"u1"}'))
        answer = await self.platform.ask(_PATH, AS_API_KEY)
        self.assertEqual((status(answer), code(answer)), (503, "AUTH_UNAVAILABLE"))

    async def test_definite_refusals_are_401(self) -> None:
        """Null, 401, 403, 404, and an API key that is not valid."""
        for number, answer in enumerate((ok(b"null"), *(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % n for n in (401, 403, 404)))):
            self.platform.iam.answer = says(answer)
            self.assertEqual(status(await self.platform.ask(_PATH, f"Authorization: Bearer t{number}")), 401)
        self.platform.iam.answer = says(ok(b'{"valid":false}'))
        self.assertEqual(status(await self.platform.ask(_PATH, AS_API_KEY)), 401)

    async def test_a_suspended_platform_is_kept_out_and_an_unknown_one_let_in(self) -> None:
        """Its status is asked of the registry with the service key."""
        self.platform.registry.answer = says(ok(b'{"status":"suspended"}'))
        answer = await self.platform.ask(_PATH, AS_USER)
        self.assertEqual((status(answer), code(answer)), (451, "PLATFORM_SUSPENDED"))
        self.assertIn(b"This platform has been suspended.", answer)
        self.assertIn(b"GET /p1 HTTP/1.1\r\n", self.platform.registry.received)
        self.assertIn(AS_SERVICE.encode(), self.platform.registry.received)
        self.platform.registry.answer = lambda visit: visit.hang_up()
        for number in range(3):
            self.platform.iam.answer = says(ok(orjson.dumps({"userId": f"v{number}", "platformId": f"q{number}"})))
            self.assertEqual(status(await self.platform.ask(_PATH, f"Authorization: Bearer other-{number}")), 200)
        await until(lambda: "platform-status-unknown" in self.platform.gateway.stderr, "a word in the log")

    async def test_the_platforms_status_is_learnt_once_for_many(self) -> None:
        """Single flight, and a cache."""

        def slowly(visit: Visit) -> None:
            visit.transport.reactor.callLater(0.3, visit.send, ACTIVE)

        self.platform.registry.answer = slowly
        await gatherResults([Deferred.fromCoroutine(self.platform.ask(f"{_PATH}?{n}", AS_USER)) for n in range(50)])
        self.assertEqual(self.platform.registry.received.count(b"GET /p1 "), 1)


_IDENTITY_FIELDS = [(b"User-Id", b"u1"), (b"Role", b"admin"), (b"Platform-Id", b"p1")]
