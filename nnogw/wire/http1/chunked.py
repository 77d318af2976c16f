"""Chunked bodies (RFC 9112 §7.1): cutting a stream so that a message can only end where a piece ends, and finding the data in it."""

from __future__ import annotations

from collections.abc import Iterator

import httptools

#: What brings a parser of llhttp's to the begin of a chunked body.
_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class ChunkedDecoder:
    """Finds the data of one chunked body; chunk extensions and trailers are checked and dropped.

    It does not depend on the head of the message, of which llhttp may have made something else: where ``Connection`` names ``Upgrade``,
    llhttp takes what follows for another protocol.

    Attributes:
        ended: the whole body has come.
    """

    __slots__ = ("_data", "_parser", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._data: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def decode(self, segment: bytes) -> tuple[bytes, int]:
        """Return the data in `segment`, and how many of its bytes belong to the body.

        Raises:
            httptools.HttpParserError: the framing is malformed.
        """
        taken = 0
        for piece, end in pieces(segment):
            self._parser.feed_data(piece)
            taken = end
            if self.ended:
                break
        data, self._data = self._data, []
        return data[0] if len(data) == 1 else b"".join(data), taken

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body from llhttp."""
        self._data.append(data)

    def on_message_complete(self) -> None:
        """The last chunk and the trailers are in."""
        self.ended = True


def pieces(segment: bytes) -> Iterator[tuple[bytes, int]]:
    r"""Yield `segment` in pieces, each with the offset at which it ends.

    llhttp neither pauses nor says where in a segment a message ended, and reads on into the next message. But a chunked message always
    ends with a blank line (RFC 9112 §7.1): cut after every ``\n\r\n``, and after the first line end where the segment before may have held
    the rest of one, it can only end with a piece, and what follows is still unread.
    """
    start = 1 if segment.startswith(b"\n") else 2 if segment.startswith(b"\r\n") else 0
    if start:
        yield segment[:start], start
    found = segment.find(b"\n\r\n")
    while found >= 0:
        end = found + 3
        yield segment[start:end], end
        start = end
        found = segment.find(b"\n\r\n", found + 2)
    if start < len(segment):
        yield segment[start:], len(segment)
