"""An identity's facts are found where the settings say, and nothing else passes for one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.exchange import Identity
from nnogw.identity.claims import BrokenContract, ClaimsReader
from nnogw.settings import SessionPaths

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "role", "platformId", "expiresAt"]), inner),
    max_leaves=6,
)


def read(facts: dict[str, Any], kind: str = "session", paths: SessionPaths | None = None) -> Identity:
    return ClaimsReader(paths or SessionPaths()).identity(kind, facts)


class FactTests(SynchronousTestCase):
    """What becomes of a JSON object."""

    def assertBroken(self, facts: dict[str, Any], reason: str, kind: str = "session") -> None:
        error = self.assertRaises(BrokenContract, read, {"userId": "u1", **facts}, kind)
        self.assertIn(reason, str(error))

    def test_facts_may_stand_at_the_top(self) -> None:
        identity = read({"userId": "u1", "role": "admin", "platformId": "p1", "platformStatus": "active", "expiresAt": 1_700_000_000})
        self.assertEqual(
            (identity.kind, identity.user_id, identity.role, identity.platform_id, identity.platform_status, identity.expires_at),
            ("session", "u1", "admin", "p1", "active", 1_700_000_000.0),
        )

    def test_facts_may_stand_within_user_and_session(self) -> None:
        identity = read({"user": {"id": "u1", "role": "admin"}, "session": {"platformId": "p1", "expiresAt": "2023-11-14T22:13:20Z"}})
        self.assertEqual(
            (identity.user_id, identity.role, identity.platform_id, identity.expires_at), ("u1", "admin", "p1", 1_700_000_000.0)
        )

    def test_the_first_place_with_a_value_wins(self) -> None:
        """Null and "" are no values, and what is no object has no members."""
        self.assertEqual(read({"userId": "top", "user": {"id": "inner"}}).user_id, "top")
        self.assertEqual(read({"userId": None, "user": {"id": "inner"}}).user_id, "inner")
        self.assertEqual(read({"userId": "", "user": {"id": "inner"}}).user_id, "inner")
        self.assertIsNone(read({"userId": "u1", "user": "ada", "session": None}).platform_id)

    def test_the_places_are_settings(self) -> None:
        self.assertEqual(read({"a": {"b": {"c": "u1"}}}, paths=SessionPaths(user_id=("a.b.c",))).user_id, "u1")

    def test_the_fields_for_upstreams_are_those_of_the_known_facts(self) -> None:
        fields = read({"userId": "u1", "role": "é", "platformId": 7}).fields
        self.assertEqual(
            fields,
            (
                (b"x-nno-user-id", b"X-Nno-User-Id", b"u1"),
                (b"x-nno-role", b"X-Nno-Role", b"\xe9"),
                (b"x-nno-platform-id", b"X-Nno-Platform-Id", b"7"),
            ),
        )
        self.assertEqual([name for _, name, _ in read({"userId": "u1"}).fields], [b"X-Nno-User-Id"])

    def test_a_number_becomes_its_digits(self) -> None:
        self.assertEqual(read({"userId": 42}).user_id, "42")

    def test_other_types_break_the_contract(self) -> None:
        """A fraction too: large integers become one, and would no longer be the number that was sent."""
        for value in (True, 1.5, 1e30, ["u1"], {"id": "u1"}):
            self.assertBroken({"role": value}, "role that is neither text nor an integer")
            self.assertBroken({"platformStatus": value}, "platform status")

    def test_control_characters_break_the_contract(self) -> None:
        """Those of latin-1's upper half too."""
        for value in ("a\r\nX-Nno-Role: root", "a\0", "\x7f", "a\x85b", "a\tb"):
            self.assertBroken({"role": value}, "control characters")

    def test_what_latin_1_cannot_say_breaks_the_contract(self) -> None:
        self.assertBroken({"platformId": "платформа"}, "latin-1")

    def test_space_around_a_value_breaks_the_contract(self) -> None:
        """It would be stripped on the way, and the value arrive as another one."""
        for value in (" u1", "u1 ", " ", "u1\xa0"):
            self.assertBroken({"platformId": value}, "space")

    def test_a_session_has_a_user_and_an_api_key_a_platform(self) -> None:
        self.assertRaises(BrokenContract, read, {"platformId": "p1"}, "session")
        self.assertRaises(BrokenContract, read, {}, "session")
        self.assertBroken({"platformId": ""}, "without a platform id", kind="apikey")
        self.assertIsNone(read({"platformId": "p1"}, "apikey").user_id)

    def test_an_end_is_read_from_iso_8601_and_from_unix_time(self) -> None:
        spellings = (
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.999999999Z",
            "2023-11-14t22:13:20z",
            "2023-11-14 22:13:20",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T16:43:20.5-0530",
            1_700_000_000,
            1_700_000_000.0,
            1_700_000_000_000,
        )
        for spelling in spellings:
            self.assertEqual(read({"userId": "u1", "expiresAt": spelling}).expires_at, 1_700_000_000.0, spelling)
        self.assertIsNone(read({"userId": "u1", "expiresAt": None}).expires_at)

    def test_an_end_that_is_no_time_breaks_the_contract(self) -> None:
        """Else a session would be kept that may have ended."""
        for value in ("tomorrow", "2023-13-14T22:13:20Z", "2023-11-14", "1700000000", "2023-11-14T22:13:20+99:99", True, [], {}):
            self.assertBroken({"expiresAt": value}, "expiry")

    @settings(deadline=None, max_examples=200)
    @given(st.dictionaries(st.sampled_from(["userId", "role", "platformId", "expiresAt", "user", "session", "platformStatus"]), JSON))
    def test_whatever_comes_is_an_identity_fit_for_header_fields_or_a_broken_contract(self, facts: dict[str, Any]) -> None:
        try:
            identity = read(facts)
        except BrokenContract:
            return
        self.assertTrue(identity.user_id)
        for _, _, value in identity.fields:
            self.assertNotRegex(value, rb"[\x00-\x1f\x7f-\x9f]")
            self.assertEqual(value, value.strip())
