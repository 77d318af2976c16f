"""A bare reverse proxy on aiohttp and uvloop: no policies at all, whole bodies in memory."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web

PREFIX = "/api/v1/platforms"
SESSION = web.AppKey("session", ClientSession)


async def forward(request: web.Request) -> web.Response:
    """Pass a request on, and its answer back."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
    target = request.app["services"] + request.path_qs.removeprefix(PREFIX)
    body = await request.read()
    async with request.app[SESSION].request(request.method, target, headers=headers, data=body or None) as answer:
        content_type = answer.headers.get("Content-Type", "application/octet-stream")
        return web.Response(status=answer.status, body=await answer.read(), headers={"Content-Type": content_type})


async def connections(application: web.Application) -> AsyncIterator[None]:
    """Keep connections to the services for as long as the application runs."""
    async with ClientSession(connector=TCPConnector(limit=256)) as session:
        application[SESSION] = session
        yield


def main() -> None:
    """Run the proxy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("services", help="the services' URL, without a path")
    options = parser.parse_args()
    application = web.Application(client_max_size=1 << 30)
    application["services"] = options.services
    application.cleanup_ctx.append(connections)
    application.router.add_route("*", "/{path:.*}", forward)
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
