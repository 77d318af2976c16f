"""Where the head of a message ends in a stream of bytes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.http1.head import split_head

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Heads(SynchronousTestCase):
    """`split_head`."""

    def test_a_head_that_comes_alone_is_complete(self) -> None:
        """There is nothing behind it."""
        self.assertEqual(split_head(b"", HEAD), (HEAD, HEAD, b"", True))

    def test_what_stands_behind_it_is_split_off(self) -> None:
        """Whatever it is: a body, or another head."""
        for rest in (b"\r", b"\r\n\r\n", b"body", HEAD):
            self.assertEqual(split_head(b"", HEAD + rest), (HEAD, HEAD, rest, True))

    def test_one_of_which_a_part_is_missing_is_not_complete(self) -> None:
        """Not before the last byte of its empty line."""
        for size in range(1, len(HEAD)):
            self.assertEqual(split_head(b"", HEAD[:size]), (HEAD[:size], HEAD[:size], b"", False))

    def test_it_may_come_in_two_pieces(self) -> None:
        """Divided anywhere, also within the empty line; only what has come now is new."""
        for size in range(1, len(HEAD)):
            for rest in (b"", b"\r\n\r\nrest"):
                self.assertEqual(split_head(HEAD[:size], HEAD[size:] + rest), (HEAD, HEAD[size:], rest, True), size)

    def test_it_may_come_byte_by_byte(self) -> None:
        """It is complete once."""
        head, completions = b"", []
        for position in range(len(HEAD)):
            head, fresh, rest, complete = split_head(head, HEAD[position : position + 1])
            self.assertEqual((fresh, rest), (HEAD[position : position + 1], b""))
            completions.append(complete)
        self.assertEqual(head, HEAD)
        self.assertEqual(completions, [False] * (len(HEAD) - 1) + [True])

    def test_line_ends_of_other_kinds_do_not_end_it(self) -> None:
        """What they mean is for the parser to say."""
        for data in (b"GET / HTTP/1.1\n\n", b"GET / HTTP/1.1\r\n\n", b"GET / HTTP/1.1\n\r\n", b"GET / HTTP/1.1\r\r\n"):
            self.assertEqual(split_head(b"", data), (data, data, b"", False))
