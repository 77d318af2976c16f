"""Where the head of a message ends in a stream of bytes: at its empty line."""

from __future__ import annotations

_EMPTY_LINE = b"\r\n\r\n"  # with the end of the line before it


def split_head(begun: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bool]:
    """Split what has come at the end of the head.

    Args:
        begun: what had come of the head before; empty for nothing.
        data: what has come now.

    Returns:
        The head as far as it has come, the part of it that has come now, what stands behind it, and whether the head is complete.
    """
    if not begun:  # as nearly always
        head = data
        end = data.find(_EMPTY_LINE)
    else:
        head = begun + data
        end = head.find(_EMPTY_LINE, max(0, len(begun) - 3))  # a part of the empty line may have come before
    if end < 0:
        return head, data, b"", False
    end += 4
    if end == len(head):
        return head, data, b"", True
    came = end - len(begun)
    return head[:end], data[:came], data[came:], True
