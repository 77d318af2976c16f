"""``POST /-/reload``: let the configuration as it is now take over, as HUP does."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from nnogw.admin.pages import Request, json
from nnogw.interfaces import ReloadRefused

log = Logger()


class ReloadPage:
    """Answers reloads: with what is different, or with why nothing has changed (500, as Prometheus does it).

    Args:
        reload: lets the configuration take over, and returns what is different, a line each.
    """

    def __init__(self, reload: Callable[[], list[str]]) -> None:
        self._reload = reload

    def __call__(self, request: Request) -> bytes:
        """Reload, and say what came of it."""
        try:
            changes = self._reload()
        except ReloadRefused as refused:
            for problem in refused.problems:
                log.error("POST /-/reload changes nothing: {problem}", problem=problem)
            return json(request, {"reloaded": False, "problems": list(refused.problems)}, 500)
        return json(request, {"reloaded": True, "changes": changes})
