"""Every option of the gateway, with its default and its unit: one frozen class a concern.

Times are seconds, sizes are bytes. How a file, the environment and the command line become these classes is `nnogw.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

#: The platform's own routes: prefix → service.
DEFAULT_ROUTES = (
    ("/api/v1/iam", "iam"),
    ("/api/v1/platforms", "registry"),
    ("/api/v1/billing", "billing"),
    ("/api/v1/provisioning", "provisioning"),
    ("/api/v1/stacks", "stack-registry"),
    ("/api/v1/cli", "cli"),
    ("/api/v1/onboarding", "registry"),
)
#: What ends sessions at IAM, as Better Auth and the platform's own API have it.
DEFAULT_FORGET_ON = (
    "POST /api/*/sign-out",
    "POST /api/*/revoke-session",
    "POST /api/*/revoke-sessions",
    "POST /api/*/revoke-other-sessions",
    "POST /api/*/change-password",
    "DELETE /api/v1/iam/api/sessions/*",
)
SERVICE_NAMES = ("iam", "registry", "billing", "provisioning", "stack-registry", "cli")


@frozen
class ServerSettings:
    """Where the gateway listens, and what its connections and its shutdown look like."""

    listen: tuple[str, ...] = ("tcp:8787:interface=127.0.0.1",)  # Twisted server endpoint strings
    admin: str = "tcp:9787:interface=127.0.0.1"  # metrics, status and purge; "" for none
    access_log: str = "-"  # "-" is standard output, else a file
    access_log_skip: tuple[str, ...] = ()  # "METHOD /path" patterns that the request log leaves out; "*" ends a path
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks; "unix" for peers on a unix socket
    lame_duck: float = 0  # seconds that /health says "draining" before the listeners close
    drain_timeout: float = 30  # seconds that requests under way may still take after TERM
    resolve_ttl: float = 30  # seconds that the addresses of a service's name are used before they are looked up again (Java 30, HAProxy 10)


@frozen
class SecurityHeaderSettings:
    """The values of the three security headers; "" leaves one out."""

    content_type_options: str = "nosniff"
    frame_options: str = "DENY"
    referrer_policy: str = "strict-origin-when-cross-origin"


@frozen
class VerdictCacheSettings:
    """How long and how many of IAM's verdicts are kept in memory."""

    ttl: float = 60  # seconds that a valid verdict lives (±10 %)
    negative_ttl: float = 10  # seconds that a refusal lives
    max_entries: int = 100_000
    max_negative_entries: int = 10_000
    stale_if_error: float = 0  # seconds past its life that a valid verdict may bridge an IAM outage
    forget_on: tuple[str, ...] = DEFAULT_FORGET_ON  # "METHOD /path" patterns that end sessions: a 2xx drops all verdicts of that user


@frozen
class SessionPaths:
    """Where in IAM's session response each claim stands: dotted paths, the first that is there wins."""

    user_id: tuple[str, ...] = ("userId", "user.id")
    role: tuple[str, ...] = ("role", "user.role")
    platform_id: tuple[str, ...] = ("platformId", "user.platformId", "session.platformId")
    platform_status: tuple[str, ...] = ("platformStatus",)
    expires_at: tuple[str, ...] = ("expiresAt", "session.expiresAt")


@frozen
class AuthSettings:
    """Who may come in."""

    api_key: tuple[str, ...] = field(default=(), repr=False)  # AUTH_API_KEY: the service keys that are active
    api_key_file: str = ""  # a file with one service key a line
    allow_unauthenticated: bool = False  # let the bypass listen on public addresses
    public: tuple[str, ...] = ()  # "METHOD /path" patterns that need no identity; "*" ends a path
    connect_timeout: float = 2  # seconds from connecting to IAM to the head of its response
    timeout: float = 3  # seconds for a whole call to IAM, and for the wait until it may begin
    max_calls: int = 256  # calls to IAM under way
    max_calls_per_address: int = 16  # the same for one client address; IPv6 counts as its /64
    failure_limit: int = 0  # refused credentials per address and period; beyond it, only those in the cache get in; 0 for no limit
    failure_period: float = 60  # seconds
    paths: SessionPaths = SessionPaths()
    cache: VerdictCacheSettings = VerdictCacheSettings()


