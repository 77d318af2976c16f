"""``twistd nnogw --demo``: every line that it prints does what its caption promises."""

from __future__ import annotations

import re
from hashlib import sha256

import orjson
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import GatewayProcess, environment
from tests.programs import program

_PRINTED = re.compile(r"^# (\d{3}): (.+)\n(.+)$", re.MULTILINE)
_LAST_PRINTED = "/status.json"


class DemoTests(TestCase):
    """The shortest way to see the whole thing work."""

    async def setUp(self) -> None:
        program("curl")  # which the printed lines call
        self.gateway = GatewayProcess(self, arguments=["--demo"])
        await self.gateway.start()
        await self.gateway.until(lambda: _LAST_PRINTED in self.gateway.stderr, "the printed lines")
        self.printed = [(int(status), caption, command) for status, caption, command in _PRINTED.findall(self.gateway.stderr)]

    async def test_every_printed_line_gets_the_status_of_its_caption(self) -> None:
        """They are run by a plain POSIX shell as they stand, in their order: not everybody has bash."""
        self.assertGreater(len(self.printed), 15)
        promised = [(caption, status) for status, caption, _ in self.printed]
        got = [(caption, _last_status(await self.sh(command))) for _, caption, command in self.printed]
        self.assertEqual(got, promised)

    async def test_the_identity_arrives_at_the_service(self) -> None:
        """A session and an API key each bring the user, the role and the platform; the query comes along."""
        session = _body(await self.printed_line("demo-session.*/invoices"))
        self.assertEqual(_identity(session), ["user-ada", "admin", "platform-acme"])
        self.assertEqual((session["service"], session["path"], session["query"]), ("billing", "/invoices", "month=5"))
        self.assertEqual(_identity(_body(await self.printed_line("nno_demo_key"))), ["user-build", "deployer", "platform-acme"])

    async def test_the_sixth_request_is_over_the_limit(self) -> None:
        """The five before it are answered."""
        output = await self.printed_line("^for ")
        self.assertEqual(re.findall(rb"^HTTP/1\.1 (\d{3})", output, re.MULTILINE), [b"200"] * 5 + [b"429"])
        self.assertRegex(output, rb"(?i)\nRetry-After: \d+\r?\n")

    async def test_bodies_come_through_whole(self) -> None:
        """The events of a stream, and an upload down to its digest."""
        self.assertEqual(re.findall(rb"^id: (\d)$", await self.printed_line("/events"), re.MULTILINE), [b"1", b"2", b"3"])
        upload = _body(await self.printed_line("curl .*-T -"))
        self.assertEqual(upload["body"], {"bytes": 20_000_000, "sha256": sha256(bytes(20_000_000)).hexdigest()})

    async def test_a_services_error_is_its_own_and_the_gateways_is_an_envelope(self) -> None:
        """Only the gateway's has a code, and the request id that its header tells."""
        self.assertEqual(_body(await self.printed_line("/fail")), {"error": "billing has run out of ink"})
        refused = await self.printed_line("path-as-is")
        error = _body(refused)["error"]
        self.assertEqual(error["code"], "BAD_REQUEST")
        self.assertIn(b"\r\nx-request-id: %b\r\n" % error["requestId"].encode(), refused.lower())

    async def printed_line(self, pattern: str) -> bytes:
        """Run the one printed command that `pattern` is found in."""
        (command,) = [command for _, _, command in self.printed if re.search(pattern, command)]
        return await self.sh(command)

    async def sh(self, command: str) -> bytes:
        """Run `command`, without the proxies and the ``.curlrc`` of whoever runs the tests."""
        home = environment({"HOME": self.mktemp()})
        output, _, _ = await getProcessOutputAndValue("/bin/sh", ["-c", command], env=home)
        return bytes(output)


def _last_status(output: bytes) -> int:
    """Return the final status: one of 100 may come before it."""
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3})", output, re.MULTILINE)
    return int(statuses[-1]) if statuses else 0


def _body(output: bytes) -> dict:
    return orjson.loads(output.rpartition(b"\r\n\r\n")[2])


def _identity(echo: dict) -> list[str]:
    fields = {name.lower(): value for name, value in echo["headers"]}
    return [fields.get(name, "") for name in ("x-nno-user-id", "x-nno-role", "x-nno-platform-id")]
