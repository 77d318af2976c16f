"""The bytes of a response on their way from the upstream to the client."""

from __future__ import annotations

from collections.abc import Callable

from nnogw.bodies import Body
from nnogw.errors import GatewayError
from nnogw.wire.request import GatewayRequest


class Relay:
    """Streams a body to the client; a client that reads slowly pauses the upstream.

    Args:
        request: what is being answered; its head has been written.
        body: what is streamed.
        broke: called with the error, before the client's connection is cut because the body broke off.
    """

    __slots__ = ("_broke", "_request")

    def __init__(self, request: GatewayRequest, body: Body, broke: Callable[[Exception], None]) -> None:
        self._request = request
        self._broke = broke
        request.set_source(body)
        body.stream(self)

    def body_data(self, data: bytes) -> None:
        """Pass some of the body on."""
        self._request.write(data)

    def body_ended(self) -> None:
        """End the response."""
        self._request.set_source(None)
        self._request.finish()

    def body_failed(self, error: Exception) -> None:
        """Cut the response: finished, it would look whole."""
        self._request.set_source(None)
        self._broke(error)
        self._request.abort(error.end if isinstance(error, GatewayError) else "upstream")
