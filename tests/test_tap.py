"""The command line of ``twistd nnogw``."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from twisted.application.service import Application, IServiceMaker, MultiService
from twisted.logger import ILogObserver
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from nnogw import __version__, tap
from nnogw.listeners import StartError
from nnogw.observability.program_log import ProgramLog
from nnogw.service import DemoService, GatewayService
from nnogw.signals import Signals
from nnogw.tap import Options, makeService


class CommandLine(SynchronousTestCase):
    """What a person types, and what is said to it."""

    def setUp(self) -> None:
        self.patch(tap.os, "environ", {"AUTH_API_KEY": "k"})
        self.out, self.err = StringIO(), StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def parsed(self, *arguments: str) -> Options:
        """Return the options that `arguments` make."""
        options = Options()
        options.parseOptions(arguments)
        return options

    def test_options_go_before_the_file(self) -> None:
        """And listeners add up."""
        path = Path(self.mktemp())
        path.write_text('[server]\nlisten = ["tcp:1:interface=127.0.0.1"]\naccess_log = "x"\n')
        listen = ["tcp:2:interface=127.0.0.1", "unix:/tmp/x.sock"]
        server = self.parsed("--config", str(path), "--listen", listen[0], "-l", listen[1], "--admin", "")["settings"].server
        self.assertEqual((list(server.listen), server.admin, server.access_log), (listen, "", "x"))

    def test_the_version_is_told(self) -> None:
        """Of the gateway, not of Twisted."""
        end = self.assertRaises(SystemExit, self.parsed, "--version")
        self.assertEqual((end.code, self.out.getvalue()), (0, f"nnogw {__version__}\n"))

    def test_each_mistake_is_a_line_on_standard_error(self) -> None:
        """And the exit status is 1."""
        path = Path(self.mktemp())
        path.write_text("[server]\nlisen = 1\n[limits]\nmax_body = -1\n")
        end = self.assertRaises(SystemExit, self.parsed, "--config", str(path))
        lines = self.err.getvalue().splitlines()
        self.assertEqual((end.code, len(lines)), (1, 2))
        self.assertTrue(all(line.startswith("nnogw: ") for line in lines), lines)

    def test_an_unknown_option_is_a_usage_error(self) -> None:
        """As everywhere in twistd."""
        self.assertRaises(UsageError, self.parsed, "--lisen", "x")

    def test_a_failed_start_is_one_line_and_a_bug_is_not(self) -> None:
        """The traceback of a bug is what its finder needs."""
        shown: list[str] = []
        show = tap._one_line_for_operators(shown.append)
        show(StartError, StartError("nnogw: cannot listen"), None)
        self.assertEqual((shown, self.err.getvalue()), (["nnogw: cannot listen\n"], ""))
        show(ValueError, ValueError("a bug"), None)
        self.assertIn("ValueError: a bug", self.err.getvalue())

    def test_a_failed_start_is_told_in_twistds_log_and_on_the_terminal(self) -> None:
        """Once where both are the same."""
        terminal = StringIO()
        self.patch(sys, "__stderr__", terminal)
        tap._print_and_log("nnogw: cannot listen\n")
        self.assertEqual((self.err.getvalue(), terminal.getvalue()), ("nnogw: cannot listen\n", "nnogw: cannot listen\n"))
        self.patch(sys, "__stderr__", self.err)
        tap._print_and_log("nnogw: again\n")
        self.assertEqual(self.err.getvalue(), "nnogw: cannot listen\nnnogw: again\n")


class TheService(SynchronousTestCase):
    """What the options become."""

    def setUp(self) -> None:
        self.patch(tap.os, "environ", {"AUTH_API_KEY": "k"})
        self.patch(tap, "prepare", lambda reactor: None)
        self.patch(Signals, "install", lambda signals: self.installed.append(signals))
        self.patch(sys, "excepthook", sys.excepthook)
        self.installed: list[Signals] = []

    def made(self, *arguments: str, twistd: dict[str, object] | None = None) -> MultiService:
        """Return the service that `arguments` make, below twistd's own options."""
        options = Options()
        options.parent = twistd
        options.parseOptions(arguments)
        service = makeService(options)
        self.assertIsInstance(service, MultiService)
        return service

    def test_it_is_its_signals_and_a_gateway(self) -> None:
        """Or a demo. The signals come first: nothing listens before they are taken."""
        self.assertEqual([type(part) for part in self.made("--admin", "")], [Signals, GatewayService])
        self.assertEqual([type(part) for part in self.made("--demo")], [Signals, DemoService])
        self.assertEqual(len(self.installed), 2)

    def test_in_the_foreground_the_log_goes_to_standard_error(self) -> None:
        """Unless twistd's options say something else: those go first."""
        foreground = {"nodaemon": True}
        opened: list[int] = []
        self.patch(ProgramLog, "open_standard", lambda log, descriptor: opened.append(descriptor))
        for twistd, stream in (
            (foreground, 2),
            ({**foreground, "logfile": "-"}, 1),
            ({**foreground, "logfile": "gateway.log"}, None),
            ({**foreground, "syslog": True}, None),
            ({**foreground, "logger": object}, None),
            ({"logfile": "gateway.log"}, None),
            (None, None),
        ):
            opened.clear()
            application = Application("test")
            self.made(twistd=twistd).setServiceParent(application)
            observer = application.getComponent(ILogObserver, None)
            self.assertEqual(observer is not None, stream is not None, twistd)
            if stream is not None:
                observer({"log_format": "a word"})
                self.assertEqual(opened, [stream])

    def test_it_may_be_a_part_of_something_else(self) -> None:
        """Then the log is another's business."""
        whole = MultiService()
        self.made(twistd={"nodaemon": True}).setServiceParent(whole)
        self.assertEqual(len(list(whole)), 1)

    def test_twistd_knows_it(self) -> None:
        """By the plugin."""
        (maker,) = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "nnogw"]
        self.assertEqual((maker.module, maker.options), ("nnogw.tap", Options))
