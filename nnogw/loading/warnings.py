"""What a configuration may say, but its operator should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nnogw.loading.document import did_you_mean, shown_path
from nnogw.loading.service_keys import SHORTEST
from nnogw.loading.sources import PREFIX, SERVICE_VARIABLES
from nnogw.settings import SERVICE_NAMES, ServiceSettings, Settings

_STANDARD_STREAMS = ("-", "/dev/stdout", "/dev/stderr")
_ASKED_BY_THE_GATEWAY = ("iam", "registry")  # for identities and for platform statuses


def find_warnings(settings: Settings, environ: Mapping[str, str], *, detaches: bool = False) -> list[str]:
    """Return what the log should say at start, a line each.

    Args:
        settings: the configuration.
        environ: the environment that it was read from.
        detaches: the process goes into the background, where standard output leads nowhere.
    """
    found: list[str] = []
    auth = settings.auth
    if not auth.api_key:
        found.append("AUTH_API_KEY is not set: every request passes unauthenticated (the bypass for local development)")
    elif auth.allow_unauthenticated:
        found.append("auth.allow_unauthenticated has no effect now, but would open this gateway if AUTH_API_KEY were lost; remove it")
    found += [
        f"service key #{number} has under {SHORTEST} characters and can be guessed; make one with: openssl rand -hex 32"
        for number, key in enumerate(auth.api_key, 1)
        if len(key) < SHORTEST
    ]
    if auth.api_key and not _is_configured(settings.services["iam"]):
        found.append(f"service iam has neither binding nor URL: sessions and API keys get 503; {_remedy('iam')}")
    routed = dict.fromkeys(route.service for route in settings.routes)
    if not routed:
        found.append("there are no routes: every path under /api gets 404")
    found += [
        f"service {service} has neither binding nor URL: its routes answer 503; {_remedy(service)}"
        for service in routed
        if not _is_configured(settings.services[service])
    ]
    found += [
        f"service {service} is configured, but no route leads to it; {did_you_mean(service, SERVICE_NAMES)}"
        for service, options in settings.services.items()
        if _is_configured(options) and service not in routed and service not in _ASKED_BY_THE_GATEWAY
    ]
    if settings.rate_limit.store:
        found.append("RATE_LIMITER is set, but this version has no shared store: limits are counted in this process's memory")
    if detaches and settings.server.access_log in _STANDARD_STREAMS:
        found.append(
            f"the request log goes nowhere: server.access_log is {settings.server.access_log}, which a daemon does not have; "
            "set a file, or stay in the foreground (twistd -n nnogw)"
        )
    found += _unread(environ)
    return found


def _unread(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that looks like one of the gateway's, but is read by nobody."""
    known = {variable for pair in SERVICE_VARIABLES.values() for variable in pair}
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known and environ[variable]:
            yield f"the variable {shown_path(variable)} is set, but nobody reads it; {did_you_mean(variable, known)}"


def _is_configured(service: ServiceSettings) -> bool:
    return bool(service.binding or service.url)


def _remedy(service: str) -> str:
    variables = SERVICE_VARIABLES.get(service)
    return f"set {variables[0]} or {variables[1]}" if variables else f"set binding or url in [services.{service}]"
