"""What every option has to be: the one table of rules."""

from __future__ import annotations

from collections.abc import Mapping

from nnogw.loading.addresses import admin_endpoint, client_endpoint, server_endpoint, trusted_proxy
from nnogw.loading.urls import origin, service_url, store_url
from nnogw.loading.values import (
    Rule,
    at_least,
    cors_header,
    dotted_path,
    duration,
    field_value,
    file_path,
    method,
    name,
    one_of,
    path_prefix,
    policy_name,
    public_pattern,
    request_pattern,
    route_prefix,
    service_key,
    switch,
    text,
    upstream_path,
)
from nnogw.settings import (
    AuthSettings,
    CorsSettings,
    LifecycleSettings,
    LimitSettings,
    RateLimitRule,
    RateLimitSettings,
    RouteSettings,
    SecurityHeaderSettings,
    ServerSettings,
    ServiceSettings,
    SessionPaths,
    VerdictCacheSettings,
)

_SECONDS = duration(zero=False)
_SECONDS_OR_ZERO = duration(zero=True)
_BYTES = at_least(1, "bytes")
_COUNT = at_least(1, "")
_COUNT_OR_ZERO = at_least(0, "")

#: class → option → its rule; for a list, the rule of each item. Options that are classes of their own have none.
RULES: Mapping[type, Mapping[str, Rule]] = {
    ServerSettings: {
        "listen": server_endpoint,
        "admin": admin_endpoint,
        "access_log": file_path,
        "access_log_skip": request_pattern,
        "trusted_proxies": trusted_proxy,
        "lame_duck": _SECONDS_OR_ZERO,
        "drain_timeout": _SECONDS_OR_ZERO,
    },
    SecurityHeaderSettings: {"content_type_options": field_value, "frame_options": field_value, "referrer_policy": field_value},
    VerdictCacheSettings: {
        "ttl": _SECONDS_OR_ZERO,
        "negative_ttl": _SECONDS_OR_ZERO,
        "max_entries": _COUNT_OR_ZERO,
        "max_negative_entries": _COUNT_OR_ZERO,
        "stale_if_error": _SECONDS_OR_ZERO,
    },
    SessionPaths: {
        "user_id": dotted_path,
        "role": dotted_path,
        "platform_id": dotted_path,
        "platform_status": dotted_path,
        "expires_at": dotted_path,
    },
    AuthSettings: {
        "api_key": service_key,
        "api_key_file": text,
        "allow_unauthenticated": switch,
        "public": public_pattern,
        "connect_timeout": _SECONDS,
        "timeout": _SECONDS,
    },
    LifecycleSettings: {
        "ttl": _SECONDS_OR_ZERO,
        "stale_if_error": _SECONDS_OR_ZERO,
        "blocked": name,
        "on_unknown": one_of("allow", "deny"),
        "max_entries": _COUNT_OR_ZERO,
    },
    RateLimitRule: {"prefix": path_prefix, "limit": _COUNT_OR_ZERO, "period": _SECONDS, "methods": method, "name": policy_name},
    RateLimitSettings: {
        "limit": _COUNT_OR_ZERO,
        "period": _SECONDS,
        "key": one_of("path", "route"),
        "max_keys": _COUNT,
        "store": store_url,
    },
    CorsSettings: {
        "origins": origin,
        "credentials": switch,
        "allow_headers": cors_header,
        "expose_headers": cors_header,
        "max_age": at_least(0, "seconds"),
    },
    LimitSettings: {
        "max_header_bytes": _BYTES,
        "max_headers": _COUNT,
        "max_target": _BYTES,
        "max_body": _BYTES,
        "header_timeout": _SECONDS,
        "body_timeout": _SECONDS,
        "idle_timeout": _SECONDS,
        "send_timeout": _SECONDS,
    },
    ServiceSettings: {
        "binding": client_endpoint,
        "url": service_url,
        "connect_timeout": _SECONDS,
        "response_timeout": _SECONDS,
        "idle_timeout": _SECONDS,
        "preserve_host": switch,
        "forward_credentials": switch,
        "max_idle_connections": _COUNT_OR_ZERO,
        "keepalive_timeout": _SECONDS,
    },
    RouteSettings: {"prefix": route_prefix, "service": name, "upstream_path": upstream_path},
}
