"""Header fields are kept as they came, and found without regard to case."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.exchange import Response
from nnogw.fields import HeaderFields, field
from tests.doubles import exchange


class HeaderFieldsTests(SynchronousTestCase):
    """One message's header section."""

    def setUp(self) -> None:
        self.fields = HeaderFields([(b"Accept", b"a"), (b"Set-Cookie", b"1"), (b"set-cookie", b"2"), (b"SET-COOKIE", b"3")])

    def test_order_and_spelling_are_kept(self) -> None:
        """In `raw`."""
        self.assertEqual([name for _, name, _ in self.fields.raw], [b"Accept", b"Set-Cookie", b"set-cookie", b"SET-COOKIE"])

    def test_values_are_found_by_the_lower_case_name(self) -> None:
        """The first, all, or all as one list."""
        self.assertEqual((self.fields.get(b"set-cookie"), self.fields.get(b"x")), (b"1", None))
        self.assertEqual(self.fields.all(b"set-cookie"), [b"1", b"2", b"3"])
        self.assertEqual([self.fields.joined(key) for key in (b"set-cookie", b"accept", b"x")], [b"1, 2, 3", b"a", b""])

    def test_what_is_repeated_is_known(self) -> None:
        """Of this message only."""
        self.assertEqual(self.fields.repeated, {b"set-cookie"})
        self.assertFalse(HeaderFields([(b"Accept", b"a")]).repeated)

    def test_what_is_worked_out_of_it_is_worked_out_once(self) -> None:
        """By each of those who do, with what they need besides."""
        calls = []

        def count(fields: HeaderFields, key: bytes) -> int:
            calls.append(key)
            return len(fields.all(key))

        def names(fields: HeaderFields) -> set[bytes]:
            return {key for key, _, _ in fields.raw}

        self.assertEqual([self.fields.once(count, b"set-cookie") for _ in range(3)], [3, 3, 3])
        self.assertEqual(self.fields.once(names), {b"accept", b"set-cookie"})
        self.assertEqual(calls, [b"set-cookie"])

    def test_what_is_raised_over_it_is_raised_each_time(self) -> None:
        """It may be another's mistake."""
        for _ in range(2):
            self.assertRaises(KeyError, self.fields.once, lambda fields: fields.first[b"missing"])


class AnswerHeaders(SynchronousTestCase):
    """What middlewares decide on."""

    def test_a_field_that_is_set_has_one_value(self) -> None:
        """The latest."""
        request = exchange()
        request.set_field(b"X-A", b"1")
        request.set_field(b"x-a", b"2")
        self.assertEqual(request.response_fields, {b"x-a": (b"x-a", b"x-a", b"2")})

    def test_a_field_that_is_added_is_one_more(self) -> None:
        """In order."""
        request = exchange()
        request.add_field(b"Vary", b"Origin")
        self.assertEqual(request.response_additions, [field(b"Vary", b"Origin")])

    def test_an_answer_of_our_own_says_what_it_is(self) -> None:
        """Status, type and body."""
        response = Response.of(200, b"ok", b"text/plain")
        self.assertEqual((response.status, response.fields, response.body), (200, [field(b"Content-Type", b"text/plain")], b"ok"))
