"""The credential that a request comes with."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.credentials import MAX_TOKEN, credential
from nnogw.errors import Unauthorized
from nnogw.fields import HeaderFields


class CredentialTests(SynchronousTestCase):
    """One, or none."""

    def test_authorization_goes_before_x_api_key(self) -> None:
        """Whatever the spelling of its scheme."""
        both = [(b"X-Api-Key", b"nno_1"), (b"Authorization", b"bearer  t0k/en+~._-=")]
        self.assertEqual(credential(HeaderFields(both)), ("session", b"t0k/en+~._-="))
        self.assertEqual(credential(HeaderFields(both[:1])), ("apikey", b"nno_1"))

    def test_what_cannot_be_good_is_refused_without_a_question(self) -> None:
        """And without telling it."""
        for fields, reason in (
            ([], "no credentials"),
            ([(b"Authorization", b"Digest x")], "other than Bearer"),
            ([(b"Authorization", b"Bearerx")], "other than Bearer"),
            ([(b"Authorization", b"Bearer ")], "empty"),
            ([(b"Authorization", b"Bearer secret secret")], "malformed"),
            ([(b"Authorization", b"Bearer secret\t")], "malformed"),
            ([(b"Authorization", b"Bearer " + b"s" * (MAX_TOKEN + 1))], "malformed"),
            ([(b"X-Api-Key", b"secret")], "prefix"),
            ([(b"X-Api-Key", b"nno_secret secret")], "malformed"),
            ([(b"X-Api-Key", b"nno_1"), (b"x-api-key", b"nno_1")], "two"),
            ([(b"Authorization", b"Bearer a"), (b"AUTHORIZATION", b"Bearer a")], "two"),
            ([(b"Authorization", b"Bearer a"), (b"x-api-key", b"nno_1"), (b"x-api-key", b"nno_1")], "two"),
        ):
            error = self.assertRaises(Unauthorized, credential, HeaderFields(fields))
            self.assertIn(reason, error.reason)
            self.assertNotIn("secret", error.reason)

    @settings(deadline=None)
    @given(st.binary(max_size=40))
    def test_a_token_is_visible_ascii_or_refused(self, token: bytes) -> None:
        """So that it can go into a header of ours."""
        try:
            kind, found = credential(HeaderFields([(b"Authorization", b"Bearer " + token)]))
        except Unauthorized:
            return
        self.assertEqual((kind, found), ("session", token.strip(b" ")))
        self.assertTrue(all(0x21 <= byte <= 0x7E for byte in found))
