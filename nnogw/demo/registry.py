"""The demo's registry: says what status a platform has."""

from __future__ import annotations

from twisted.web.server import Request

from nnogw.demo.cast import PLATFORMS
from nnogw.demo.echo import Responder, Responders, json_answer


def registry_responders() -> Responders:
    """Return the responses of the registry: one for each platform that there is."""
    return {(b"GET", b"/" + platform_id.encode()): _platform(platform_id) for platform_id in PLATFORMS}


def _platform(platform_id: str) -> Responder:
    name, status = PLATFORMS[platform_id]

    def respond(request: Request) -> bytes:
        return json_answer(request, {"id": platform_id, "name": name, "status": status})

    return respond