@frozen
class LifecycleSettings:
    """How a platform's status is learnt, and which statuses are blocked."""

    ttl: float = 30  # seconds that a status is kept
    stale_if_error: float = 300  # seconds past that which the last known status serves through a registry outage
    blocked: tuple[str, ...] = ("suspended",)
    on_unknown: str = "allow"  # or "deny": 503 while a status is not known
    max_entries: int = 100_000


@frozen
class RateLimitRule:
    """A limit of its own for a path prefix, and for some methods or all."""

    prefix: str
    limit: int  # requests a period; 0 turns the rule off
    period: float = 60  # seconds
    methods: tuple[str, ...] = ()  # empty: all
    name: str = ""  # the policy's name in RateLimit-Policy; the prefix by default


@frozen
class RateLimitSettings:
    """How many requests one caller may make in a fixed window."""

    limit: int = 100  # requests a period; 0 turns all limiting off
    period: float = 60  # seconds
    key: str = "path"  # or "route": what is counted beside the caller's address
    max_keys: int = 100_000  # windows held in memory
    store: str = ""  # RATE_LIMITER: the shared store's URL; empty: the table in memory
    rules: tuple[RateLimitRule, ...] = ()


@frozen
class CorsSettings:
    """Which browser origins may read the gateway's responses."""

    origins: tuple[str, ...] = ()  # CORS_ORIGINS: exact, "https://*.example.com", or "*"
    credentials: bool = False
    allow_headers: tuple[str, ...] = ()  # request headers that pages may send, beside the built-in ones; "*" for all
    expose_headers: tuple[str, ...] = ()  # response headers that pages may read, beside the built-in ones; "*" for all
    max_age: int = 600  # seconds that a browser may remember a preflight


@frozen
class LimitSettings:
    """What a client may send, and how long it may take."""

    max_header_bytes: int = 16 * 1024
    max_headers: int = 100
    max_target: int = 8 * 1024
    max_body: int = 100 * 1024 * 1024
    header_timeout: float = 10  # seconds for a whole request head, absolute
    body_timeout: float = 60  # seconds of silence within a request body
    idle_timeout: float = 75  # seconds that a connection may be kept without a request
    send_timeout: float = 180  # seconds that a client may take nothing of its response


@frozen
class ServiceSettings:
    """One upstream service: how to reach it and how patient to be."""

    binding: str = ""  # NNO_…: a Twisted client endpoint string, the deployed form
    url: str = ""  # NNO_…_URL: used when there is no binding
    connect_timeout: float = 3
    response_timeout: float = 30  # seconds from the whole request sent to the head of the response
    idle_timeout: float = 60  # seconds of silence within a body
    preserve_host: bool = False  # send the client's Host instead of the upstream's own
    forward_credentials: bool = True  # pass Authorization and x-api-key on
    max_idle_connections: int = 256  # kept open for reuse
    keepalive_timeout: float = 60  # seconds that an idle connection is kept


@frozen
class RouteSettings:
    """A path prefix and the service behind it."""

    prefix: str
    service: str
    upstream_path: str = ""  # put in front of the stripped path


@frozen
class Settings:
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    security_headers: SecurityHeaderSettings = SecurityHeaderSettings()
    auth: AuthSettings = AuthSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    cors: CorsSettings = CorsSettings()
    limits: LimitSettings = LimitSettings()
    services: Mapping[str, ServiceSettings] = field(factory=lambda: {name: ServiceSettings() for name in SERVICE_NAMES})
    routes: tuple[RouteSettings, ...] = tuple(RouteSettings(prefix, service) for prefix, service in DEFAULT_ROUTES)
