"""Generations: a request is answered wholly by one configuration, whatever happens meanwhile."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence

import hypothesis
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nnogw.lifecycle.generation import Generation
from nnogw.loading import Loaded
from nnogw.settings import (
    AuthSettings,
    CorsSettings,
    LimitSettings,
    RateLimitSettings,
    RouteSettings,
    SecurityHeaderSettings,
    ServerSettings,
    ServiceSettings,
    Settings,
)
from tests.lifecycle.in_memory import IAM_PORTS, GatewayInMemory, comparable, responses

#: Pairs of configurations that are tried; ``NNOGW_ENDURANCE=long`` tries many.
EXAMPLES = 3000 if os.environ.get("NNOGW_ENDURANCE") == "long" else 150
KEYS = ("service-key-number-1", "service-key-number-2")
ORIGINS = ("https://a.example", "https://b.example")
_PREFIXES = ("/api/v1/billing", "/api/v1/cli")


@st.composite
def configurations(draw: st.DrawFn) -> Loaded:
    """A configuration whose every choice can be seen in what a request comes to."""
    prefixes = draw(st.lists(st.sampled_from(_PREFIXES), min_size=1, unique=True))
    services = {
        "iam": ServiceSettings(url=f"http://192.0.2.9:{draw(st.sampled_from(IAM_PORTS))}"),
        "billing": ServiceSettings(
            url=f"http://192.0.2.9:{draw(st.sampled_from((8001, 8002)))}{draw(st.sampled_from(('', '/base')))}",
            forward_credentials=draw(st.booleans()),
            preserve_host=draw(st.booleans()),
        ),
    }
    return Loaded(
        Settings(
            server=ServerSettings(trusted_proxies=draw(st.sampled_from(((), ("192.0.2.7",), ("192.0.2.0/24", "203.0.113.0/24"))))),
            security_headers=SecurityHeaderSettings(frame_options=draw(st.sampled_from(("DENY", "SAMEORIGIN", "")))),
            auth=AuthSettings(
                api_key=draw(st.sampled_from((KEYS, KEYS[:1], KEYS[1:]))),
                public=draw(st.sampled_from(((), ("GET /api/v1/billing/*",)))),
            ),
            rate_limit=RateLimitSettings(limit=draw(st.sampled_from((0, 1, 2, 100))), period=draw(st.sampled_from((10.0, 60.0)))),
            cors=CorsSettings(origins=draw(st.sampled_from(((), ORIGINS[:1], ORIGINS))), credentials=draw(st.booleans())),
            limits=LimitSettings(max_body=draw(st.sampled_from((10, 1000))), max_target=draw(st.sampled_from((40, 8192)))),
            services={**Settings().services, **services},
            routes=tuple(RouteSettings(prefix, "billing", draw(st.sampled_from(("", "/v1", "/v2")))) for prefix in prefixes),
        )
    )


@frozen
class Ask:
    """A request of a client, in the pieces in which it is sent."""

    number: int
    pieces: tuple[bytes, ...]

    @property
    def name(self) -> bytes:
        """Its request id."""
        return b"request-%d" % self.number


@st.composite
def requests(draw: st.DrawFn, number: int) -> Ask:
    """A request that something of a configuration decides on."""
    body = draw(st.sampled_from((b"", b"x" * 8, b"x" * 200)))
    padding = draw(st.sampled_from((0, 60)))
    path = draw(st.sampled_from((*_PREFIXES, "/api/v1/nowhere", "/health"))) + f"/{number}{'a' * padding}"
    lines = [
        f"{'POST' if body else 'GET'} {path} HTTP/1.1",
        "Host: gateway.example",
        f"X-Request-Id: request-{number}",
        f"X-Nno-Trace-Id: trace-{number}",
    ]
    authorization = draw(st.sampled_from(("", *KEYS, "a-session", "another-session")))
    lines += [f"Authorization: Bearer {authorization}"] if authorization else []
    lines += draw(st.sampled_from(([], ["X-Forwarded-For: 198.51.100.1, 203.0.113.5"])))
    lines += draw(st.sampled_from(([], [f"Origin: {ORIGINS[1]}"])))
    lines += [f"Content-Length: {len(body)}"] if body else []
    data = "\r\n".join([*lines, "", ""]).encode() + body
    first_cut = (
        len(data) - len(body) if padding else 1
    )  # a target that may be refused comes with all fields: what has come is in the response
    cuts = sorted({draw(st.integers(first_cut, len(data))) for _ in range(draw(st.integers(0, 3)))} - {len(data)})
    return Ask(number, tuple(data[start:end] for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True)))


class Run:
    """What requests come to.

    Args:
        loaded: the configuration that they begin with.
        clients: the requests of each client, one connection each.
    """

    def __init__(self, loaded: Loaded, clients: Sequence[Sequence[Ask]]) -> None:
        self.gateway = GatewayInMemory(loaded, len(clients))
        self._clients = clients
        self._left = [[piece for ask in client for piece in ask.pieces] for client in clients]

    def step(self, client: int) -> None:
        """Let a client send its next piece, or the services respond if it has sent everything."""
        if self._left[client]:
            self.gateway.clients[client].send(self._left[client].pop(0))
        else:
            self.gateway.serve()

    def finish(self) -> dict[bytes, tuple[bytes, object]]:
        """Let everything end; returns request id → the response, and what has arrived at a service and where."""
        for client, left in enumerate(self._left):
            while left:
                self.step(client)
        while self.gateway.serve():
            pass
        found: dict[bytes, tuple[bytes, object]] = {}
        for client, asks in zip(self.gateway.clients, self._clients, strict=True):
            for ask, response in zip(asks, responses(client.received), strict=False):
                found[ask.name] = (comparable(response), self.gateway.arrived.get(ask.name))
        self.gateway.close()
        return found


def alone(loaded: Loaded, ask: Ask) -> tuple[bytes, object]:
    """Return what one request comes to with one configuration."""
    return Run(loaded, [[ask]]).finish()[ask.name]


class Swaps(SynchronousTestCase):
    """One configuration takes over from another."""

    @hypothesis.settings(max_examples=EXAMPLES)
    @given(st.data())
    def test_each_request_is_answered_wholly_by_one_of_two_configurations(self, data: st.DataObject) -> None:
        """Whenever the second takes over: within a head, a body, a question to IAM, a response, or between two requests."""
        first, second = data.draw(configurations()), data.draw(configurations())
        counts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
        clients = [[data.draw(requests(10 * client + place)) for place in range(count)] for client, count in enumerate(counts)]
        steps = data.draw(st.lists(st.integers(0, len(clients) - 1), max_size=25))
        swap_at = data.draw(st.integers(0, len(steps)))
        run = Run(first, clients)
        for client in steps[:swap_at]:
            run.step(client)
        run.gateway.change(second)
        for client in steps[swap_at:]:
            run.step(client)
        found = run.finish()
        for client in clients:
            for ask in client:
                if ask.name not in found:
                    continue  # the connection was closed behind an earlier request, as both configurations would have it
                outcomes = (alone(first, ask), alone(second, ask))
                self.assertIn(found[ask.name], outcomes)

    def test_a_request_under_way_ends_with_what_it_began_with(self) -> None:
        """The next one on its connection does not."""
        first = configured(port=8001)
        gateway = GatewayInMemory(first)
        gateway.clients[0].send(get(1))
        gateway.change(configured(port=8002))
        gateway.clients[0].send(get(2))
        while gateway.serve():
            pass
        self.assertEqual(
            [response[-15:] for response in responses(gateway.clients[0].received)], [b"\nserved at 8001", b"\nserved at 8002"]
        )
        gateway.close()

    def test_what_a_connection_remembers_of_a_header_section_is_forgotten(self) -> None:
        """A proxy that is trusted no more is not believed, although it sends the same bytes on a connection that is kept."""
        gateway = GatewayInMemory(configured(trusted_proxies=("192.0.2.7",)))
        for trusted in (("192.0.2.7",), (), ("192.0.2.7",)):
            gateway.change(configured(trusted_proxies=trusted))
            gateway.clients[0].send(get(1, b"X-Forwarded-For: 203.0.113.9\r\n"))
            while gateway.serve():
                pass
            arrived = gateway.arrived[b"request-1"][1]
            self.assertEqual(b"203.0.113.9" in arrived, bool(trusted), arrived)
        gateway.close()

    def test_of_many_generations_one_is_left(self) -> None:
        """And those whose requests have not ended."""
        gateway = GatewayInMemory(configured())
        gateway.clients[0].send(get(1))
        made = [weakref.ref(gateway.generation)]
        for _ in range(20):
            gateway.change(configured())
            made.append(weakref.ref(gateway.generation))
        self.assertEqual(living(made), [1, 21])
        while gateway.serve():
            pass
        self.assertEqual(living(made), [21])
        gateway.close()


class Surviving(SynchronousTestCase):
    """What the configuration does not decide stays."""

    def setUp(self) -> None:
        self.gateway = GatewayInMemory(configured())
        self.addCleanup(self.gateway.close)

    def ask(self, *fields: bytes, number: int = 1) -> bytes:
        """Return the response to a request."""
        client = self.gateway.clients[0]
        client.send(get(number, b"".join(fields)))
        while self.gateway.serve():
            pass
        return client.take()

    def asked_iam(self) -> int:
        """Return how many connections were made to IAM."""
        return self.gateway.shared.verdicts.calls

    def test_connections_to_a_service_are_used_again(self) -> None:
        """Whatever else has changed; its timeouts, too, which come with each request."""
        self.ask()
        self.gateway.change(configured(response_timeout=1, max_idle_connections=1, path="/other"))
        self.ask()
        self.assertEqual(len(self.gateway.lines), 1)

    def test_connections_to_where_a_service_was_are_closed(self) -> None:
        """At once those that are idle, the others when their response is whole."""
        self.ask()
        self.gateway.clients[0].send(get(2))
        self.gateway.turn()
        self.gateway.change(configured(port=8002))
        (line,) = self.gateway.lines
        self.assertFalse(line.disconnecting)
        while self.gateway.serve():
            pass
        self.assertTrue(line.lost)

    def test_a_verdict_is_kept_and_its_user_does_not_notice(self) -> None:
        """Unless another IAM is asked from now on, or its responses are read in another way: then nothing is known."""
        for change, calls in (({}, 1), ({"iam": 82}, 2), ({"iam": 82}, 2), ({"iam": 81}, 3), ({"iam": 81, "user_id": ("role",)}, 4)):
            self.gateway.change(configured(**change))
            self.ask(b"Authorization: Bearer a-session\r\n")
            self.assertEqual(self.asked_iam(), calls, change)

    def test_a_window_of_the_rate_limit_keeps_its_count(self) -> None:
        """A limit that has become smaller counts at once."""
        self.assertIn(b"r=99", self.ask())
        self.gateway.change(configured(limit=3))
        self.assertIn(b"r=1", self.ask())
        self.gateway.change(configured(limit=2))
        self.assertIn(b" 429 ", self.ask())

    def test_time_limits_change_on_connections_that_are_idle(self) -> None:
        """A client's and a service's."""
        self.ask()
        self.gateway.change(configured(client_idle_timeout=5, keepalive_timeout=2))
        self.gateway.clock.pump([2, 0, 0, 0])
        self.assertTrue(self.gateway.lines[0].lost)
        self.assertFalse(self.gateway.clients[0].closed)
        self.gateway.clock.pump([3, 0, 0, 0])
        self.assertTrue(self.gateway.clients[0].closed)


def configured(
    *,
    port: int = 8001,
    iam: int = 81,
    path: str = "",
    limit: int = 100,
    trusted_proxies: tuple[str, ...] = (),
    client_idle_timeout: float = 75,
    user_id: tuple[str, ...] = ("userId",),
    **service: float,
) -> Loaded:
    """Return a configuration with the bypass off only where a session is sent."""
    services: Mapping[str, ServiceSettings] = {
        "iam": ServiceSettings(url=f"http://192.0.2.9:{iam}"),
        "billing": ServiceSettings(url=f"http://192.0.2.9:{port}", **service),  # type: ignore[arg-type]  # times and counts
    }
    auth = AuthSettings(api_key=KEYS, public=("GET /api/v1/billing/public",))
    return Loaded(
        Settings(
            server=ServerSettings(trusted_proxies=trusted_proxies),
            auth=evolve(auth, paths=evolve(auth.paths, user_id=user_id)),
            rate_limit=RateLimitSettings(limit=limit),
            limits=LimitSettings(idle_timeout=client_idle_timeout),
            services={**Settings().services, **services},
            routes=(RouteSettings("/api/v1/billing", "billing", path),),
        )
    )


def get(number: int, fields: bytes = b"") -> bytes:
    """Return a request; without credentials of its own, it has the first service key."""
    if b"Authorization" not in fields:
        fields += b"Authorization: Bearer " + KEYS[0].encode() + b"\r\n"
    return b"GET /api/v1/billing/x HTTP/1.1\r\nHost: g\r\nX-Request-Id: request-%d\r\n%b\r\n" % (number, fields)


def living(generations: Sequence[weakref.ref[Generation]]) -> list[int]:
    """Return the numbers of those that are still in memory, without any help of the garbage collector."""
    return [generation.number for reference in generations if (generation := reference()) is not None]
