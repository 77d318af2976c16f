"""Why there is no connection to an upstream, in words: from what endpoints and TLS raise to the gateway's own errors.

The words are for the request log's ``reason`` only. They name hosts and certificates, so no client sees them.
"""

from __future__ import annotations

import os

from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from nnogw.errors import GatewayError, UpstreamFailed, UpstreamTimeout


class ConnectFailed(Exception):
    """There is no connection; the text says why, in words for an operator."""


class HandshakeFailed(ConnectFailed):
    """There is no TLS: the upstream is not who it should be, or does not speak it."""


class StillResolving(CancelledError):
    """The attempt was given up while the upstream's name was being resolved; the text says so."""


#: What OpenSSL says (a part of it, in lower case) → what it means. The first that fits counts; an alert comes from the upstream.
_IN_WORDS = (
    ("wrong version number", "the upstream does not speak TLS on this port"),
    ("packet length too long", "the upstream does not speak TLS on this port"),
    ("http request", "the upstream does not speak TLS on this port"),
    ("unknown protocol", "the upstream does not speak TLS on this port"),
    ("alert protocol version", "the upstream speaks no version of TLS that the gateway accepts"),
    ("unsupported protocol", "the upstream speaks no version of TLS that the gateway accepts"),
    (
        "alert handshake failure",
        "the upstream refused the handshake: no cipher in common, or it wants a client certificate",
    ),
    ("certificate required", "the upstream wants a client certificate: add certificate= and privateKey= to the tls: binding"),
    ("alert unknown ca", "the upstream does not know the authority of the gateway's client certificate"),
    ("alert certificate expired", "the upstream says that the gateway's client certificate has expired"),
    ("alert certificate revoked", "the upstream says that the gateway's client certificate has been revoked"),
    ("alert bad certificate", "the upstream refused the gateway's client certificate"),
    ("alert unsupported certificate", "the upstream refused the gateway's client certificate"),
    ("alert certificate unknown", "the upstream refused the gateway's client certificate"),
    ("alert access denied", "the upstream refused the gateway's client certificate"),
    ("unrecognized name", "the upstream has no certificate for this name"),
    ("alert internal error", "the upstream failed in the handshake (alert: internal error)"),
    ("unexpected eof", "the upstream closed the connection in the TLS handshake"),
    ("no shared cipher", "the upstream and the gateway have no cipher in common"),
    ("dh key too small", "the upstream's key exchange is too weak"),
    ("ee key too small", "the upstream's key is too weak"),
)


def cannot_connect(failure: Failure) -> Failure:
    """Turn what keeps a connection from being made into the gateway's own errors.

    Args:
        failure: what endpoints, the resolver or TLS have failed with.

    Returns:
        A Failure of `UpstreamTimeout` or `UpstreamFailed` whose reason is in words; a `GatewayError` and a cancellation as they are.
    """
    error = failure.value
    if isinstance(error, (CancelledError, GatewayError)):
        return failure
    if isinstance(error, ConnectTimeout):
        return Failure(_too_late("no connection in time"))
    if isinstance(error, (HandshakeFailed, SSL.Error)):
        return Failure(_tls(error))
    if isinstance(error, ConnectionClosed):  # it was there, and went before TLS was
        return Failure(UpstreamFailed(reason="TLS: the upstream closed the connection in the handshake; does it speak TLS?", kind="tls"))
    return Failure(UpstreamFailed(reason=f"cannot connect: {_plain(error)}", kind="connect"))


def timed_out(given_up: Failure) -> UpstreamTimeout:
    """Return the error of a connection whose time is over: it says what was missing, as far as the cancelled attempt tells."""
    return _too_late(f"{given_up.value} in time" if isinstance(given_up.value, StillResolving) else "no connection in time")


def connection_broke(failure: Failure) -> UpstreamFailed:
    """Return the error of a connection that was lost while a response was due.

    With TLS 1.3 an upstream refuses a client certificate only after the handshake, so that this may be a failure of TLS, too.
    """
    if isinstance(failure.value, (HandshakeFailed, SSL.Error)):
        return _tls(failure.value)
    return UpstreamFailed(reason=f"the connection broke: {failure.getErrorMessage()}", kind="reset")


def tls_in_words(error: SSL.Error) -> str:
    """Return what OpenSSL's error means."""
    if isinstance(error, (SSL.SysCallError, SSL.ZeroReturnError)):
        return "the upstream closed the connection in the TLS handshake"
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(entry[-1]) for entry in entries]
    said = "; ".join(reasons).lower()
    for part, words in _IN_WORDS:
        if part in said:
            return words
    return f"the handshake failed: {'; '.join(reasons)}" if reasons else "the handshake failed"


def _tls(error: BaseException) -> UpstreamFailed:
    words = tls_in_words(error) if isinstance(error, SSL.Error) else str(error)
    return UpstreamFailed(reason=f"TLS: {words}", kind="tls")


def _too_late(reason: str) -> UpstreamTimeout:
    return UpstreamTimeout(reason=reason, end="timeout:connect")


def _plain(error: BaseException | None) -> str:
    """Return the system's own words for a connection that was not made ("connection refused")."""
    if isinstance(error, ConnectError):
        number = error.osError
        text = os.strerror(number) if isinstance(number, int) else str(error.args[0] or error)
        return text[:1].lower() + text[1:]
    return str(error) or type(error).__name__
