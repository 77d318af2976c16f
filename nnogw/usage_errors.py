"""What is wrong with a command line, in one line, and what to type instead. Pure: no option is carried out here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from attrs import frozen

_HELP = "twistd nnogw --help lists the options"


@frozen
class KnownOptions:
    """The options of a command, as `getopt` has them.

    Attributes:
        long: the long ones, without dashes; those that take a value end in ``=``.
        short: the short ones; those that take a value are followed by ``:``.
    """

    long: Sequence[str] = ()
    short: str = ""

    @property
    def names(self) -> list[str]:
        """The long ones, without dashes and ``=``."""
        return [option.rstrip("=") for option in self.long]


def option_error(option: str, arguments: Sequence[str], ours: KnownOptions, twistds: KnownOptions) -> str:
    """Return what is wrong with an option that `getopt` has refused.

    Args:
        option: the option with its dashes, such as ``-n`` or ``--lisen``.
        arguments: everything that stands after ``nnogw``.
        ours: the options of ``twistd nnogw``.
        twistds: the options of ``twistd`` itself.
    """
    one_dash = _one_dash(arguments, ours)
    if one_dash:
        return one_dash
    name = option.lstrip("-")
    if not option.startswith("--"):
        if name in ours.short:
            return f"{option} needs a value; {_HELP}"
        if name in twistds.short:
            return _goes_before(option, " VALUE" if f"{name}:" in twistds.short else "")
        return f"unknown option {option}; {_HELP}"
    meant = [known for known in ours.long if known.startswith(name)]  # getopt takes an abbreviation
    if len(meant) == 1:
        return f"{option} needs a value; {_HELP}" if meant[0].endswith("=") else f"{option} takes no value"
    if name in twistds.names:
        return _goes_before(option, "" if name in twistds.long else "=VALUE")
    near = difflib.get_close_matches(name, [*ours.names, *twistds.names], n=1)
    if not near:
        return f"unknown option {option}, expected one of {', '.join(f'--{known}' for known in sorted(ours.names))}"
    if near[0] in ours.names:
        return f"unknown option {option}, did you mean --{near[0]}?"
    return f"unknown option {option}; did you mean twistd's own --{near[0]}, which goes before nnogw?"


def argument_error(arguments: Sequence[str], stray: str, ours: KnownOptions) -> str:
    """Return what is wrong with a word that belongs to no option.

    Args:
        arguments: everything that stands after ``nnogw``.
        stray: the word.
        ours: the options of ``twistd nnogw``.
    """
    one_dash = _one_dash(arguments, ours)
    if one_dash:
        return one_dash
    if stray in ours.names:
        return f"unexpected argument {stray}, did you mean --{stray}?"
    if stray.endswith(".toml"):
        return f"unexpected argument {stray}; a configuration file is given as --config {stray}"
    return f"unexpected argument {stray}; only options can follow nnogw, and {_HELP}"


def _one_dash(arguments: Sequence[str], ours: KnownOptions) -> str:
    """Return what to say of an option such as ``-config``, which `getopt` takes for ``-c`` with the value ``onfig``."""
    for argument in arguments:
        name = argument[1:].partition("=")[0]
        if argument[:1] == "-" and len(name) > 1 and name in ours.names:
            return f"{argument}: a long option has two dashes, expected -{argument}"
    return ""


def _goes_before(option: str, value: str) -> str:
    return f"{option} is an option of twistd and goes before nnogw: twistd {option}{value} nnogw"
