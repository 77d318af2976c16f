"""The one place where failures become responses."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from nnogw.errors import GatewayError
from nnogw.exchange import Exchange, Response
from nnogw.fields import field
from nnogw.interfaces import Proceed

log = Logger()


class ErrorHandler:
    """Turns every failure further in into the error envelope.

    What is not a `GatewayError` is a bug of ours: the client is told that there was one, and what it was stands in the program's log,
    under the request's id.
    """

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Go on, and answer what fails."""
        return proceed().addErrback(_respond, exchange)


def _respond(failure: Failure, exchange: Exchange) -> Response:
    if exchange.abandoned:
        # The client has left, and what was under way was cancelled, which comes out as one exception or another: nobody is there to be
        # told, and it was nobody's mistake.
        return Response(499)
    error = failure.value if isinstance(failure.value, GatewayError) else _bug(failure, exchange)
    exchange.reason = error.reason or error.message
    exchange.end = error.end
    response = Response.of(error.status, error.envelope(exchange.request_id), b"application/json")
    response.fields.extend(field(name, value) for name, value in error.headers)
    return response


def _bug(failure: Failure, exchange: Exchange) -> GatewayError:
    """Log the traceback of `failure`, and return the error that says no more of it than its type: its text may hold secrets."""
    log.failure(
        "a bug in {method} {path}, request {request_id}",
        failure=failure,
        method=exchange.method.decode("latin-1"),
        path=exchange.path.decode("latin-1"),
        request_id=exchange.request_id,
    )
    return GatewayError(reason=f"bug: {type(failure.value).__name__}")
