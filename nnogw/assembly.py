"""From settings to objects: everything that a running gateway consists of, put together in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from treq.client import HTTPClient

from nnogw.admin import build_admin
from nnogw.identity.iam import Iam
from nnogw.identity.platforms import PlatformStatuses
from nnogw.identity.verdicts import VerdictCache
from nnogw.ids import IdSource
from nnogw.limiting.memory import MemoryStore
from nnogw.observability.ledger import Ledger
from nnogw.observability.metrics import RequestMetrics
from nnogw.observability.request_log import LogFile
from nnogw.pipeline import chain, middlewares
from nnogw.resource import GatewayResource
from nnogw.routes import RouteTable
from nnogw.settings import Settings
from nnogw.upstream.service import Upstream, upstream_for
from nnogw.upstream.treq_client import ProxyClient, UpstreamAgent
from nnogw.wire.headers import TrustedProxies
from nnogw.wire.outlet import Turn
from nnogw.wire.server import GatewaySite


@frozen
class Gateway:
    """A gateway that is ready to listen."""

    settings: Settings
    site: GatewaySite
