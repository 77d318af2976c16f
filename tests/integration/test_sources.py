"""IAM and registry that hang, callers that guess, sessions that end, connections that die: over real sockets."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import orjson
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_API_KEY, AS_SERVICE, IDENTITY, Platform, code, status
from tests.integration.sockets import Visit, Wire, get, ok, says, silence, until

_PATH = "/api/v1/billing/invoices"
_QUESTION = b"GET /api/nno/session"
_TOKEN = re.compile(rb"Authorization: Bearer (\S+)")


def bearer(token: str) -> str:
    """Return the field that presents `token`."""
    return f"Authorization: Bearer {token}"


async def all_of(platform: Platform, tokens: list[str]) -> list[int]:
    """Return the statuses of requests with `tokens`, which are made at the same time."""
    answers = await gatherResults([Deferred.fromCoroutine(platform.ask(_PATH, bearer(token))) for token in tokens])
    return [status(answer) for answer in answers]


async def degraded(platform: Platform) -> set[tuple[str, str]]:
    """Return which degraded states there are."""
    response = await treq.get(f"http://127.0.0.1:{platform.gateway.admin_port}/-/degraded", persistent=False)
    return {(entry["state"], entry["subject"]) for entry in await response.json()}


async def until_degraded(platform: Platform, condition: Callable[[set[tuple[str, str]]], bool]) -> None:
    """Return when the degraded states are as they should be."""
    for _ in range(600):
        if condition(await degraded(platform)):
            return
        await deferLater(reactor, 0.05)
    raise AssertionError(await degraded(platform))


class HangingSources(TestCase):
    """Nobody waits for the same time limit again and again."""

    async def test_stale_verdicts_are_served_without_asking_an_iam_that_hangs(self) -> None:
        """Once that is known: then one call at a time finds out that it is back."""
        settings = "[auth]\nconnect_timeout = 0.5\ntimeout = 1\n[auth.cache]\nttl = 0.5\nstale_if_error = 600"
        platform = Platform(self, config=settings)
        await platform.start()
        tokens = [f"t{number}" for number in range(23)]
        self.assertEqual(await all_of(platform, tokens), [200] * 23)
        platform.iam.answer = silence
        await deferLater(reactor, 0.6)
        self.assertEqual(await all_of(platform, tokens[:3]), [200] * 3)
        await until_degraded(platform, lambda states: ("iam-outage", "iam") in states)
        before = platform.iam.received.count(_QUESTION)
        self.assertEqual(await all_of(platform, tokens[3:]), [200] * 20)
        self.assertLessEqual(platform.iam.received.count(_QUESTION) - before, 10)
        log = platform.gateway
        await log.until(lambda: [line.get("cache") for line in log.request_log].count("stale") == 23, "the log lines")
        self.assertIn(("stale-verdicts", "iam"), await degraded(platform))
        platform.iam.answer = says(IDENTITY)
        while await degraded(platform):
            self.assertEqual(await all_of(platform, tokens[:1]), [200])
            await deferLater(reactor, 0.2)

    async def test_new_credentials_do_not_pile_up_before_an_iam_that_hangs(self) -> None:
        """At most two wait; the others are refused as an outage at once."""
        platform = Platform(self, config="[auth]\nconnect_timeout = 0.5\ntimeout = 1", iam=silence)
        await platform.start()
        self.assertEqual(await all_of(platform, ["a", "b", "c"]), [503] * 3)
        await until_degraded(platform, lambda states: ("iam-outage", "iam") in states)
        before = platform.iam.received.count(_QUESTION)
        self.assertEqual(await all_of(platform, [f"t{number}" for number in range(30)]), [503] * 30)
        self.assertLessEqual(platform.iam.received.count(_QUESTION) - before, 20)
        platform.iam.answer = says(IDENTITY)
        self.assertEqual(await all_of(platform, ["new"]), [200])

    async def test_a_registry_that_was_never_heard_of_holds_each_platform_up_once(self) -> None:
        """Its status is unknown then, and asked for beside the requests."""
        platform = Platform(self, registry=silence)
        await platform.start()
        self.assertEqual(await all_of(platform, ["a"]), [200])
        before = platform.registry.received.count(b"GET /p1 ")
        for number in range(6):
            self.assertEqual(await all_of(platform, [f"t{number}"]), [200])
        self.assertLess(platform.registry.received.count(b"GET /p1 ") - before, 5)
        platform.registry.answer = says(ok(b'{"status":"suspended"}'))
        while status(await platform.ask(_PATH, bearer("a"))) != 451:
            await deferLater(reactor, 0.1)


class Ledger(TestCase):
    """What is degraded is in the ledger; what is a single failure is not."""

    async def test_one_failing_token_among_good_ones_is_no_outage(self) -> None:
        """IAM answers 500 for it alone."""

        def fails_for_one(visit: Visit) -> None:
            bad = _TOKEN.findall(visit.received)[-1] == b"bad"
            visit.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n" if bad else IDENTITY)

        platform = Platform(self, iam=fails_for_one)
        await platform.start()
        for number in range(10):
            self.assertEqual(await all_of(platform, ["bad", "bad", f"good-{number}"]), [503, 503, 200])
        self.assertEqual(await all_of(platform, ["bad"] * 5), [503] * 5)
        self.assertEqual(await degraded(platform), set())
        self.assertNotIn("iam-outage", platform.gateway.output)

    async def test_a_service_that_fails_for_a_while_is_in_the_ledger_until_it_responds(self) -> None:
        """One that breaks connections, and then is well again."""
        platform = Platform(self, billing=lambda visit: visit.hang_up())
        await platform.start()
        for _ in range(2):
            self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 502)
        self.assertEqual(await degraded(platform), set())
        self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 502)
        self.assertEqual(await degraded(platform), {("service-failing", "billing")})
        platform.billing.answer = says(ok())
        self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 200)
        self.assertEqual(await degraded(platform), set())


class Guessing(TestCase):
    """Random tokens from one address."""

    async def test_they_hold_up_neither_iam_nor_others(self) -> None:
        """IAM hangs for them; a good new token of another address gets its answer meanwhile."""
        open_questions: list[Visit] = []

        def hangs_for_guesses(visit: Visit) -> None:
            if _TOKEN.findall(visit.received)[-1] == b"good":
                visit.send(IDENTITY)
            else:
                open_questions.append(visit)

        platform = Platform(self, config="[auth]\nconnect_timeout = 60\ntimeout = 60", iam=hangs_for_guesses)
        await platform.start()
        guessers = [await platform.client() for _ in range(200)]
        for number, guesser in enumerate(guessers):
            guesser.send(get(f"/api/v1/billing/{number}", bearer(f"guess-{number}")))
        await until(lambda: len(open_questions) == 16, "the calls that one address may have", lambda: len(open_questions))
        other = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", platform.gateway.port, bindAddress=("127.0.0.2", 0)), Wire())
        other.send(get(_PATH, bearer("good")))
        self.assertEqual(status(await other.until_closed()), 200)
        self.assertEqual(len(open_questions), 16)
        for guesser in guessers:
            guesser.hang_up()
        await platform.gateway.until(lambda: len(platform.gateway.request_log) >= 201, "the log lines of those who left")
        for visit in open_questions:
            visit.send(ok(b"null"))
        self.assertEqual(status(await platform.ask(_PATH, bearer("good"))), 200)
        self.assertEqual(len(open_questions), 16)

    async def test_beyond_the_limit_iam_is_not_asked_and_known_sessions_go_on(self) -> None:
        """With 429, a time to come back, and the path being of no importance."""

        def knows_one(visit: Visit) -> None:
            visit.send(IDENTITY if _TOKEN.findall(visit.received)[-1] == b"good" else ok(b"null"))

        platform = Platform(self, config="[auth]\nfailure_limit = 5", iam=knows_one)
        await platform.start()
        self.assertEqual(await all_of(platform, ["good"]), [200])
        for number in range(5):
            self.assertEqual(status(await platform.ask(f"/api/v1/billing/{number}", bearer(f"guess-{number}"))), 401)
        answer = await platform.ask("/api/v1/stacks/x", bearer("guess-6"))
        self.assertEqual((status(answer), code(answer)), (429, "RATE_LIMITED"))
        self.assertIn(b"\r\nRetry-After: ", answer)
        self.assertEqual(platform.iam.received.count(_QUESTION), 6)
        self.assertEqual(await all_of(platform, ["good"]), [200])
        self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 200)


class EndedSessions(TestCase):
    """What ends a session at IAM ends it here."""

    async def test_revoking_sessions_ends_all_tokens_of_the_user(self) -> None:
        """Those in another form too; other users' verdicts stay."""
        users: dict[bytes, str] = {}

        def knows(visit: Visit) -> None:
            latest = visit.received.rpartition(b"HTTP/1.1\r\n")
            user = users.get(_TOKEN.findall(visit.received)[-1])
            revokes = latest[0].rpartition(b"\r\n")[2].startswith(b"POST ")
            visit.send(ok() if revokes else ok(orjson.dumps(None if user is None else {"userId": user})))

        platform = Platform(self, iam=knows)
        await platform.start()
        for path in ("sign-out", "revoke-session", "revoke-sessions", "revoke-other-sessions", "change-password"):
            tokens = [f"{path}-{form}" for form in ("cookie-form", "bearer-form", "another")]
            users = dict(zip(map(str.encode, tokens), (path, path, f"not-{path}"), strict=True))
            self.assertEqual(await all_of(platform, tokens), [200] * 3)
            asked = platform.iam.received.count(_QUESTION)
            self.assertEqual(await all_of(platform, tokens), [200] * 3)
            self.assertEqual(platform.iam.received.count(_QUESTION), asked)
            answer = await platform.ask(f"/api/v1/iam/api/auth/{path}", bearer(tokens[0]), "Content-Length: 0", method="POST")
            self.assertEqual(status(answer), 200)
            for token in tokens[:2]:
                del users[token.encode()]
            self.assertEqual(await all_of(platform, tokens), [401, 401, 200], path)
            self.assertEqual(platform.iam.received.count(_QUESTION), asked + 2)


