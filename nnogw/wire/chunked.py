"""Cutting a chunked stream so that a message can only end where a piece ends."""

from __future__ import annotations

from collections.abc import Iterator


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
