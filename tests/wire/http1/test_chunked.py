"""Cutting a chunked stream into pieces that a message can only end with."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.http1.chunked import pieces
from tests.wire.client_connection import POST_CHUNKED, chunk


class _Message:
    """What llhttp makes of one message."""

    def __init__(self) -> None:
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


def consumed(segments: list[bytes]) -> int:
    """Return how many bytes of `segments` llhttp has taken when the message is complete."""
    message = _Message()
    parser = httptools.HttpRequestParser(message)
    parser.feed_data(POST_CHUNKED)
    before = 0
    for segment in segments:
        for piece, end in pieces(segment):
            parser.feed_data(piece)
            if message.complete:
                return before + end
        before += len(segment)
    raise AssertionError("the message did not end")


_BYTES = st.text(alphabet="\r\n0a", min_size=1, max_size=8).map(str.encode)
_TRAILERS = st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"])


class Pieces(SynchronousTestCase):
    """`pieces`."""

    def test_ordinary_data_is_one_piece(self) -> None:
        """It costs one search."""
        for data in (b"5\r\nhello\r\n", b"a", b"a\nb", b"a\r\n\r", b"\r", b"\rx"):
            self.assertEqual(list(pieces(data)), [(data, len(data))])

    def test_a_blank_line_ends_a_piece(self) -> None:
        """It may end the message."""
        self.assertEqual(list(pieces(b"0\r\n\r\nGET")), [(b"0\r\n\r\n", 5), (b"GET", 8)])
        self.assertEqual(list(pieces(b"0\r\n\r\n")), [(b"0\r\n\r\n", 5)])
        self.assertEqual(list(pieces(b"\n\r\n\r\n")), [(b"\n", 1), (b"\r\n", 3), (b"\r\n", 5)])

    def test_a_line_end_at_the_start_is_a_piece(self) -> None:
        """It may be the rest of a blank line."""
        self.assertEqual(list(pieces(b"\nGET")), [(b"\n", 1), (b"GET", 4)])
        self.assertEqual(list(pieces(b"\r\nGET")), [(b"\r\n", 2), (b"GET", 5)])
        self.assertEqual(list(pieces(b"\r\n")), [(b"\r\n", 2)])

    @settings(deadline=None)
    @given(st.binary(min_size=1, max_size=50) | _BYTES)
    def test_nothing_is_lost(self, segment: bytes) -> None:
        """Whatever it is: the pieces are the segment, and each ends where it says."""
        found = list(pieces(segment))
        self.assertEqual(b"".join(piece for piece, _ in found), segment)
        ends = [sum(len(piece) for piece, _ in found[: i + 1]) for i in range(len(found))]
        self.assertEqual([end for _, end in found], ends)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(_BYTES, max_size=4), _TRAILERS, st.binary(max_size=12) | _BYTES, st.data())
    def test_a_message_ends_exactly_where_it_ends(self, body: list[bytes], trailers: bytes, behind: bytes, data: st.DataObject) -> None:
        """Wherever the segments were cut, and whatever comes behind it."""
        message = b"".join(map(chunk, body)) + b"0\r\n" + trailers + b"\r\n"
        stream = message + behind
        cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)))
        ends = [0, *cuts, len(stream)]
        self.assertEqual(consumed([stream[a:b] for a, b in pairwise(ends)]), len(message))
