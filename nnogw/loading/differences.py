"""What is different between two configurations, in lines for an operator. Secrets are not shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import attrs

from nnogw.loading.document import shown
from nnogw.settings import RateLimitRule, RouteSettings, ServiceSettings, Settings

_ABSENT, _THERE = "not there", "there"
#: What comes and goes as a whole, and the options that are lists of such entries.
_ENTRIES = (RouteSettings, RateLimitRule, ServiceSettings)
_LISTS = ("routes", "rate_limit.rules")


def differences(before: Settings, after: Settings) -> list[str]:
    """Return a line for each option that has another value: ``rate_limit.limit: 100 → 50``.

    Services go by their names; routes, and rules of the rate limit, by their prefixes. Of service keys it is said how many there are.
    """
    old, new = dict(_options("", before)), dict(_options("", after))
    changed = [name for name in sorted({*old, *new}) if old.get(name, _ABSENT) != new.get(name, _ABSENT)]
    return [f"{name}: {_change(name, old, new)}" for name in _without_parts(changed, old, new)]


def _options(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every option below `value`, with its dotted name."""
    if isinstance(value, _ENTRIES):
        yield name, _THERE
    kind = type(value)
    if attrs.has(kind):
        for option in attrs.fields(kind):
            yield from _options(f"{name}.{option.name}".lstrip("."), getattr(value, option.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _options(f"{name}.{key}", item)
    elif name in _LISTS and isinstance(value, tuple):
        seen: Counter[str] = Counter()
        for item in value:
            label = _label(item)
            seen[label] += 1
            yield from _options(f"{name}[{label}]" if seen[label] == 1 else f"{name}[{label} #{seen[label]}]", item)
    else:
        yield name, value


def _label(item: RouteSettings | RateLimitRule) -> str:
    methods = f"{','.join(item.methods)} " if isinstance(item, RateLimitRule) and item.methods else ""
    return methods + item.prefix


def _without_parts(changed: list[str], old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    """Yield the names without those of the parts of an entry that has come or gone as a whole."""
    whole = [name for name in changed if _THERE in (old.get(name), new.get(name))]
    for name in changed:
        if not any(name.startswith(f"{item}.") for item in whole):
            yield name


def _change(name: str, old: Mapping[str, object], new: Mapping[str, object]) -> str:
    before, after = (_told(name, options) for options in (old, new))
    return f"{before} → {after}" if before != after else f"{before} → another value"


def _told(name: str, options: Mapping[str, object]) -> str:
    value = options.get(name, _ABSENT)
    if name not in options or value is _THERE:
        return str(value)
    if isinstance(value, tuple):
        return f"{len(value)} service key(s)" if name == "auth.api_key" else f"[{', '.join(map(shown, value))}]"
    return shown(value)
