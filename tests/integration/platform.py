"""A gateway in a process of its own, between a test's clients and the services that it scripts."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from twisted.trial.unittest import TestCase

from tests.integration.gateway_process import GatewayProcess
from tests.integration.sockets import Service, Visit, Wire, connect, get, ok, says

SERVICE_KEY = "service-key-of-the-test"
AS_SERVICE = f"Authorization: Bearer {SERVICE_KEY}"
AS_USER = "Authorization: Bearer session-of-the-test"
AS_API_KEY = "x-api-key: nno_key-of-the-test"

IDENTITY = ok(orjson.dumps({"userId": "u1", "role": "admin", "platformId": "p1"}))
ACTIVE = ok(orjson.dumps({"id": "p1", "status": "active"}))
_ADMIN, _REGISTERED, _WELL = says(IDENTITY), says(ACTIVE), says(ok())


class Platform:
    """Services on loopback ports, and a gateway in front of them.

    Args:
        test: the test that it is for.
        config: further tables of the configuration file.
        iam, registry, billing: what these services answer; by default everybody is an active platform's admin, and all is well.
    """

    def __init__(
        self,
        test: TestCase,
        *,
        config: str = "",
        iam: Callable[[Visit], None] = _ADMIN,
        registry: Callable[[Visit], None] = _REGISTERED,
        billing: Callable[[Visit], None] = _WELL,
        billing_settings: str = "",
    ) -> None:
        self._test = test
        self.iam = Service(test, iam)
        self.registry = Service(test, registry)
        self.billing = Service(test, billing)
        self.gateway = GatewayProcess(
            test,
            config="\n".join(
                [
                    config,
                    f'[services.iam]\nurl = "{self.iam.url}"',
                    f'[services.registry]\nurl = "{self.registry.url}"',
                    f'[services.billing]\nurl = "{self.billing.url}"\n{billing_settings}',
                ]
            ),
            environment={"AUTH_API_KEY": SERVICE_KEY},
        )

    async def start(self) -> None:
        """Start the gateway."""
        await self.gateway.start()

    async def client(self) -> Wire:
        """Return a new connection to the gateway."""
        return await connect(self._test, self.gateway.port)

    async def ask(self, path: str, *fields: str, method: str = "GET") -> bytes:
        """Return everything that the gateway sends in answer to one request."""
        client = await self.client()
        client.send(get(path, *fields, method=method))
        return await client.until_closed()

    async def last_log_line(self, path: str) -> dict[str, object]:
        """Return the line of the request log for the latest request of `path`, once it is there."""
        await self.gateway.until(lambda: any(line["path"] == path for line in self.gateway.request_log), f"the log line of {path}")
        return [line for line in self.gateway.request_log if line["path"] == path][-1]


def status(answer: bytes) -> int:
    """Return the status of the first answer in `answer`."""
    return int(answer.split(b" ", 2)[1])


def code(answer: bytes) -> str:
    """Return the code in the error envelope of `answer`."""
    return str(orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"])
