"""The admin listener's pages."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from twisted.web.resource import Resource

from nnogw.admin.pages import Pages, Request, Responder, json
from nnogw.observability.metrics import exposition

_INDEX = b"""nnogw: the admin listener

/metrics        the metrics, for Prometheus
/status.json    version, services, caches, limits, degraded states
/-/live         200 while the process serves
/-/ready        200, or 503 while it drains
/-/degraded     the degraded states
POST /-/reload  let the configuration as it is now take over, as HUP does; says what is different
POST /-/purge   drop cached verdicts and platform statuses: token=..., api_key=..., user=..., platform=... or all=true
"""


def build_admin(
    *,
    registry: CollectorRegistry,
    status: Callable[[], dict[str, object]],
    degraded: Callable[[], list[dict[str, object]]],
    draining: Callable[[], bool],
    purge: Responder,
    reload: Responder,
) -> Resource:
    """Return the root resource of the admin listener.

    Args:
        registry: all metrics.
        status: makes the status document.
        degraded: makes the list of the degraded states.
        draining: tells whether the gateway is about to stop.
        purge: answers purges.
        reload: answers reloads.
    """

    def index(request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return _INDEX

    def metrics(request: Request) -> bytes:
        body, content_type = exposition(registry, (request.getHeader(b"accept") or b"").decode("latin-1"))
        request.setHeader(b"Content-Type", content_type.encode())
        return body

    def ready(request: Request) -> bytes:
        return json(request, {"ready": False}, 503) if draining() else json(request, {"ready": True})

    return Pages(
        {
            b"/": {b"GET": index},
            b"/metrics": {b"GET": metrics},
            b"/status.json": {b"GET": lambda request: json(request, status())},
            b"/-/live": {b"GET": lambda request: json(request, {"live": True})},
            b"/-/ready": {b"GET": ready},
            b"/-/degraded": {b"GET": lambda request: json(request, degraded())},
            b"/-/purge": {b"POST": purge},
            b"/-/reload": {b"POST": reload},
        }
    )
