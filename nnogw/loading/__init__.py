"""From a file, the environment and the command line to `Settings`: everything that is wrong is said at once, in lines for an operator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from nnogw.loading.consistency import check_consistency
from nnogw.loading.differences import differences
from nnogw.loading.document import ConfigurationError, Document
from nnogw.loading.service_keys import find_service_keys
from nnogw.loading.sources import read_environment, read_file, read_options
from nnogw.loading.structuring import structure
from nnogw.loading.tls_files import tls_files
from nnogw.loading.warnings import find_warnings
from nnogw.settings import Settings
from nnogw.upstream.tls import TlsFiles

__all__ = ["ConfigurationError", "Loaded", "Source", "differences", "load"]


@frozen
class Loaded:
    """A configuration that has been read: everything that is needed from outside the process.

    Attributes:
        settings: the options.
        tls_files: service → what is in the files that its binding names.
        warnings: what it may say, but its operator should know, a line each.
    """

    settings: Settings
    tls_files: Mapping[str, TlsFiles] = field(factory=dict)
    warnings: tuple[str, ...] = ()


@frozen
class Source:
    """Where the configuration comes from: it can be read again and again.

    Attributes:
        path: the TOML file; None for none.
        environ: the environment.
        listen: what the command line says of ``server.listen``; empty if it says nothing.
        admin: what it says of ``server.admin``; None if it says nothing.
        demo: the demo sets a service key of its own, so that a missing one opens nothing.
        detaches: the process goes into the background, where standard output leads nowhere.
        folder: what relative paths of the file, of the request log and of the key file count from.
    """

    path: str | None
    environ: Mapping[str, str] = field(repr=False)  # may hold keys
    listen: Sequence[str] = ()
    admin: str | None = None
    demo: bool = False
    detaches: bool = False
    folder: str = ""

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return self.path or "the defaults and the environment"

    def load(self) -> Loaded:
        """Read the configuration.

        Raises:
            ConfigurationError: with a line for each problem.
        """
        path = None if self.path is None else os.path.join(self.folder, self.path)
        settings = load(path, self.environ, listen=self.listen, admin=self.admin, demo=self.demo, folder=self.folder)
        warnings = () if self.demo else find_warnings(settings, self.environ, detaches=self.detaches)
        return Loaded(settings, tls_files(settings), tuple(warnings))


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    listen: Sequence[str] = (),
    admin: str | None = None,
    demo: bool = False,
    folder: str = "",
) -> Settings:
    """Return the options: the command line goes before the environment, the environment before the file, the file before the default.

    Args:
        path: the TOML file; None for none.
        environ: the environment.
        listen: as in `Source`.
        admin: as in `Source`.
        demo: as in `Source`.
        folder: as in `Source`.

    Raises:
        ConfigurationError: with a line for each problem.
    """
    document = Document(path or "")
    if path is not None:
        read_file(document, path)
    read_environment(document, environ)
    read_options(document, listen, admin)
    find_service_keys(document, environ, folder)
    settings = structure(document)
    check_consistency(document, demo=demo)
    if document.problems or settings is None:
        raise ConfigurationError(document.problems)
    log = settings.server.access_log
    return settings if log == "-" else evolve(settings, server=evolve(settings.server, access_log=os.path.join(folder, log)))
