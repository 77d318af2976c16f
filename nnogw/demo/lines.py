"""The lines that the demo prints: each path through the gateway as one command to paste."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from nnogw.demo.cast import API_KEY, ORIGIN, OUTAGE_SESSION, SERVICE_KEY, SESSION, SUSPENDED_SESSION
from nnogw.demo.settings import BILLING_TIMEOUT, RATE_LIMIT


@frozen
class Line:
    """One command, and what it shows.

    Attributes:
        status: the status of the (last) response.
        caption: what there is to see, in one line.
        command: for bash, with curl; works as it stands.
    """

    status: int
    caption: str
    command: str


def lines(base_url: str, admin_url: str = "") -> str:
    """Return what the demo prints: a heading, then a caption and a command for everything that the gateway does.

    The whole text is itself a bash script. A caption reads ``# <status>: <what there is to see>``.

    Args:
        base_url: where the gateway listens, ``http://127.0.0.1:8787``.
        admin_url: where its admin listener is; empty if there is none, and then nothing is said of it.
    """
    shown = [*gateway_lines(base_url), *(admin_lines(admin_url) if admin_url else ())]
    heading = (
        f"# The demo is up: a gateway on {base_url} with a small platform behind it.\n"
        "# Paste any of these commands into another terminal; the number above it is the status to expect."
    )
    return "\n\n".join([heading, *(f"# {line.status}: {line.caption}\n{line.command}" for line in shown)]) + "\n"


def gateway_lines(base_url: str) -> Iterator[Line]:
    """Yield the lines to the gateway itself."""
    api = f"{base_url}/api/v1"
    service = _bearer(SERVICE_KEY)
    attempts = " ".join(str(number + 1) for number in range(RATE_LIMIT.limit + 1))
    yield Line(200, "the gateway is alive", f"curl -si {base_url}/health")
    yield Line(200, "with the service key: the registry answers", f"curl -si {service} {api}/platforms/platform-acme")
    yield Line(
        200,
        "with a user's session: X-Nno-User-Id, X-Nno-Role and X-Nno-Platform-Id arrive at the service, which answers with what it received",
        f"curl -si {_bearer(SESSION)} '{api}/billing/invoices?month=5'",
    )
    yield Line(200, "with an API key: another identity arrives", f"curl -si -H 'x-api-key: {API_KEY}' {api}/stacks/templates")
    yield Line(401, "without credentials", f"curl -si {api}/billing/invoices")
    yield Line(401, "with a session that IAM does not know", f"curl -si {_bearer('no-such-session')} {api}/billing/invoices")
    yield Line(
        503,
        "with a session for which IAM itself fails: an outage is no refusal, and no open door",
        f"curl -si {_bearer(OUTAGE_SESSION)} {api}/billing/invoices",
    )
    yield Line(451, "with a session of a suspended platform", f"curl -si {_bearer(SUSPENDED_SESSION)} {api}/billing/invoices")
    yield Line(
        429,
        f"over a rate limit of {RATE_LIMIT.limit} requests in {RATE_LIMIT.period:g} s; watch RateLimit count down",
        f"for i in {attempts}; do curl -si {service} {api}/cli/builds | grep -iE '^(HTTP|RateLimit:|Retry-After)'; done",
    )
    yield Line(
        204,
        "a browser's CORS preflight, for a web application on an allowed origin",
        f"curl -si -X OPTIONS -H 'Origin: {ORIGIN}' -H 'Access-Control-Request-Method: POST' {api}/billing/invoices",
    )
    yield Line(200, "a stream of events: each is there when it is sent", f"curl -siN {_bearer(SESSION)} '{api}/billing/events?count=3'")
    yield Line(
        200,
        "an upload of 20 MB that streams through; the service answers with its size and SHA-256",
        f"head -c 20000000 /dev/zero | curl -si {_bearer(SESSION)} -T - {api}/provisioning/uploads",
    )
    yield Line(500, "a service's own error, passed through as it is", f"curl -si {service} {api}/billing/fail")
    yield Line(502, "a service that breaks the connection", f"curl -si {service} {api}/billing/broken")
    yield Line(
        504,
        f"a service that is too slow for its response timeout ({BILLING_TIMEOUT:g} s)",
        f"curl -si {service} '{api}/billing/slow?seconds=5'",
    )
    yield Line(404, "a path without a route", f"curl -si {service} {api}/nowhere")
    yield Line(
        400,
        "a path that the gateway refuses; every error of its own comes in this envelope",
        f"curl -si --path-as-is {service} {api}/billing/../iam",
    )


def admin_lines(admin_url: str) -> Iterator[Line]:
    """Yield the lines to the admin listener."""
    yield Line(200, "what Prometheus reads, on the admin listener", f"curl -si {admin_url}/metrics | grep -E '^(HTTP|nnogw_)'")
    yield Line(200, "the status in JSON, on the admin listener", f"curl -si {admin_url}/status.json")


def _bearer(token: str) -> str:
    return f"-H 'Authorization: Bearer {token}'"
