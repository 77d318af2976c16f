"""Writing responses as HTTP/1.1: status lines, header sections and the framing of bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nnogw.bodies import Producer
from nnogw.fields import Field, HeaderFields
from nnogw.headers import end_to_end_response
from nnogw.wire.http1.status_lines import date_line, status_line
from nnogw.wire.request import GatewayRequest
from nnogw.wire.transport.writer import SocketWriter


class ResponseWriter:
    """Writes the responses of one connection, one after another (a `nnogw.wire.request.Responses`).

    Args:
        writer: the writing half of the connection.
        may_keep_alive: whether the connection can serve another request after the one that is being answered.
    """

    __slots__ = ("_chunked", "_may_keep_alive", "_writer")

    def __init__(self, writer: SocketWriter, may_keep_alive: Callable[[GatewayRequest], bool]) -> None:
        self._writer = writer
        self._may_keep_alive = may_keep_alive
        self._chunked = False  # the response that is being written

    def begin(self, request: GatewayRequest, status: int, reason: bytes | None, fields: Iterable[Field], whole: bytes | None) -> bool:
        """Write the head of a response, and its body if that is there already.

        `fields` frame the body: with a Content-Length it is sent as it is. Without one it is chunked, or to an HTTP/1.0 client ended by
        closing (RFC 9112 §6.3); the length of a `whole` body is said here. With 204 there is no Content-Length (RFC 9110 §8.6).

        Returns:
            Whether a body may follow: not to HEAD, nor with 204 and 304.
        """
        keep_alive = request.keep_alive and self._may_keep_alive(request)
        lines = [status_line(status, reason)]
        sized = dated = chunked = False
        for key, name, value in fields:
            if key == b"content-length":
                if status == 204:
                    continue
                sized = True
            elif key == b"date":
                dated = True
            lines += (name, b": ", value, b"\r\n")  # joined once: half the cost of joining each line
        if not dated:
            lines.append(date_line())
        without = status == 204 or status == 304
        bodiless = without or request.method == b"HEAD"
        if sized or without or (bodiless and not whole):
            pass
        elif whole is not None:
            lines.append(b"Content-Length: %d\r\n" % len(whole))
        elif request.http10:
            keep_alive = False
        else:
            chunked = True
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if not keep_alive:
            lines.append(b"Connection: close\r\n")
        elif request.http10:
            lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"\r\n")
        if whole and not bodiless:
            request.bytes_out = len(whole)
            lines.append(whole)
        head = b"".join(lines)
        request.keep_alive = keep_alive
        request.begun = True
        self._chunked = chunked
        self._writer.write(head)
        return not bodiless

    def hint(self, fields: HeaderFields) -> None:
        """Write the end-to-end fields of an upstream's ``103 Early Hints`` (RFC 8297).

        There is no Content-Length (RFC 9110 §8.6). A client that does not take what was written gets no hint: nothing would bound them.
        """
        if self._writer.stalled:
            return
        lines = [name + b": " + value + b"\r\n" for key, name, value in end_to_end_response(fields) if key != b"content-length"]
        self._writer.write(b"".join([status_line(103, None), *lines, b"\r\n"]))

    def write(self, data: bytes) -> None:
        """Write some of the body: at least one byte, because an empty chunk would end it."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """End the body."""
        if self._chunked:
            self._chunked = False
            self._writer.write(b"0\r\n\r\n")

    def set_source(self, source: Producer | None) -> None:
        """Let `source`, where the body comes from, be paused while the client does not take it; None: nobody any more."""
        self._writer.set_source(source)
