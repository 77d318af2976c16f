"""Everything that Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector


def registry_of(*collectors: Collector) -> CollectorRegistry:
    """Return the registry of `collectors`, and of those that every Python program has: memory, CPU time, garbage collection."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    for of_the_process in (ProcessCollector, PlatformCollector, GCCollector):
        of_the_process(registry=registry)
    return registry
