"""Platform lifecycle: nobody gets through on behalf of a suspended platform."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from nnogw.errors import PlatformSuspended, ServiceUnavailable
from nnogw.exchange import Exchange, Response
from nnogw.interfaces import PlatformStatusSource, Proceed
from nnogw.settings import LifecycleSettings

#: Seconds after which a client may try again when a platform's status could not be learnt.
_RETRY_AFTER = 5


class PlatformLifecycle:
    """Refuses requests of platforms whose status is blocked.

    The verdict's own word on the platform is taken if there is one; otherwise the registry is asked. The service key acts for no platform.

    Args:
        settings: the blocked statuses, and what to do while a status is not known.
        statuses: knows what the registry says; None if there is no registry.
    """

    def __init__(self, settings: LifecycleSettings, *, statuses: PlatformStatusSource | None) -> None:
        self._blocked = frozenset(settings.blocked)
        self._deny_unknown = settings.on_unknown == "deny"
        self._statuses = statuses

    def __call__(self, exchange: Exchange, proceed: Proceed) -> Deferred[Response]:
        """Check the platform and go on.

        Raises:
            PlatformSuspended: the platform's status is blocked.
            ServiceUnavailable: its status is not known, and ``on_unknown`` is "deny".
        """
        identity = exchange.identity
        if identity is None or identity.platform_id is None or identity.kind == "service":
            return proceed()
        status = identity.platform_status
        if status is None and self._statuses is not None:
            found = self._statuses.status(identity.platform_id, exchange)
            if isinstance(found, Deferred):
                return found.addCallback(self._decide, proceed)
            status = found
        return self._decide(status, proceed)

    def _decide(self, status: str | None, proceed: Proceed) -> Deferred[Response]:
        if status in self._blocked:
            raise PlatformSuspended(reason=f"the platform's status is {status}")
        if status is None and self._deny_unknown:
            raise ServiceUnavailable(reason="the platform's status is not known", retry_after=_RETRY_AFTER)
        return proceed()
