"""What is in the files that the bindings of services name."""

from __future__ import annotations

from collections.abc import Mapping

from nnogw.loading.document import ConfigurationError
from nnogw.settings import Settings
from nnogw.upstream.binding import parse_binding
from nnogw.upstream.tls import TlsFiles, read_files


def tls_files(settings: Settings) -> Mapping[str, TlsFiles]:
    """Read the files of all services whose binding names any.

    Raises:
        ConfigurationError: one cannot be read.
    """
    found = {}
    for name, service in settings.services.items():
        if service.binding:
            try:
                files = read_files(parse_binding(service.binding))
            except OSError as error:  # it could be read a moment ago, when the binding was checked
                raise ConfigurationError([f"service {name}: {error.filename}: {error.strerror}"]) from None
            if files != TlsFiles():
                found[name] = files
    return found
