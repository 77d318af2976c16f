"""``twistd nnogw``: the command line, and the service that it starts. The only place that knows the global reactor."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from nnogw import __version__
from nnogw.listeners import StartError
from nnogw.loading import ConfigurationError, load, warnings
from nnogw.observability.program_log import STANDARD_ERROR, STANDARD_OUTPUT, ProgramLog
from nnogw.process import prepare
from nnogw.service import DemoService, GatewayService
from nnogw.signals import Signals

log = Logger()


class Options(usage.Options):
    """The options of ``twistd nnogw``."""

    synopsis = "[--config FILE] [--listen ENDPOINT]... [--admin ENDPOINT] [--demo]"
    longdesc = (
        "Start the NNO Gateway: it routes, authenticates, limits and forwards what arrives under /api/v1. "
        "Without options it listens on http://127.0.0.1:8787 and finds its services in the environment (NNO_IAM, NNO_IAM_URL, ...). "
        "An option goes before the environment, the environment before the file. Try it with --demo, which needs nothing else."
    )
    optFlags = (  # noqa: N815  Twisted's name
        ["demo", None, "Start a small platform in this process, and print curl lines to try."],
    )
    optParameters = (  # noqa: N815  Twisted's name
        ["config", "c", None, "The configuration: a TOML file."],
        ["admin", "a", None, 'Where metrics, status and purge are served, never publicly: an endpoint string; "" for nowhere.'],
    )

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen, such as tcp:8787:interface=127.0.0.1 or unix:/run/nnogw.sock; may be given several times."""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def opt_version(self) -> None:
        """Print the version of nnogw and exit."""
        print("nnogw", __version__)
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration; what is wrong with it is said in plain lines, before anything starts."""
        try:
            self["settings"] = load(self["config"], os.environ, listen=self["listen"], admin=self["admin"], demo=bool(self["demo"]))
        except ConfigurationError as error:
            for line in str(error).splitlines():
                print(f"nnogw: {line}", file=sys.stderr)
            raise SystemExit(1) from None


def makeService(options: Options) -> IService:
    """Return the service that `options` describe."""
    from twisted.internet import reactor

    signals = Signals(reactor)
    signals.install()
    prepare(reactor)
    terminal = ProgramLog(STANDARD_ERROR, reactor)
    program_log = _program_log(options.parent or {}, terminal, reactor)
    sys.excepthook = _one_line_for_operators(terminal.show if program_log is terminal else _print_and_log)
    settings = options["settings"]
    source = options["config"] or "the defaults and the environment"
    log.info("nnogw {version}, configured by {source}", version=__version__, source=source)
    for warning in warnings(settings) if not options["demo"] else ():
        log.warn("{caution}", caution=warning)
    served = DemoService(settings, reactor, terminal.show) if options["demo"] else GatewayService(settings, reactor)
    signals.serve(served)
    service: Any = Program(program_log)  # an IService by declaration, which mypy cannot see
    signals.setServiceParent(service)
    served.setServiceParent(service)
    return service  # type: ignore[no-any-return]  # as above


class Program(MultiService):
    """Everything that the process runs.

    Args:
        program_log: where twistd is to write its log; None leaves that to twistd.
    """

    def __init__(self, program_log: ProgramLog | None) -> None:
        super().__init__()
        self._program_log = program_log

    def setServiceParent(self, parent: Any) -> None:
        """Become a part of the application, of whose log observer twistd asks before it begins to log."""
        super().setServiceParent(parent)
        if self._program_log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._program_log)


def _program_log(twistd: Mapping[str, Any], terminal: ProgramLog, reactor: Any) -> ProgramLog | None:
    """Return where the program's log goes: to standard error in the foreground; None if twistd's options say something else."""
    if not twistd.get("nodaemon") or twistd.get("syslog") or twistd.get("logger"):
        return None
    if twistd.get("logfile") == "-":
        return ProgramLog(STANDARD_OUTPUT, reactor)
    return None if twistd.get("logfile") else terminal


def _print_and_log(text: str) -> None:
    """Say `text` where the program was started, and in the log: twistd has taken ``sys.stderr`` for it once it logs."""
    for stream in dict.fromkeys([sys.stderr, sys.__stderr__]):
        if stream is not None:
            stream.write(text)
            stream.flush()


def _one_line_for_operators(show: Callable[[str], None]) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return an ``excepthook`` that shows a `StartError` as one line, and anything else with its traceback."""

    def show_exception(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, StartError):
            show(f"{error}\n")
        else:
            sys.__excepthook__(kind, error, traceback)

    return show_exception
