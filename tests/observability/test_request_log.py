"""The request log: one line of JSON a request, which a client cannot forge and in which no secret stands."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.exchange import Exchange, Identity
from nnogw.fields import HeaderFields
from nnogw.observability.request_log import format_line
from tests.observability.exchanges import NOON, an_ended_exchange

KEYS = [
    *("time", "level", "requestId", "traceId", "method", "path", "route", "service", "upstream", "status"),
    *("durationMs", "authMs", "upstreamMs", "bytesIn", "bytesOut", "ip", "auth", "cache", "userId", "platformId", "end"),
]


def told(**changes: object) -> dict:
    """Return what the line says of an exchange with `changes`."""
    return json.loads(format_line(an_ended_exchange(**changes)))


class Content(SynchronousTestCase):
    """What a line says."""

    def test_it_has_all_facts_in_their_order(self) -> None:
        """A reader without a JSON parser finds them in the same place in every line."""
        line = json.loads(format_line(an_ended_exchange()), object_pairs_hook=list)
        self.assertEqual([key for key, _ in line], KEYS)
        request = ["2026-01-01T12:00:00.250Z", "info", "request-1", "trace-1", "GET", "/api/v1/billing/invoices"]
        way = ["/api/v1/billing", "billing", "http://127.0.0.1:8791", 200, 2.0, 0.012, 1.5, 3, 512]
        caller = ["192.0.2.1", "session", "hit", "user-ada", "platform-acme", "upstream"]
        self.assertEqual([value for _, value in line], request + way + caller)

    def test_what_is_not_known_is_null(self) -> None:
        """A request that was refused at once has neither route nor times nor caller."""
        line = told(route=None, upstream="", trace_id="", identity=None, auth_time=None, upstream_time=None, auth="none", cache="-")
        unknown = ("traceId", "route", "service", "upstream", "authMs", "upstreamMs", "userId", "platformId")
        self.assertEqual([line[key] for key in unknown], [None] * len(unknown))
        self.assertEqual((line["auth"], line["cache"]), ("none", "-"))

    def test_the_reason_is_there_only_where_there_is_one(self) -> None:
        """At the end."""
        self.assertEqual(list(told(reason="two Host fields"))[-1], "reason")
        self.assertEqual(told(reason="two Host fields")["reason"], "two Host fields")

    def test_an_error_is_what_the_gateway_or_a_service_did(self) -> None:
        """What the client did is information, and leaving is no error."""
        levels = {status: told(status=status)["level"] for status in (200, 304, 404, 429, 499, 500, 502, 504)}
        self.assertEqual([status for status, level in levels.items() if level == "error"], [500, 502, 504])
        self.assertEqual(set(levels.values()), {"info", "error"})

    def test_an_answer_that_a_service_broke_off_is_an_error_whatever_its_status(self) -> None:
        """A client that left in mid-answer is none."""
        levels = [told(abandoned=True, end=end)["level"] for end in ("upstream", "timeout:idle", "client", "timeout:send", "timeout:body")]
        self.assertEqual(levels, ["error", "error", "info", "info", "info"])

    def test_times_are_exact_to_the_millisecond_across_seconds(self) -> None:
        """Also where requests of different seconds alternate."""
        times = [told(started_at=NOON + offset)["time"][-13:] for offset in (0, 59.999, 0.001, 60.5, 59.999)]
        self.assertEqual(times, ["12:00:00.000Z", "12:00:59.999Z", "12:00:00.001Z", "12:01:00.500Z", "12:00:59.999Z"])


class Secrets(SynchronousTestCase):
    """What a line never says."""

    def test_no_header_field_is_in_it(self) -> None:
        """Credentials travel in these."""
        fields = [(b"Authorization", b"Bearer s3cret"), (b"Cookie", b"session=s3cret"), (b"X-Api-Key", b"nno_s3cret")]
        self.assertNotIn(b"s3cret", format_line(an_ended_exchange(fields=HeaderFields(fields), reason="no session")))

    def test_a_refused_target_is_told_without_query_fragment_and_password(self) -> None:
        """It has no canonical path."""
        targets = {
            b"/a/../b?token=s3cret": "/a/../b",
            b"/a#token=s3cret": "/a",
            b"/a#b?token=s3cret": "/a",
            b"http://ada:s3cret@gateway/x": "http://gateway/x",
            b"HTTP://s3cret@gateway/x@y?z": "HTTP://gateway/x@y",
            b"ada:s3cret@gateway:443": "gateway:443",
            b"/mail/@ada": "/mail/@ada",
            b"": "",
        }
        self.assertEqual({target: told(path=b"", target=target)["path"] for target in targets}, targets)


class Forgery(SynchronousTestCase):
    """A client cannot put a line or a field of its own into the log."""

    def test_line_ends_and_quotes_are_escaped(self) -> None:
        """Those of Unicode, and terminal controls, too."""
        line = format_line(an_ended_exchange(path=b"", target=b'/\r\n\x85\x9b"}\n{"status": 200', reason="\u2028\u2029"))
        self.assertEqual(line.count(b"\n"), 1)
        self.assertTrue(line.isascii())
        self.assertEqual(json.loads(line)["path"], '/\r\n\x85\x9b"}\n{"status": 200')

    def test_an_address_that_is_not_unicode_does_not_stop_the_log(self) -> None:
        """Python reads the name of a socket file that is not UTF-8 from the environment with lone surrogates."""
        line = format_line(an_ended_exchange(upstream="unix:/run/\udcff.sock"))
        self.assertIn(rb'"upstream":"unix:/run/\udcff.sock"', line)

    def test_a_long_path_is_cut(self) -> None:
        """A line stays a line."""
        self.assertEqual(told(path=b"/" + b"a" * 8000)["path"], "/" + "a" * 2047)

    @settings(deadline=None)
    @given(st.binary(max_size=8), st.binary(max_size=60), st.binary(max_size=60), st.text(), st.none() | st.text(), st.text())
    def test_whatever_comes_it_is_one_line_that_reads_back(
        self, method: bytes, path: bytes, target: bytes, ip: str, user: str | None, reason: str
    ) -> None:
        """However it is read: as bytes, or as text by Unicode's idea of lines."""
        exchange: Exchange = an_ended_exchange(
            method=method, path=path, target=target, ip=ip, identity=Identity("session", user, None, user), reason=reason
        )
        line = format_line(exchange)
        self.assertTrue(line.endswith(b"}\n"))
        self.assertEqual(len(line.decode().splitlines()), 1)
        read = json.loads(line)
        self.assertEqual(list(read)[: len(KEYS)], KEYS)
        self.assertEqual((read["method"], read["ip"]), (method.decode("latin-1"), ip))
        self.assertEqual((read["userId"], read["platformId"], read.get("reason", "")), (user, user, reason))
        if path:
            self.assertEqual(read["path"], path.decode("latin-1"))
