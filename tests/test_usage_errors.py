"""What is said of a command line that cannot be understood: one line, and what to type instead."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.usage_errors import KnownOptions, argument_error, option_error

OURS = KnownOptions(["config=", "admin=", "listen=", "demo", "help", "version"], "c:a:l:")
TWISTDS = KnownOptions(["nodaemon", "pidfile=", "logfile=", "uid="], "nl:u:")


class OptionErrors(SynchronousTestCase):
    """An option that the parser has refused."""

    def said(self, option: str, *arguments: str) -> str:
        """Return what is said of `option` on a command line of `arguments`, or of itself alone."""
        return option_error(option, arguments or (option,), OURS, TWISTDS)

    def test_a_misspelt_option_is_answered_with_the_nearest(self) -> None:
        """Most are."""
        self.assertEqual(self.said("--lisen"), "unknown option --lisen, did you mean --listen?")

    def test_without_a_near_one_all_are_named(self) -> None:
        """There are six."""
        self.assertEqual(self.said("--foo"), "unknown option --foo, expected one of --admin, --config, --demo, --help, --listen, --version")

    def test_an_unknown_letter_is_answered_with_where_all_are(self) -> None:
        """No letter is near another."""
        self.assertEqual(self.said("-z"), "unknown option -z; twistd nnogw --help lists the options")

    def test_twistds_own_options_go_before_the_command(self) -> None:
        """With a value where they take one."""
        goes = "is an option of twistd and goes before nnogw: twistd"
        self.assertEqual(self.said("-n"), f"-n {goes} -n nnogw")
        self.assertEqual(self.said("-u"), f"-u {goes} -u VALUE nnogw")
        self.assertEqual(self.said("--nodaemon"), f"--nodaemon {goes} --nodaemon nnogw")
        self.assertEqual(self.said("--pidfile"), f"--pidfile {goes} --pidfile=VALUE nnogw")

    def test_a_misspelt_option_of_twistd_is_answered_with_it(self) -> None:
        """And with where it goes."""
        self.assertEqual(
            self.said("--no-daemon"), "unknown option --no-daemon; did you mean twistd's own --nodaemon, which goes before nnogw?"
        )

    def test_an_option_without_its_value_is_told_so(self) -> None:
        """A letter, a name, the beginning of a name."""
        for option in ("-c", "-l", "--config", "--conf"):
            self.assertEqual(self.said(option), f"{option} needs a value; twistd nnogw --help lists the options")

    def test_a_value_for_an_option_that_takes_none_is_told_so(self) -> None:
        """As for ``--demo=yes``."""
        self.assertEqual(self.said("--demo"), "--demo takes no value")

    def test_a_long_option_has_two_dashes(self) -> None:
        """The parser sees the letters of another option, or twistd's."""
        self.assertEqual(self.said("-d", "-demo"), "-demo: a long option has two dashes, expected --demo")
        self.assertEqual(self.said("-c", "-n", "-config=x"), "-config=x: a long option has two dashes, expected --config=x")


class ArgumentErrors(SynchronousTestCase):
    """A word that belongs to no option."""

    def said(self, stray: str, *arguments: str) -> str:
        """Return what is said of `stray` on a command line of `arguments`, or alone."""
        return argument_error(arguments or (stray,), stray, OURS)

    def test_a_configuration_file_is_given_as_an_option(self) -> None:
        """The most frequent mistake."""
        self.assertEqual(self.said("a/b.toml"), "unexpected argument a/b.toml; a configuration file is given as --config a/b.toml")

    def test_the_name_of_an_option_has_dashes(self) -> None:
        """As subcommands elsewhere have none."""
        self.assertEqual(self.said("demo"), "unexpected argument demo, did you mean --demo?")

    def test_anything_else_is_unexpected(self) -> None:
        """There are only options."""
        self.assertEqual(self.said("x"), "unexpected argument x; only options can follow nnogw, and twistd nnogw --help lists the options")

    def test_the_value_of_a_long_option_with_one_dash_is_not_to_blame(self) -> None:
        """``-config x`` is read as ``-c onfig`` and a word."""
        self.assertEqual(self.said("x", "-config", "x"), "-config: a long option has two dashes, expected --config")
