"""The settings that make a gateway the demo platform's."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from nnogw.demo.cast import ORIGIN, SERVICE_KEY
from nnogw.settings import RateLimitRule, ServiceSettings, Settings

RATE_LIMIT = RateLimitRule(prefix="/api/v1/cli", limit=5, period=60, name="demo-cli")  # small enough to be seen
BILLING_TIMEOUT = 2.0  # seconds: a newcomer should not wait long for a 504


def demo_settings(base: Settings, urls: Mapping[str, str]) -> Settings:
    """Return `base` with the demo platform behind it.

    The services lead to the demo's, the service key is the demo's only, one path has a small rate limit, billing has to answer soon,
    and a web application on ``http://localhost:3000`` may read the responses. Everything else stays as it was.

    Args:
        base: the settings that a file, the environment and the command line make.
        urls: service name → URL, as `nnogw.demo.platform.DemoPlatform.start` tells them.
    """
    services = {name: evolve(base.services.get(name, ServiceSettings()), binding="", url=url) for name, url in urls.items()}
    services["billing"] = evolve(services["billing"], response_timeout=BILLING_TIMEOUT)
    return evolve(
        base,
        services={**base.services, **services},
        auth=evolve(base.auth, api_key=(SERVICE_KEY,), api_key_file=""),
        rate_limit=evolve(base.rate_limit, rules=(RATE_LIMIT, *base.rate_limit.rules)),
        cors=evolve(base.cors, origins=(*base.cors.origins, ORIGIN)),
    )
