"""Where the service keys come from. A key that was to be read and could not be is an error: its absence would open the gateway."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from nnogw.loading.document import Document, shown_path

_KEYS = ("auth", "api_key")
_KEY_FILE = ("auth", "api_key_file")


def find_service_keys(document: Document, environ: Mapping[str, str]) -> None:
    """Put the service keys of the first place that has any into `document`.

    The places are AUTH_API_KEY, the file that AUTH_API_KEY_FILE names, the credential AUTH_API_KEY that systemd passes
    (https://systemd.io/CREDENTIALS/), and the configuration file.
    """
    from_environment = [key for key in re.split(r"[,\s]+", environ.get("AUTH_API_KEY", "")) if key]
    if from_environment:
        document.put(_KEY_FILE, "", "AUTH_API_KEY")
        document.put(_KEYS, from_environment, "AUTH_API_KEY")
        return
    named = environ.get("AUTH_API_KEY_FILE", "")
    if named:
        _read(document, named, "AUTH_API_KEY_FILE")
        return
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    credential = os.path.join(directory, "AUTH_API_KEY")
    if directory and os.path.lexists(credential):
        _read(document, credential, "CREDENTIALS_DIRECTORY")
        return
    _from_configuration(document)


def _from_configuration(document: Document) -> None:
    keys, path = document.get(*_KEYS), document.get(*_KEY_FILE)
    if isinstance(keys, str):
        keys = [keys] if keys else []
        document.put(_KEYS, keys, document.where(_KEYS))
    if not isinstance(path, str) or not path:
        return
    if keys:
        document.problem(_KEY_FILE, "api_key is set too; expected one of the two, so that it is plain which keys are active")
    else:
        _read(document, path, document.where(_KEY_FILE))


def _read(document: Document, path: str, source: str) -> None:
    """Read the key file at `path`, which holds one key a line."""
    place = f"{source}: {shown_path(path)}"
    document.put(_KEY_FILE, path, place)
    try:
        content = Path(path).read_text("utf-8")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # not UTF-8; or a path with a NUL
        problem = "is not a text file"
    else:
        keys = [line.strip() for line in content.splitlines() if line.strip()]
        document.put(_KEYS, keys, place)
        if keys:
            return
        problem = "holds no service key"
    document.problems.append(f"{place}: {problem}, expected one service key a line")
    document.complete = False
