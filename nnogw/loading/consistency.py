"""Rules that concern several options at once."""

from __future__ import annotations

from typing import Any

from nnogw.loading.addresses import admin_endpoint, is_private, server_endpoint
from nnogw.loading.document import Document, did_you_mean, shown
from nnogw.loading.sockets import overlap
from nnogw.settings import SERVICE_NAMES, ServerSettings


def check_consistency(document: Document, *, demo: bool) -> None:
    """Note what does not go together in `document`.

    Args:
        document: the values; those of a wrong type have been noted already, and are passed over here.
        demo: a service key will be set, so that the rule about its absence has no object.
    """
    _check_routes(document)
    _check_origins(document)
    _check_cors_headers(document)
    if document.get("server", "listen") == []:
        document.problem(("server", "listen"), "found an empty list, expected at least one endpoint")
    _check_listeners(document)
    if not demo:
        _check_bypass(document)


def _check_routes(document: Document) -> None:
    configured = document.get("services")
    services = {*SERVICE_NAMES, *(configured if isinstance(configured, dict) else ())}
    first: dict[str, int] = {}
    for index, route in enumerate(_list(document.get("routes"))):
        if not isinstance(route, dict):
            continue
        service, prefix = route.get("service"), route.get("prefix")
        if isinstance(service, str) and service not in services:
            document.problem(
                ("routes", index, "service"), f"found {shown(service)}, which is no service; {did_you_mean(service, services)}"
            )
        if isinstance(prefix, str) and first.setdefault(prefix, index) != index:
            document.problem(("routes", index, "prefix"), f"found {shown(prefix)}, which is the prefix of #{first[prefix] + 1} already")


def _check_origins(document: Document) -> None:
    if document.get("cors", "credentials") is True and "*" in _list(document.get("cors", "origins")):
        document.problem(
            ("cors", "origins"),
            'found "*" together with credentials = true, expected the origins by name: browsers refuse the two together',
        )


def _check_cors_headers(document: Document) -> None:
    """Header names are case-insensitive (RFC 9110 §5.1), and with credentials browsers take ``*`` for the name of a header."""
    for option in ("allow_headers", "expose_headers"):
        first: dict[str, int] = {}
        for index, header in enumerate(_list(document.get("cors", option))):
            if isinstance(header, str) and first.setdefault(header.lower(), index) != index:
                document.problem(("cors", option, index), f"found {shown(header)}, which is #{first[header.lower()] + 1} already")
        if "*" in first and document.get("cors", "credentials") is True:
            document.problem(
                ("cors", option),
                'found "*" together with credentials = true, expected the headers by name: browsers do not take * for all of them then',
            )


def _check_bypass(document: Document) -> None:
    """A lost variable must not open a production gateway: without a service key it listens privately, or says that it means it."""
    keys = document.get("auth", "api_key")
    if keys or not document.complete or document.get("auth", "allow_unauthenticated") is True:
        return
    for index, description in enumerate(_list(document.get("server", "listen"))):
        if not server_endpoint(description) and not is_private(description):
            document.problem(
                ("server", "listen", index),
                f"{shown(description)} can be reached from other machines, and without AUTH_API_KEY every request passes unauthenticated; "
                "set AUTH_API_KEY, or listen on a loopback address (:interface=127.0.0.1) or a unix socket, "
                "or set auth.allow_unauthenticated = true in the configuration file",
            )


def _check_listeners(document: Document) -> None:
    """Each socket can be bound once."""
    said = document.get("server", "listen")
    listen = [*ServerSettings().listen] if said is None else _list(said)
    good = [(index, endpoint) for index, endpoint in enumerate(listen) if not server_endpoint(endpoint)]
    for position, (index, endpoint) in enumerate(good):
        taken = next((other for other, before in good[:position] if overlap(endpoint, before)), None)
        if taken is not None:
            document.problem(("server", "listen", index), f"found {shown(endpoint)}, which #{taken + 1} binds already")
    admin = document.get("server", "admin")
    expected = ServerSettings().admin if admin is None else admin
    if admin_endpoint(expected):
        return
    for index, endpoint in good:
        if overlap(endpoint, expected):
            place = ("server", "listen", index) if admin is None else ("server", "admin")
            document.problem(
                place, f"{shown(endpoint)} is in server.listen, and {shown(expected)} in server.admin; expected two different sockets"
            )


def _list(value: object) -> list[Any]:  # Any: as in `Document.get`
    return value if isinstance(value, list) else []
