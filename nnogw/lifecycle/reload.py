"""Reload: another configuration takes over, without a lost request. Either all of it counts, or nothing has changed."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence

from twisted.logger import Logger

from nnogw.interfaces import DelayedCall, ReloadRefused
from nnogw.lifecycle.generation import Generation, adopt, build, keep_metrics
from nnogw.lifecycle.listeners import CLIENTS, Listener, Listeners, Prepared, Wanted
from nnogw.lifecycle.process import settle_again
from nnogw.lifecycle.shared import Shared
from nnogw.lifecycle.start_errors import StartError, no_log
from nnogw.loading import ConfigurationError, Loaded, differences
from nnogw.observability.line_writer import Opened
from nnogw.observability.log_file import open_log
from nnogw.settings import ServerSettings
from nnogw.upstream.binding import BadBinding
from nnogw.wire.site import GatewaySite

log = Logger()

#: Seconds after the last request of an old generation until the garbage collector is given what the generation was made of.
#: Several reloads in a row cost one collection (25 to 150 ms).
SETTLE_AFTER = 5.0


class Reload:
    """Replaces the configuration of a running gateway.

    It runs within one turn of the reactor, so that of two reloads the second waits for the first.

    Args:
        load: reads the configuration anew.
        shared: what survives.
        site: has the generation that serves.
        listeners: the listening sockets.
        wanted: returns the listeners that settings ask for.
        first: the generation that the gateway starts with.
        warnings: what the log has said of its configuration already.

    Attributes:
        generation: the one that serves.
        changed_at: Unix seconds at which the generation that serves took over.
        retiring: how many earlier generations still have requests under way.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        shared: Shared,
        site: GatewaySite,
        listeners: Listeners,
        wanted: Callable[[ServerSettings], list[Wanted]],
        first: Generation,
        warnings: Sequence[str] = (),
    ) -> None:
        self.generation = first
        self.changed_at = time.time()
        self.retiring = 0
        self._load = load
        self._shared = shared
        self._site = site
        self._listeners = listeners
        self._wanted = wanted
        self._warnings: Sequence[str] = warnings
        self._settling: DelayedCall | None = None
        self._closed = False

    def __call__(self) -> list[str]:
        """Let the configuration as it is now take over, and return what is different, a line each.

        Raises:
            ReloadRefused: the configuration is not good. Nothing has changed then.
        """
        before = self.generation
        # All that can fail.
        generation, sockets, opened, warnings = self._prepare(before)
        # The one assignment: every request whose head is complete from now on is answered by the new generation, every other by the old.
        self._site.renew(generation)
        # What cannot fail: the process keeps to the new generation, and lets go of the old one.
        self.generation = generation
        self.changed_at = time.time()
        adopt(generation, self._shared, before)
        if opened is not None:
            self._shared.log.move(generation.settings.server.access_log, opened)
        self._listeners.use(sockets, closed=self._retire_connections)
        self._shared.ledger.end("reload-failed", "configuration")
        self._let_go(before)
        for warning in warnings:
            if warning not in self._warnings:
                log.warn("{line}", line=warning)
        self._warnings = warnings
        return [*differences(before.settings, generation.settings), *_other_files(before, generation, sockets)]

    def close(self) -> None:
        """Leave no timer behind, now and later."""
        self._closed = True
        self._cancel()

    def _prepare(self, before: Generation) -> tuple[Generation, Prepared, Opened | None, Sequence[str]]:
        """Load, build, bind, open; whatever fails, nothing is left of it."""
        try:
            loaded = self._load()
            generation = build(loaded, self._shared, before)
            sockets = self._listeners.prepare(self._wanted(loaded.settings.server))
            try:
                opened = self._open_log(before.settings.server.access_log, loaded.settings.server.access_log)
            except Exception:
                sockets.undo()
                raise
        except ConfigurationError as error:
            raise self._refused(str(error).splitlines()) from None
        except (StartError, BadBinding) as error:
            raise self._refused([str(error)]) from None
        except Exception:
            log.failure("a bug while the configuration was read")
            raise self._refused(["a bug, see the program's log"]) from None
        return generation, sockets, opened, loaded.warnings

    def _open_log(self, before: str, path: str) -> Opened | None:
        """Open the request log at `path`; None if it is the one that is open already."""
        if path == before:
            return None
        try:
            return open_log(path)
        except OSError as error:
            raise no_log(path, error) from None

    def _refused(self, problems: Sequence[str]) -> ReloadRefused:
        self._shared.ledger.begin("reload-failed", "configuration", problems[0])
        return ReloadRefused(problems)

    def _retire_connections(self, listener: Listener) -> None:
        if listener.purpose is CLIENTS:
            self._site.retire(listener.port)

    def _let_go(self, before: Generation) -> None:
        """Notice when the last request of `before` has ended: from then on, nothing holds it."""
        self.retiring += 1
        weakref.finalize(before, self._gone).atexit = False

    def _gone(self) -> None:
        """An earlier generation is gone. This is called wherever its last reference went, so that nothing is done here but to count."""
        self.retiring -= 1
        self._cancel()
        if not self._closed:
            self._settling = self._shared.clock.callLater(SETTLE_AFTER, self._settle)

    def _cancel(self) -> None:
        settling, self._settling = self._settling, None
        if settling is not None:
            settling.cancel()

    def _settle(self) -> None:
        self._settling = None
        keep_metrics(self.generation, self._shared)  # the last requests have counted for routes that there are no more
        settle_again()


def _other_files(before: Generation, after: Generation, sockets: Prepared) -> Iterator[str]:
    """Yield a line for whatever has other certificates, under the same names."""
    for name, service in after.services.items():
        earlier = before.services.get(name)
        if service is not None and earlier is not None and service.address.key.files != earlier.address.key.files:
            yield f"services.{name}: other files of TLS"
    for description in sockets.renewed:
        yield f"{description}: another certificate"
