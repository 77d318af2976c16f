"""``twistd nnogw``: the command line, and the service that it starts. The only place that knows the global reactor."""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NoReturn

from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from nnogw import __version__
from nnogw.interfaces import Reactor
from nnogw.lifecycle.detaching import Detachment
from nnogw.lifecycle.process import hold_standard_streams, prepare
from nnogw.lifecycle.service import DemoService, GatewayService
from nnogw.lifecycle.signals import Signals
from nnogw.lifecycle.start_errors import StartError
from nnogw.loading import ConfigurationError, Loaded, Source
from nnogw.observability.program_log import STANDARD_ERROR, STANDARD_OUTPUT, ProgramLog
from nnogw.usage_errors import KnownOptions, argument_error, option_error

log = Logger()


class Options(usage.Options):
    """The options of ``twistd nnogw``."""

    synopsis = "[--config FILE] [--listen ENDPOINT]... [--admin ENDPOINT] [--demo]"
    longdesc = (
        "Start the NNO Gateway: it routes, authenticates, limits and forwards what arrives under /api/v1. "
        "Without options it listens on http://127.0.0.1:8787 and finds its services in the environment (NNO_IAM, NNO_IAM_URL, ...). "
        "An option overrides the environment, the environment overrides the file. Try it with --demo, which needs nothing else."
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

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line; what is wrong with it is said in one line, instead of in twistd's pages of help."""
        hold_standard_streams()
        self._arguments = [*(sys.argv[1:] if options is None else options)]
        try:
            super().parseOptions(self._arguments)
        except usage.UsageError as error:
            refused = error.__context__
            _end(self._option_error(refused) if isinstance(refused, getopt.GetoptError) else str(error))

    def parseArgs(self, *stray: str) -> None:
        """Refuse words that belong to no option."""
        if stray:
            raise usage.UsageError(argument_error(self._arguments, stray[0], _known(self)))

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
        self["source"] = Source(
            self["config"],
            os.environ,
            listen=self["listen"],
            admin=self["admin"],
            demo=bool(self["demo"]),
            detaches=self.detaches,
            folder=_working_folder(),
        )
        try:
            self["loaded"] = self["source"].load()
        except ConfigurationError as error:
            _end(str(error))
        if self.parent is not None:
            _check_pidfile(self.parent)
            if self["demo"]:
                self.parent["nodaemon"] = True  # what it prints is for the terminal

    @property
    def detaches(self) -> bool:
        """Whether twistd is about to put the process into the background, where its standard output leads nowhere."""
        return self.parent is not None and not (self.parent.get("nodaemon", True) or self.parent["debug"])

    @property
    def log_name(self) -> str:
        """Where the log of a daemon goes."""
        if self.parent is None or self.parent.get("syslog") or self.parent["logger"]:
            return "where twistd's options lead it"
        return str(self.parent["logfile"] or "twistd.log")

    def _option_error(self, refused: getopt.GetoptError) -> str:
        dashes = "--" if f"--{refused.opt}" in refused.msg else "-"
        twistds = KnownOptions() if self.parent is None else _known(self.parent)
        return option_error(dashes + refused.opt, self._arguments, _known(self), twistds)


def makeService(options: Options) -> IService:
    """Return the service that `options` describe."""
    from twisted.internet import reactor as installed

    reactor: Reactor = installed  # type: ignore[assignment]  # one on POSIX has what Twisted does not promise of every reactor
    signals = Signals(reactor)
    signals.install()
    prepare(reactor)
    detachment = Detachment(reactor, options.log_name) if options.detaches else None
    terminal = ProgramLog(STANDARD_ERROR, reactor)
    program_log = _program_log(options.parent or {}, terminal, reactor)
    sys.excepthook = _one_line_for_operators(terminal.show if program_log is terminal else _print_and_log, detachment)
    source: Source = options["source"]
    loaded: Loaded = options["loaded"]
    log.info("nnogw {version}, configured by {source}", version=__version__, source=source.name)
    for warning in loaded.warnings:
        log.warn("{line}", line=warning)
        if options.detaches:  # its terminal is not there any more when the log begins
            print(f"nnogw: warning: {warning}", file=sys.stderr)
    load = source.load
    served = DemoService(loaded, load, reactor, terminal.show) if source.demo else GatewayService(loaded, load, reactor)
    signals.serve(served)
    service = Program(program_log)
    signals.setServiceParent(service)
    served.setServiceParent(service)
    return service


class Program(MultiService):
    """Everything that the process runs.

    Args:
        program_log: where twistd is to write its log; None leaves that to twistd.
    """

    def __init__(self, program_log: ProgramLog | None) -> None:
        super().__init__()
        self._program_log = program_log

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Become a part of the application, of whose log observer twistd asks before it begins to log."""
        super().setServiceParent(parent)
        if self._program_log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._program_log)


def _program_log(twistd: Mapping[str, object], terminal: ProgramLog, reactor: Reactor) -> ProgramLog | None:
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


def _one_line_for_operators(
    show: Callable[[str], None], detachment: Detachment | None
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return an ``excepthook``: what an operator can do something about is shown as one line, anything else with its traceback."""

    def show_exception(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        line = _why(error)
        if line:
            show(f"{line}\n")
        else:
            sys.__excepthook__(kind, error, traceback)
        if detachment is not None:
            detachment.failed(line or " ".join(f"nnogw: the start failed: {kind.__name__}: {error}".splitlines()))

    return show_exception


def _why(error: BaseException) -> str:
    """Return why the gateway did not start; empty for what only a bug explains."""
    if isinstance(error, StartError):
        return f"nnogw: {error}"
    if isinstance(error, OSError) and isinstance(error.filename, str):  # twistd's own files
        return f"nnogw: cannot start: {error.filename}: {error.strerror} (--pidfile, --logfile and --rundir are options of twistd)"
    return ""


def _working_folder() -> str:
    """Return the folder in which the process was started; empty if it is gone, as relative paths then lead nowhere."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _check_pidfile(twistds: Mapping[str, str | None]) -> None:
    """Refuse a pid file that cannot be made: twistd would end in a traceback, also where nobody has asked for one."""
    path = os.path.abspath(twistds.get("pidfile") or os.devnull)
    folder = os.path.dirname(path)
    if twistds.get("chroot") or os.path.lexists(path) or os.access(folder, os.W_OK | os.X_OK):
        return
    why = "may not be written to" if os.path.isdir(folder) else "does not exist"
    _end(f"cannot write the pid file {path}: folder {folder} {why}; use twistd --pidfile=FILE nnogw, or twistd --pidfile= nnogw for none")


def _end(problems: str) -> NoReturn:
    """Say what is wrong with the command line or the configuration, and end."""
    for line in problems.splitlines():
        print(f"nnogw: {line}", file=sys.stderr)
    raise SystemExit(1)


def _known(options: usage.Options) -> KnownOptions:
    """Return the names of `options`, which Twisted keeps for `getopt`."""
    return KnownOptions(options.longOpt, options.shortOpt)
