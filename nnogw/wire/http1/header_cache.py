"""The header section that a connection brings again and again."""

from __future__ import annotations

import re

from nnogw.fields import HeaderFields

#: A request line of a method without a body, as strict as llhttp (RFC 9112 §3). What is none is left to llhttp.
_REQUEST_LINE = re.compile(rb"(GET|HEAD|DELETE|OPTIONS) (/[!-~]*) HTTP/1\.1\r\n")

#: What decides on framing: a section with any of these is parsed each time.
_FRAMING = (b"content-length", b"transfer-encoding", b"upgrade", b"expect")


#: Bytes that a head may have if its section is to be known: it is kept for as long as the connection is, with what is worked out of it
#: (a few times its size), and there may be thousands of idle connections. nginx gives its larger buffers back, too.
LONGEST = 4096


class HeaderSectionCache:
    """The last header section of a connection, parsed and found good.

    Whoever keeps a connection open sends requests that differ in their first line only. A section that is the same to the byte was
    understood by llhttp a moment ago; only the request line is new. Measured: 12 of 135 µs.

    Args:
        head: a whole head, which has been found good.
        fields: its header section.
        keep_alive: what llhttp made of it.
        generation: the number of the configuration that it was found good by, and that what is worked out of it belongs to.
    """

    __slots__ = ("_section", "fields", "generation", "keep_alive")

    def __init__(self, head: bytes, fields: HeaderFields, *, keep_alive: bool, generation: int) -> None:
        self._section = head[head.index(b"\r\n") :]
        self.fields = fields
        self.keep_alive = keep_alive
        self.generation = generation

    @staticmethod
    def fits(fields: HeaderFields) -> bool:
        """Whether a section may be known: it says nothing of framing."""
        return fields.first.keys().isdisjoint(_FRAMING)

    def request_line(self, head: bytes) -> tuple[bytes, bytes] | None:
        """Return method and target of `head` if its section is the known one, else None."""
        if not head.endswith(self._section):
            return None
        line = _REQUEST_LINE.match(head)
        if line is None or line.end() + len(self._section) != len(head) + 2:
            return None
        return line.group(1), line.group(2)
