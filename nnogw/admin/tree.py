"""The admin listener's resource tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.web.resource import Resource

from nnogw.admin.pages import Page, json, refuse
from nnogw.admin.purge import Purge

_INDEX = b"""nnogw: the operator's side

/metrics        for Prometheus
/status.json    what is running, and how
/-/live         200 while the process serves
/-/ready        200, or 503 while it drains
/-/degraded     what is not as it should be
POST /-/purge   forget: token=..., api_key=..., user=..., platform=... or all=true
"""


def build_admin(
    *,
    registry: CollectorRegistry,
    status: Callable[[], dict[str, Any]],
    degraded: Callable[[], list[dict[str, Any]]],
    draining: Callable[[], bool],
    purge: Purge,
) -> Resource:
    """Return the root of the tree.

    Args:
        registry: all metrics.
        status: the status document.
        degraded: the ledger.
        draining: whether the gateway is about to stop.
        purge: forgets.
    """

    def index(request: Any) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain")
        return _INDEX

    def metrics(request: Any) -> bytes:
        request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
        return generate_latest(registry)

    def ready(request: Any) -> bytes:
        return json(request, {"ready": False}, 503) if draining() else json(request, {"ready": True})

    return _Folder(
        {
            b"": Page(index),
            b"metrics": Page(metrics),
            b"status.json": Page(lambda request: json(request, status())),
            b"-": _Folder(
                {
                    b"live": Page(lambda request: json(request, {"live": True})),
                    b"ready": Page(ready),
                    b"degraded": Page(lambda request: json(request, degraded())),
                    b"purge": Page(post=purge),
                }
            ),
        }
    )


class _Folder(Resource):
    """Has pages in it, and says in JSON which it has not."""

    def __init__(self, pages: Mapping[bytes, Any]) -> None:  # Any: IResources by declaration, which mypy cannot see
        super().__init__()
        for name, page in pages.items():
            self.putChild(name, page)

    def getChild(self, path: bytes, request: Any) -> Resource:
        return Page(lambda request: refuse(request, 404, "There is no such page."))
