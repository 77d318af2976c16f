"""The demo's billing service: a stream of events, and the ways in which a service can let the gateway down."""

from __future__ import annotations

from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from nnogw.demo.echo import Responders, echo, json_answer
from nnogw.interfaces import Clock


def billing_responders(clock: Clock) -> Responders:
    """Return the responses of billing: ``/events``, ``/slow``, ``/fail`` and ``/broken``, all to GET.

    ``/events?count=10`` sends one server-sent event a second, each when it is made; ``/slow?seconds=10`` echoes after that time;
    ``/fail`` is an error of the service's own; ``/broken`` breaks the connection instead of answering.

    Args:
        clock: what the waits are counted on.
    """

    def events(request: Request) -> int:
        EventStream(request, clock, _number(request, b"count")).start()
        return NOT_DONE_YET

    def slow(request: Request) -> int:
        waiting = clock.callLater(_number(request, b"seconds"), _finish_with_echo, request)
        request.notifyFinish().addErrback(lambda _: waiting.cancel())
        return NOT_DONE_YET

    return {
        (b"GET", b"/events"): events,
        (b"GET", b"/slow"): slow,
        (b"GET", b"/fail"): _fail,
        (b"GET", b"/broken"): _broken,
    }


class EventStream:
    """A stream of server-sent events, one a second, until they are all sent or the client leaves.

    Args:
        request: what is answered.
        clock: what the seconds are counted on.
        count: how many events there are.
    """

    def __init__(self, request: Request, clock: Clock, count: int) -> None:
        self._request = request
        self._left = count
        self._sent = 0
        self._ticks = LoopingCall(self._send)
        self._ticks.clock = clock  # type: ignore[assignment]  # of an IReactorTime it needs no more than a Clock

    def start(self) -> None:
        """Send the head and the first event."""
        self._request.setHeader(b"Content-Type", b"text/event-stream")
        self._request.setHeader(b"Cache-Control", b"no-store")
        self._request.notifyFinish().addErrback(self._client_left)
        self._ticks.start(1.0)

    def _send(self) -> None:
        self._sent += 1
        self._left -= 1
        self._request.write(b'id: %d\ndata: {"invoice": %d}\n\n' % (self._sent, self._sent))
        if self._left <= 0:
            self._ticks.stop()
            self._request.finish()

    def _client_left(self, _: Failure) -> None:
        self._ticks.stop()


def _fail(request: Request) -> bytes:
    return json_answer(request, {"error": "billing has run out of ink"}, 500)


def _broken(request: Request) -> int:
    request.transport.abortConnection()  # type: ignore[union-attr]  # an ITCPTransport, on the demo's ports
    return NOT_DONE_YET


def _finish_with_echo(request: Request) -> None:
    request.write(echo("billing", request))
    request.finish()


def _number(request: Request, name: bytes, default: int = 10, digits: int = 4) -> int:
    """Return the query parameter `name` if it is a natural number of at most `digits` digits, else `default`."""
    text = request.args.get(name, [b""])[-1]
    return int(text) if text.isdigit() and len(text) <= digits else default