class Connections(TestCase):
    """What connections and clocks do to the gateway's own calls."""

    async def test_a_kept_connection_that_dies_unused_does_not_cost_an_api_key_its_request(self) -> None:
        """IAM closes each connection when the second request arrives on it."""
        questions: list[bytes] = []

        def serves_one(visit: Visit) -> None:
            if visit.received.count(b"POST /api/nno/apikey/validate") > 1:
                visit.transport.loseConnection()
            else:
                questions.append(visit.received)
                visit.send(IDENTITY)

        platform = Platform(self, config="[auth.cache]\nttl = 0", iam=serves_one)
        await platform.start()
        for _ in range(6):
            self.assertEqual(status(await platform.ask(_PATH, AS_API_KEY)), 200)
        self.assertEqual(len(questions), 6)

    async def test_a_freeze_longer_than_the_limit_loses_no_response_that_had_come(self) -> None:
        """As of a virtual machine that is paused."""
        held: list[Visit] = []
        platform = Platform(self, config="[auth]\nconnect_timeout = 1\ntimeout = 1.5", iam=held.append)
        await platform.start()
        for number in range(3):
            client = await platform.client()
            client.send(get(_PATH, bearer(f"t{number}")))
            await until(lambda number=number: len(held) == number + 1, "the question")
            os.kill(platform.gateway.pid, signal.SIGSTOP)
            try:
                held[-1].send(IDENTITY)
                await deferLater(reactor, 2)
            finally:
                os.kill(platform.gateway.pid, signal.SIGCONT)
            self.assertEqual(status(await client.until_closed()), 200)
