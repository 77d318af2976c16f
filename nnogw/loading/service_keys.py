"""Where the service keys come from, and what stands between them: commas or line ends, never blanks.

A key that was to be read and could not be is an error: its absence would open the gateway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from nnogw.loading.document import Document, shown_path

#: Characters below which a key can be guessed (a UUID has 36, `openssl rand -hex 16` 32).
SHORTEST = 16

_KEYS = ("auth", "api_key")
_KEY_FILE = ("auth", "api_key_file")


def find_service_keys(document: Document, environ: Mapping[str, str], folder: str = "") -> None:
    """Put the service keys of the first place that has any into `document`.

    The places are AUTH_API_KEY, the file that AUTH_API_KEY_FILE names, the credential AUTH_API_KEY that systemd passes
    (https://systemd.io/CREDENTIALS/), and the configuration file.

    Args:
        document: gets them.
        environ: the environment.
        folder: what the relative path of a key file counts from.
    """
    from_environment = _separated(environ.get("AUTH_API_KEY", ""))
    if from_environment:
        document.put(_KEY_FILE, "", "AUTH_API_KEY")
        document.put(_KEYS, from_environment, "AUTH_API_KEY")
        return
    named = environ.get("AUTH_API_KEY_FILE", "")
    if named:
        _read(document, named, "AUTH_API_KEY_FILE", folder)
        return
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    credential = os.path.join(directory, "AUTH_API_KEY")
    if directory and os.path.lexists(credential):
        _read(document, credential, "CREDENTIALS_DIRECTORY", folder)
        return
    _from_configuration(document, folder)


def _from_configuration(document: Document, folder: str) -> None:
    keys, path = document.get(*_KEYS), document.get(*_KEY_FILE)
    if isinstance(keys, str):
        keys = _separated(keys)
        document.put(_KEYS, keys, document.where(_KEYS))
    if not isinstance(path, str) or not path:
        return
    if keys:
        document.problem(_KEY_FILE, "api_key is set too; expected one of the two, so that it is plain which keys are active")
    else:
        _read(document, path, document.where(_KEY_FILE), folder)


def _read(document: Document, path: str, source: str, folder: str) -> None:
    """Read the key file at `path`, which holds keys that commas or line ends separate."""
    is_path = os.sep in path or os.path.lexists(os.path.join(folder, path))  # or the key itself?
    path = os.path.join(folder, path)
    place = f"{source}: {shown_path(path) if is_path else 'a value that is not shown'}"
    document.put(_KEY_FILE, path, place)
    try:
        content = Path(path).read_text("utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # not UTF-8; or a path with a NUL
        problem = "is not a text file"
    else:
        keys = _separated(content)
        document.put(_KEYS, keys, place)
        if keys:
            return
        problem = "holds no service key"
    document.problems.append(f"{place}: {problem}, expected one service key a line")
    document.complete = False


def _separated(text: str) -> list[str]:
    """Return the keys in `text`, without the blanks around them. One with a blank inside stays as it is, and is refused by its rule."""
    return [key for key in (part.strip() for part in re.split(r"[,\r\n]", text)) if key]
