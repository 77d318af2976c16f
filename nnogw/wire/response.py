"""An upstream's response: its head, and its body as it streams in."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from nnogw.fields import HeaderFields
from nnogw.wire.body import IncomingBody


@implementer(IResponse)
class UpstreamResponse:
    """A response. The proxy takes `status`, `reason`, `fields` and `body`; treq's tools take it as an `IResponse`."""

    __slots__ = ("_headers", "body", "fields", "previousResponse", "reason", "request", "status", "version")

    def __init__(self, status: int, reason: bytes, fields: HeaderFields, body: IncomingBody) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body
        self.version = (b"HTTP", 1, 1)
        self.request = None
        self.previousResponse: object = None
        self._headers: Headers | None = None

    @property
    def code(self) -> int:
        """The status, as `IResponse` names it."""
        return self.status

    @property
    def phrase(self) -> bytes:
        """The reason phrase, as `IResponse` names it."""
        return self.reason

    @property
    def headers(self) -> Headers:
        """The fields as Twisted's headers, made when somebody asks."""
        if self._headers is None:
            self._headers = Headers()
            for _, name, value in self.fields.raw:
                self._headers.addRawHeader(name, value)
        return self._headers

    @property
    def length(self) -> object:
        """The body's length in bytes, or ``UNKNOWN_LENGTH``."""
        return UNKNOWN_LENGTH if self.body.length is None else self.body.length

    def deliverBody(self, protocol: IProtocol) -> None:
        """Stream the body to the `IProtocol` `protocol`, which ends with ``connectionLost(ResponseDone)``."""
        protocol.makeConnection(self.body)  # type: ignore[arg-type]  # as much of a transport as Twisted's own client gives: a producer
        self.body.stream(_ToProtocol(protocol))

    def setPreviousResponse(self, response: object) -> None:
        """Note the response that redirected here."""
        self.previousResponse = response


class _ToProtocol:
    """Passes a body on to a Twisted protocol."""

    def __init__(self, protocol: IProtocol) -> None:
        self._protocol = protocol

    def body_data(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def body_ended(self) -> None:
        self._protocol.connectionLost(Failure(ResponseDone()))

    def body_failed(self, error: Exception) -> None:
        self._protocol.connectionLost(Failure(error))
