"""The command line of ``twistd nnogw``."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from twisted.application.service import Application, IServiceMaker, MultiService
from twisted.logger import ILogObserver
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from nnogw import __version__, tap
from nnogw.lifecycle.service import DemoService, GatewayService
from nnogw.lifecycle.signals import Signals
from nnogw.lifecycle.start_errors import StartError
from nnogw.observability import program_log
from nnogw.observability.line_writer import Opened
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
        server = self.parsed("--config", str(path), "--listen", listen[0], "-l", listen[1], "--admin", "")["loaded"].settings.server
        self.assertEqual((list(server.listen), server.admin, server.access_log), (listen, "", str(Path("x").absolute())))

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

    def refused(self, *arguments: str, parent: usage.Options | None = None) -> str:
        """Return the one line with which `arguments` are refused; the exit status is 1, and nothing is on standard output."""
        options = Options()
        options.parent = parent
        end = self.assertRaises(SystemExit, options.parseOptions, arguments)
        (line,) = self.err.getvalue().splitlines()
        self.assertEqual((end.code, self.out.getvalue()), (1, ""))
        self.err.truncate(0)
        self.err.seek(0)
        return line

    def test_each_mistake_on_the_command_line_is_one_line(self) -> None:
        """Instead of all that could have been typed."""
        for arguments, line in (
            (["--lisen", "x"], "unknown option --lisen, did you mean --listen?"),
            (["-z"], "unknown option -z; twistd nnogw --help lists the options"),
            (["--config"], "--config needs a value; twistd nnogw --help lists the options"),
            (["-l"], "-l needs a value; twistd nnogw --help lists the options"),
            (["--demo=yes"], "--demo takes no value"),
            (["--demo", "nnogw.toml"], "unexpected argument nnogw.toml; a configuration file is given as --config nnogw.toml"),
            (["-config", "x"], "-config: a long option has two dashes, expected --config"),
        ):
            self.assertEqual(self.refused(*arguments), f"nnogw: {line}")

    def test_twistds_options_are_known_from_twistd(self) -> None:
        """Those of the version that runs."""
        parent = ServerOptions()
        for option in ("-n", "--nodaemon", "--pidfile", "--logfile", "--uid", "--rundir"):
            self.assertTrue(
                self.refused(option, parent=parent).startswith(f"nnogw: {option} is an option of twistd and goes before nnogw"), option
            )

    def test_a_pid_file_that_cannot_be_made_is_one_line(self) -> None:
        """Twistd would end in a traceback, and makes one where nobody has asked for it."""
        parent = ServerOptions()
        parent["pidfile"] = "/nowhere/nnogw.pid"
        self.assertEqual(
            self.refused(parent=parent),
            "nnogw: cannot write the pid file /nowhere/nnogw.pid: folder /nowhere does not exist; "
            "use twistd --pidfile=FILE nnogw, or twistd --pidfile= nnogw for none",
        )
        for good in ("", self.mktemp(), __file__):
            parent["pidfile"] = good
            options = Options()
            options.parent = parent
            options.parseOptions([])

    def test_the_demo_stays_in_the_foreground(self) -> None:
        """What it prints is for the terminal."""
        for arguments, nodaemon in ((["--demo"], True), ([], False)):
            options = Options()
            options.parent = ServerOptions()
            options.parseOptions(arguments)
            self.assertEqual((bool(options.parent["nodaemon"]), options.detaches), (nodaemon, not nodaemon))

    def test_the_log_of_a_daemon_is_named(self) -> None:
        """As twistd's options have it."""
        options = Options()
        options.parent = ServerOptions()
        self.assertEqual(options.log_name, "twistd.log")
        options.parent["logfile"] = "/var/log/nnogw"
        self.assertEqual(options.log_name, "/var/log/nnogw")
        options.parent["syslog"] = True
        self.assertEqual(options.log_name, "where twistd's options lead it")

    def test_a_failed_start_is_one_line_and_a_bug_is_not(self) -> None:
        """Twistd's own files included. The traceback of a bug is what its finder needs."""
        shown: list[str] = []
        show = tap._one_line_for_operators(shown.append, None)
        show(StartError, StartError("cannot listen"), None)
        show(PermissionError, PermissionError(13, "Permission denied", "/twistd.pid"), None)
        twistds = "(--pidfile, --logfile and --rundir are options of twistd)"
        self.assertEqual(shown, ["nnogw: cannot listen\n", f"nnogw: cannot start: /twistd.pid: Permission denied {twistds}\n"])
        self.assertEqual(self.err.getvalue(), "")
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

        def closed(stream: int) -> Opened:
            opened.append(stream)
            raise OSError

        self.patch(program_log, "open_standard", closed)
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
