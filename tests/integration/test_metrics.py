"""What an operator can count after known traffic, over real sockets: metrics by status code, failures by kind, and the request log."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.integration.platform import AS_SERVICE, Platform, status
from tests.integration.sockets import Visit, connect, get, ok, says, silence, until

_PATH = "/api/v1/billing/x"
_KINDS = ("connect", "reset", "tls", "timeout", "malformed")

#: A counter's labels but its name → its value.
Counts = dict[tuple[str, ...], float]


async def scraped(platform: Platform, test: TestCase) -> str:
    """Return all metrics, as Prometheus gets them."""
    port = platform.gateway.admin_port
    admin = await connect(test, port)
    admin.send(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await admin.until_closed()
    test.assertEqual(status(answer), 200)
    return answer.partition(b"\r\n\r\n")[2].decode()


def samples(text: str, name: str, *labels: str, **only: str) -> Counts:
    """Return the samples of `name` whose labels are `only` these, by the values of `labels`."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and only.items() <= sample.labels.items()
    }


def counts(text: str, name: str, *labels: str, **only: str) -> Counts:
    """Return those of them that are not 0."""
    return {values: value for values, value in samples(text, name, *labels, **only).items() if value}


class Greeting(Protocol):
    """A service that does not speak TLS: it says hello first."""

    def connectionMade(self) -> None:
        """Greet."""
        assert self.transport is not None
        self.transport.write(b"220 smtp.example.com\r\n")


class KnownTraffic(TestCase):
    """What was asked is what is counted."""

    async def test_requests_are_counted_by_status_code(self) -> None:
        """401 and 404, 502 and 504 are different alarms."""
        platform = Platform(self, billing_settings="response_timeout = 0.5")
        await platform.start()
        for path, fields, expected in (
            (_PATH, (AS_SERVICE,), 200),
            (_PATH, (AS_SERVICE,), 200),
            (_PATH, (), 401),
            ("/api/v1/billing/a/../b", (AS_SERVICE,), 400),
            ("/api/v1/nothing", (AS_SERVICE,), 404),
        ):
            self.assertEqual(status(await platform.ask(path, *fields)), expected)
        platform.billing.answer = silence
        self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 504)
        text = await scraped(platform, self)
        self.assertEqual(
            counts(text, "nnogw_requests_total", "status", "end", route="/api/v1/billing", method="GET"),
            {("200", "upstream"): 2, ("401", "gateway"): 1, ("504", "timeout:response"): 1},
        )
        refused = counts(text, "nnogw_requests_total", "status", route="none", end="gateway")
        self.assertEqual((refused["400",], refused["404",]), (1, 1))

    async def test_failures_of_services_are_counted_by_service_and_kind(self) -> None:
        """Each way to fail is one; what a service itself answers is none, 502 included."""
        port: Any = reactor.listenTCP(0, Factory.forProtocol(Greeting), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        platform = Platform(
            self, config=f'[services.cli]\nbinding = "tls:127.0.0.1:{port.getHost().port}"', billing_settings="response_timeout = 0.5"
        )
        await platform.start()
        before = samples(await scraped(platform, self), "nnogw_upstream_failures_total", "service", "kind")
        self.assertEqual(before, {(service, kind): 0 for service in ("billing", "cli", "iam", "registry") for kind in _KINDS})

        async def fails(way: Any, expected: int) -> None:
            platform.billing.answer = way
            self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), expected)

        await fails(says(ok()), 200)
        await fails(says(b"HTTP/1.1 502 Oh\r\nContent-Length: 0\r\n\r\n"), 502)
        await fails(says(b"HTTP/1.1 504 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), 504)
        self.assertEqual(counts(await scraped(platform, self), "nnogw_upstream_failures_total", "service", "kind"), {})
        for _ in range(2):
            await fails(lambda visit: visit.hang_up(), 502)
        await fails(says(b"220 smtp.example.com\r\n\r\n"), 502)
        await fails(silence, 504)
        self.assertEqual(status(await platform.ask("/api/v1/cli/x", AS_SERVICE)), 502)
        await platform.billing.stop()
        self.assertEqual(status(await platform.ask(_PATH, AS_SERVICE)), 502)
        self.assertEqual(
            counts(await scraped(platform, self), "nnogw_upstream_failures_total", "service", "kind"),
            {
                ("billing", "reset"): 2,
                ("billing", "malformed"): 1,
                ("billing", "timeout"): 1,
                ("billing", "connect"): 1,
                ("cli", "tls"): 1,
            },
        )

    async def test_a_client_that_leaves_is_no_failure_of_the_service(self) -> None:
        """Neither is one whose body is too large."""
        platform = Platform(self, config="[limits]\nmax_body = 10", billing=silence)
        await platform.start()
        client = await platform.client()
        client.send(get(_PATH, AS_SERVICE))
        await until(lambda: bool(platform.billing.received), "the request")
        client.hang_up()
        await platform.last_log_line(_PATH)
        client = await platform.client()
        client.send(get("/api/v1/billing/large", AS_SERVICE, "Transfer-Encoding: chunked", method="POST") + b"14\r\n" + b"a" * 20 + b"\r\n")
        self.assertEqual(status(await client.until_closed()), 413)
        text = await scraped(platform, self)
        self.assertEqual(counts(text, "nnogw_requests_total", "status", route="/api/v1/billing"), {("499",): 1, ("413",): 1})
        self.assertEqual(counts(text, "nnogw_upstream_failures_total", "service", "kind"), {})


class SkippedLines(TestCase):
    """The request log can be told what it need not say."""

    async def test_health_checks_leave_no_line_but_are_counted(self) -> None:
        """What fails is logged all the same, and so is everything else."""
        platform = Platform(self, config='[server]\naccess_log_skip = ["GET /health", "GET /api/v1/billing/*"]')
        await platform.start()
        gateway = platform.gateway
        self.assertEqual(status(await platform.ask("/health")), 200)
        self.assertEqual(status(await platform.ask(f"{_PATH}?q", AS_SERVICE)), 200)
        self.assertEqual(status(await platform.ask("/health", method="HEAD")), 200)
        platform.billing.answer = _breaks_off
        self.assertEqual(status(await platform.ask("/api/v1/billing/broken", AS_SERVICE)), 200)
        platform.billing.answer = lambda visit: visit.hang_up()
        self.assertEqual(status(await platform.ask("/api/v1/billing/failed", AS_SERVICE)), 502)
        await platform.ask("/api/v1/iam/last", AS_SERVICE)
        await gateway.until(lambda: any(line["path"] == "/api/v1/iam/last" for line in gateway.request_log), "the last line")
        self.assertEqual(
            [(line["method"], line["path"], line["level"]) for line in gateway.request_log],
            [
                ("HEAD", "/health", "info"),
                ("GET", "/api/v1/billing/broken", "error"),
                ("GET", "/api/v1/billing/failed", "error"),
                ("GET", "/api/v1/iam/last", "info"),
            ],
        )
        counted = counts(await scraped(platform, self), "nnogw_requests_total", "method", "status", route="/api/v1/billing")
        self.assertEqual(sum(counted.values()), 3)


def _breaks_off(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    visit.transport.loseConnection()
