"""Why a gateway cannot open what it needs at its start, in one line: what is wrong, and what would be right."""

from __future__ import annotations

import errno
import os
import stat

from twisted.internet.error import CannotListenError

from nnogw.loading.sockets import socket_path


class StartError(Exception):
    """The gateway cannot start or reload, for a reason that its operator can mend: one line, no traceback."""


def not_bound(endpoint: str, error: BaseException | None) -> str:
    """Return why a listener cannot be bound.

    Args:
        endpoint: the endpoint string, as its operator wrote it.
        error: what the reactor raised.
    """
    cause = error.socketError if isinstance(error, CannotListenError) else error
    path = socket_path(endpoint)
    if not isinstance(cause, OSError):  # Twisted's lock beside a unix socket has no number
        return _taken(path) if path and isinstance(error, CannotListenError) else str(cause) or type(cause).__name__
    if path:
        return _taken(path) if cause.errno == errno.EADDRINUSE else _in_folder(cause, path, "socket")
    return _at_port(cause)


def no_log(path: str, error: OSError) -> StartError:
    """Return what is raised if the file of the request log cannot be opened; as `not_opened`."""
    return StartError(f"cannot open the request log {path} (server.access_log): {not_opened(path, error)}")


def not_opened(path: str, error: OSError) -> str:
    """Return why the file of the request log cannot be opened.

    Args:
        path: the file, or ``"-"``.
        error: what the system raised.
    """
    return f"standard output is closed ({_words(error)}); set a file" if path == "-" else _in_folder(error, path, "log")


def _taken(path: str) -> str:
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        kind = "a folder" if os.path.isdir(path) else "a file"
        return f"Address already in use: {path} is {kind}, expected a socket, or a path that does not exist yet"
    return "another process listens there"


def _at_port(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Address already in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; expected interface= with an address of its own, or none for all"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "only root may use this port; use one from 1024 on, or give the process the right to "
            "(systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        )
    return _words(error)


def _in_folder(error: OSError, path: str, what: str) -> str:
    """Return what is wrong with the folder of `path`, which is a socket or a log as `what` says, or else with `path` itself."""
    folder = os.path.dirname(os.path.abspath(path))
    user = f"user {os.geteuid()}"
    if error.errno == errno.ENOENT:
        return f"the folder of the {what} does not exist; make it (mkdir -p {folder}), and let {user} write to it"
    if error.errno == errno.ENOTDIR:
        return f"{folder} is not a folder"
    if error.errno in (errno.EACCES, errno.EPERM):
        what = path if os.path.exists(path) and not os.access(path, os.W_OK) else f"folder {folder}"
        return f"{user} may not write to {what}; change its owner or its mode"
    if error.errno == errno.EISDIR:
        return "it is a folder, expected a file"
    if error.errno == errno.ENXIO:
        return "it is a named pipe that nobody reads; start its reader first"
    if error.errno == errno.EROFS:
        return f"folder {folder} is on a file system that is read-only"
    return _words(error)


def _words(error: OSError) -> str:
    return error.strerror or str(error)
