"""``twistd nnogw``: the command line, and the service that it starts. The only place that knows the global reactor."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import Logger
from twisted.python import usage

from nnogw import __version__
from nnogw.loading import ConfigurationError, load, warnings
from nnogw.process import prepare
from nnogw.service import DemoService, GatewayService, Signals, StartError

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

    prepare(reactor)
    sys.excepthook = _one_line_for_operators
    settings = options["settings"]
    for warning in warnings(settings) if not options["demo"] else ():
        log.warn("{caution}", caution=warning)
    served: GatewayService | DemoService = DemoService(settings, reactor, _show) if options["demo"] else GatewayService(settings, reactor)
    service: Any = MultiService()  # an IService by declaration, which mypy cannot see
    served.setServiceParent(service)
    Signals(served, reactor).setServiceParent(service)
    return service  # type: ignore[no-any-return]  # as above


def _show(text: str) -> None:
    """Print `text` where the program was started; twistd has taken ``sys.stdout`` for its log."""
    stream = sys.__stdout__
    if stream is not None:
        stream.write(text)
        stream.flush()


def _one_line_for_operators(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, StartError):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
