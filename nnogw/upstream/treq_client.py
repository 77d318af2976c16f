"""treq over our own connections: for the calls that the gateway makes itself, and for the requests that it passes on."""

from __future__ import annotations

from collections.abc import Callable

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, fail
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from nnogw.bodies import Body, BodyConsumer
from nnogw.errors import ServiceUnavailable
from nnogw.fields import Field, HeaderFields
from nnogw.interfaces import ServiceResponse
from nnogw.upstream.service import Service
from nnogw.wire.http1.client import UpstreamRequest

#: Fields that the wire sets by itself.
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


@implementer(IAgent)
class UpstreamAgent:
    """An `IAgent` whose requests all go to one service, over its pooled connections; of a URI only path and query count."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send a request, as `IAgent.request` says."""
        authority_and_path = uri.partition(b"://")[2]
        path = authority_and_path[authority_and_path.find(b"/") :] if b"/" in authority_and_path else b"/"
        fields = HeaderFields(
            (name, value) for name, values in (headers or Headers()).getAllRawHeaders() if name.lower() not in _FRAMING for value in values
        )
        body = None if bodyProducer is None else _ProducedBody(bodyProducer)
        service = self._service
        repeatable = getattr(bodyProducer, "repeatable", False)  # a producer's own word that it can start anew
        request = UpstreamRequest(method, service.base_path + path, service.host, fields.raw, body, repeatable=repeatable)
        return service.send(request)  # type: ignore[return-value]  # for mypy, a Deferred of one kind of IResponse is none of an IResponse


@implementer(IAgent)
class AbsentAgent:
    """An `IAgent` in place of a service that is not configured: every request fails at once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Fail with `ServiceUnavailable`."""
        return fail(ServiceUnavailable(reason=f"the service {self._name} is not configured"))


class ProxyClient(HTTPClient):
    """A treq client that passes requests on exactly as they are given (a `nnogw.interfaces.ServiceClient`).

    `HTTPClient.request` shares a cookie jar between callers, follows redirects, asks for gzip and unzips, buffers, re-encodes the URL and
    costs 62–75 µs. `forward` is the way around it: target, fields and body go to the wire byte for byte, and the response is an `IResponse`
    that treq's ``collect`` and ``content`` take.

    Args:
        service: where all requests go.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(UpstreamAgent(service))
        self._service = service
        self.name = service.name
        self.address = service.label
        self.preserve_host = service.settings.preserve_host
        self.forward_credentials = service.settings.forward_credentials

    def forward(
        self,
        method: bytes,
        target: bytes,
        fields: list[Field],
        body: Body | None,
        host: bytes | None,
        hinted: Callable[[HeaderFields], None] | None = None,
    ) -> Deferred[ServiceResponse]:
        """Send a request, as `nnogw.interfaces.ServiceClient.forward` says."""
        service = self._service
        request = UpstreamRequest(method, service.base_path + target, host or service.host, fields, body, hinted)
        return service.send(request)  # type: ignore[return-value]  # for mypy, a Deferred of one kind of ServiceResponse is none of a ServiceResponse


class _ProducedBody:
    """A Twisted body producer as a `nnogw.bodies.Body`."""

    def __init__(self, producer: IBodyProducer) -> None:
        self._producer = producer
        self._consumer: BodyConsumer | None = None
        self.length: int | None = None if producer.length is UNKNOWN_LENGTH else producer.length

    def stream(self, consumer: BodyConsumer) -> None:
        self._consumer = consumer
        produced: Deferred[None] = self._producer.startProducing(self)
        produced.addCallbacks(lambda _: consumer.body_ended(), lambda f: consumer.body_failed(f.value))

    def write(self, data: bytes) -> None:
        """Take some of the body from the producer: the part of `IConsumer` that it uses."""
        if self._consumer is not None:
            self._consumer.body_data(data)

    def pauseProducing(self) -> None:
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()
