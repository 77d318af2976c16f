"""One request and what the gateway knows of it (`Exchange`), and the response as a value (`Response`)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import define, frozen

from nnogw.bodies import Body, ResponseBody
from nnogw.errors import GatewayError
from nnogw.fields import Field, HeaderFields, field
from nnogw.routes import Route

#: Who is to blame for a response that broke off; others who can end one are the client and its connection.
_BROKEN_BY_UPSTREAM = frozenset({"upstream", "timeout:idle"})


@frozen
class Identity:
    """Who the caller is, as IAM says."""

    kind: str  # "service", "session" or "apikey"
    user_id: str | None = None
    role: str | None = None
    platform_id: str | None = None
    platform_status: str | None = None  # what IAM says of the platform, if it says it
    expires_at: float | None = None  # Unix seconds at which the session ends
    fields: tuple[Field, ...] = ()  # X-Nno-User-Id, X-Nno-Role, X-Nno-Platform-Id for the upstream, made once


@define(eq=False)
class Response:
    """A response: the gateway's own, or an upstream's as it came."""

    status: int
    fields: list[Field] = attrs.field(factory=list, repr=False)  # end-to-end header fields, in order; they may hold cookies
    body: bytes | Body = attrs.field(default=b"", repr=False)
    reason: bytes | None = None  # the reason phrase as the upstream spelled it; None: the status's standard one

    @classmethod
    def of(cls, status: int, body: bytes, content_type: bytes) -> Response:
        """Return a response of the gateway's own making."""
        return cls(status, [field(b"Content-Type", content_type)], body)


@define(eq=False, repr=False)
class Exchange:
    """One request's facts, in the order in which they become known."""

    # -- what came in ------------------------------------------------------------------------------------------------
    method: bytes
    target: bytes  # the request target as received
    fields: HeaderFields  # the request's header section, as it came
    peer: str  # address at the other end of the connection; "unix" on a unix socket
    secure: bool = False  # the connection to us is TLS
    body: Body | None = None  # None: the request has no body
    refusal: GatewayError | None = None  # what the parser or the path rules found wrong; raised inside the pipeline
    started: float = 0.0  # monotonic seconds at which the head was in
    started_at: float = 0.0  # the same, in Unix seconds
    hinted: Callable[[HeaderFields], None] | None = None  # passes the fields of an upstream's 103 on to the client

    # -- what the root found out -------------------------------------------------------------------------------------
    ip: str = ""  # the client's address, after the walk over trusted proxies
    path: bytes = b""  # canonical path without the query; b"" where the target was refused
    route: Route | None = None  # the longest matching route, if any
    rest: bytes = b""  # path and query to forward, byte for byte, without the route's prefix: starts with "/"

    # -- what middlewares decided ------------------------------------------------------------------------------------
    request_id: str = ""
    trace_id: str = ""
    identity: Identity | None = None
    auth: str = "none"  # service, session, apikey, public, bypass or none
    cache: str = "-"  # verdict cache: hit, miss, stale or "-" when it was not asked
    auth_time: float | None = None  # seconds spent on authentication
    upstream_time: float | None = None  # seconds from handing over to the upstream to the head of its response
    upstream: str = ""  # the address that the request was sent to
    upstream_fields: tuple[Field, ...] = ()  # more fields for the upstream; they replace the client's of the same name
    upstream_body: ResponseBody | None = None  # the body of the upstream's response; it is stopped if the response that is sent is another
    upstream_failure: str = ""  # what went wrong there, one of `nnogw.errors.UPSTREAM_FAILURE_KINDS`; "" for nothing
    response_fields: dict[bytes, Field] = attrs.field(factory=dict)  # on the answer whatever happens; win over the upstream's
    response_additions: list[Field] = attrs.field(factory=list)  # put after the upstream's fields of the same name

    # -- how it ended ------------------------------------------------------------------------------------------------
    status: int = 0  # the status sent; 499 for a client that left before it
    end: str = ""  # client, gateway, upstream, or timeout:<which>
    reason: str = ""  # why a request was refused or failed; for the log only
    bytes_in: int = 0  # body bytes received
    bytes_out: int = 0  # body bytes sent
    ended: float = 0.0  # monotonic seconds
    abandoned: bool = False  # the client has left: set before anything is cancelled
    on_end: list[Callable[[Exchange], None]] = attrs.field(factory=list)  # called once, when the request has ended

    def __repr__(self) -> str:
        """Name the request without its query and its credentials: this may stand in a log."""
        return f"<Exchange {self.request_id or '-'}: {self.method.decode('latin-1')} {self.path.decode('latin-1') or 'a refused target'}>"

    @property
    def failed(self) -> bool:
        """Whether the gateway or a service failed: a 5xx, or a response that the service broke off. Known when the request has ended."""
        return self.status >= 500 or (self.abandoned and self.end in _BROKEN_BY_UPSTREAM)

    def set_field(self, name: bytes, value: bytes) -> None:
        """Decide on a header field of the response: there will be this one value, the upstream's own is dropped."""
        self.response_fields[name.lower()] = (name.lower(), name, value)

    def add_upstream_field(self, name: bytes, value: bytes) -> None:
        """Add a header field to the request that goes to the upstream; what the client sent under that name stays behind."""
        self.upstream_fields = (*self.upstream_fields, (name.lower(), name, value))

    def add_field(self, name: bytes, value: bytes) -> None:
        """Add a header field to the response, after the upstream's own fields of that name."""
        self.response_additions.append((name.lower(), name, value))
