"""From a file, the environment and the command line to `Settings`: everything that is wrong is said at once, in lines for an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnogw.loading.consistency import check_consistency
from nnogw.loading.document import ConfigurationError, Document
from nnogw.loading.service_keys import find_service_keys
from nnogw.loading.sources import read_environment, read_file, read_options
from nnogw.loading.structuring import structure
from nnogw.loading.warnings import find_warnings
from nnogw.settings import Settings

__all__ = ["ConfigurationError", "find_warnings", "load"]


def load(
    path: str | None, environ: Mapping[str, str], *, listen: Sequence[str] = (), admin: str | None = None, demo: bool = False
) -> Settings:
    """Return the configuration: an option goes before the environment, the environment before the file, the file before the default.

    Args:
        path: the TOML file; None for none.
        environ: the environment.
        listen: what the command line says of ``server.listen``; empty if it says nothing.
        admin: what it says of ``server.admin``; None if it says nothing.
        demo: the demo sets a service key of its own, so that a missing one opens nothing.

    Raises:
        ConfigurationError: with a line for each problem.
    """
    document = Document(path or "")
    if path is not None:
        read_file(document, path)
    read_environment(document, environ)
    read_options(document, listen, admin)
    find_service_keys(document, environ)
    settings = structure(document)
    check_consistency(document, demo=demo)
    if document.problems or settings is None:
        raise ConfigurationError(document.problems)
    return settings
