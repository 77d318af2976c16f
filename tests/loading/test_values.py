"""Which numbers, names and paths an option takes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from nnogw.loading import values
from nnogw.loading.values import Rule
from nnogw.settings import DEFAULT_FORGET_ON


class ValueTests(SynchronousTestCase):
    """A rule says nothing of a good value, and what it expected instead of a bad one."""

    def good(self, rule: Rule, items: Iterable[object]) -> None:
        """Expect each of `items` to be good."""
        for item in items:
            self.assertEqual(rule(item), "", repr(item))

    def bad(self, rule: Rule, items: Iterable[object]) -> None:
        """Expect each of `items` to be bad."""
        for item in items:
            self.assertNotEqual(rule(item), "", repr(item))

    def test_a_time_is_a_number_of_seconds_above_zero(self) -> None:
        """A reactor cannot wait for inf or nan; more than a year was meant in milliseconds."""
        self.good(values.duration(zero=False), [1, 0.001, 86400 * 366])
        self.bad(values.duration(zero=False), [0, 0.0, -1, math.inf, -math.inf, math.nan, 1e9, True, "1", None])

    def test_zero_is_a_time_where_it_means_something(self) -> None:
        """Such as: do not cache."""
        self.good(values.duration(zero=True), [0, 0.0, 1])
        self.bad(values.duration(zero=True), [-1, -0.1, math.nan, False])

    def test_sizes_and_counts_are_whole_numbers(self) -> None:
        """From a least one on."""
        self.good(values.at_least(1, "bytes"), [1, 2**40])
        self.bad(values.at_least(1, "bytes"), [0, -1, 1.0, True, "1"])
        self.assertEqual(values.at_least(0, "")("x"), "a whole number from 0")

    def test_a_choice_is_one_of_those_there_are(self) -> None:
        """As they are written."""
        self.good(values.one_of("path", "route"), ["path", "route"])
        self.bad(values.one_of("path", "route"), ["Path", "", None, []])
        self.assertEqual(values.one_of("path", "route")(""), '"path" or "route"')

    def test_a_name_is_a_word(self) -> None:
        """Something that stands in logs and metrics without quotes."""
        self.good(values.name, ["billing", "stack-registry", "a_b.C9"])
        self.bad(values.name, ["", "a b", "a/b", "é", 'a"', "a\n", 1])

    def test_a_method_is_in_capitals(self) -> None:
        """Methods are case-sensitive."""
        self.good(values.method, ["GET", "M-SEARCH"])
        self.bad(values.method, ["get", "", "*", "GET ", "-A", 1])

    def test_a_policy_name_can_stand_in_quotes(self) -> None:
        """Without escapes."""
        self.good(values.policy_name, ["", "sign-in", "a b", "/api/v1"])
        self.bad(values.policy_name, ['a"b', "a\\b", "é", "a\nb", 1])

    def test_a_header_value_has_no_line_breaks(self) -> None:
        """And nothing else that does not print."""
        self.good(values.field_value, ["", "DENY", "a b", "x"])
        self.bad(values.field_value, ["a\r\nSet-Cookie: b", "a\n", " a", "a ", "é", "a\tb", "\x7f", 1])

    def test_a_cors_header_is_a_name_or_all_of_them(self) -> None:
        """An asterisk within a name is allowed there (RFC 9110 §5.6.2), but was meant otherwise."""
        self.good(values.cors_header, ["X-Client-Version", "etag", "x_a.b", "*"])
        self.bad(values.cors_header, ["", "X-A, X-B", "X A", "X-A:", "X-*", "**", "é", "X-A\n", "X-A\r\nSet-Cookie", 1, None])

    def test_a_service_key_can_come_after_bearer(self) -> None:
        """Visible ASCII, of a length that the gateway reads."""
        self.good(values.service_key, ["s3cret!", "x" * 8192])
        self.bad(values.service_key, ["", "a b", "a\n", "a,b", "é", "x" * 8193, 1])

    def test_a_file_is_named_or_is_standard_output(self) -> None:
        """Empty is neither."""
        self.good(values.file_path, ["-", "/var/log/nnogw.json"])
        self.bad(values.file_path, ["", "a\0b", 1])

    def test_a_dotted_path_has_no_empty_keys(self) -> None:
        """Into IAM's response."""
        self.good(values.dotted_path, ["userId", "user.id", "a.b.c"])
        self.bad(values.dotted_path, ["", ".", "a.", ".a", "a..b", 1])

    def test_a_path_prefix_is_in_canonical_form(self) -> None:
        """It is compared with paths in that form, and would never match."""
        self.good(values.path_prefix, ["/", "/api/v1/iam", "/api/", "/a%20b", "/a;b"])
        self.bad(
            values.path_prefix, ["", "api", "/a?b", "/a#b", "/a b", "/a/../b", "/a/%2e%2e/b", "/a%zz", "/a\\b", "/é", "/a%00", "/a\n", 1]
        )
        self.bad(values.path_prefix, ['/a"b', "/a|b", "/a/*"])
        self.assertEqual(values.path_prefix("/%61pi%2fv1"), 'the path in its canonical form: "/api%2Fv1"')

    def test_a_route_stands_under_api(self) -> None:
        """Authentication is there and nowhere else."""
        self.good(values.route_prefix, ["/api", "/api/v1/iam"])
        self.bad(values.route_prefix, ["/", "/apis", "/v1/iam", "/API/v1", "api", "/api/../x", 1])
        self.assertIn("without authentication", values.route_prefix("/metrics"))

    def test_a_route_has_no_slash_at_its_end(self) -> None:
        """The right form is told."""
        self.assertEqual(values.route_prefix("/api/v1/iam/"), 'a path without a slash at its end: "/api/v1/iam"')

    def test_an_upstream_path_is_a_path_or_nothing(self) -> None:
        """It goes out as it is."""
        self.good(values.upstream_path, ["", "/v2", "/v2/", "/%7Eme"])
        self.bad(values.upstream_path, ["v2", "/a?b", "/../a", "/a b", 1])

    def test_a_request_pattern_is_a_method_and_a_path(self) -> None:
        """An asterisk may end it; anything else would not match what its author thinks."""
        self.good(values.request_pattern, ["GET /health", "HEAD /health", "GET /", "GET /*", "POST /api/v1/docs/*", "GET /api*"])
        self.bad(
            values.request_pattern, ["", "GET", "/health", "get /health", "* /health", "GET  /health", "GET /a/*/b", "GET /**", "GET *"]
        )
        self.bad(values.request_pattern, ["GET /health?x=1", "GET /a/../b", "GET /a b", "GET /health ", "GET health", 1, None])
        self.assertEqual(values.request_pattern("GET /%68ealth"), 'the path in its canonical form: "/health"')

    def test_a_public_pattern_is_a_method_and_a_path_under_api(self) -> None:
        """An asterisk may end it; anything else would not match what its author thinks."""
        self.good(values.public_pattern, ["GET /api", "POST /api/v1/iam/sign-in", "GET /api/v1/docs/*", "GET /api/v1/doc*", "GET /api/*"])
        self.bad(
            values.public_pattern,
            [
                "",
                "GET",
                "/api/v1",
                "get /api/v1",
                "* /api/v1",
                "GET  /api/v1",
                "GET /health",
                "GET /*",
                "GET /api*",
                "GET /api/*/a",
                "GET /api/**",
            ],
        )
        self.bad(values.public_pattern, ["GET /api/v1?x=1", "GET /api/../x", "GET /api/a b", "GET /api/v1 ", 1])
        self.assertEqual(values.public_pattern("GET /api/%61"), 'the path in its canonical form: "/api/a"')

    def test_a_forget_pattern_may_have_an_asterisk_for_segments_within_it(self) -> None:
        """One, and as a whole segment; else it is as a public one."""
        self.good(
            values.forget_pattern,
            [
                *DEFAULT_FORGET_ON,
                "POST /api/*/a/b",
                "POST /api/v1/*/sign-out",
                "POST /api/v1/iam/lock",
                "DELETE /api/v1/s/*",
                "GET /api/v1/s*",
            ],
        )
        self.bad(
            values.forget_pattern,
            ["", "POST", "post /api/*/a", "POST /*/a", "POST /api/*a", "POST /api/a*/b", "POST /api/*/a/*", "POST /api/*/a?x", "GET /x", 1],
        )
        self.assertEqual(values.forget_pattern("POST /api/*/%61"), 'the path in its canonical form: "/a"')
