"""Listeners from endpoint strings: opened at the start, compared at each reload, and what is said when one cannot be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from attrs import Factory, define, frozen
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from nnogw.interfaces import Reactor
from nnogw.lifecycle.certificates import Certificates, read_certificates
from nnogw.lifecycle.start_errors import StartError, not_bound
from nnogw.loading.sockets import same_socket
from nnogw.upstream.binding import split_endpoint
from nnogw.wire.transport.ports import BACKLOG, ListeningPort, PortReactor

#: Where a listener on all addresses can be reached from its own machine.
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing binds here
_WITH_BACKLOG = ("tcp:", "tcp6:", "unix:", "ssl:")
_TLS = "ssl:"


@frozen
class Purpose:
    """What a listener is for, and what an operator can do about it.

    Attributes:
        name: in a sentence.
        remedy: which option or setting names another address.
    """

    name: str
    remedy: str


CLIENTS = Purpose("clients", 'name another address with --listen ENDPOINT or with "listen" in [server]')
ADMIN = Purpose("the admin listener", 'name another address with --admin ENDPOINT or with "admin" in [server]')


class Wanted(NamedTuple):
    """A listener that the configuration asks for.

    Attributes:
        description: the endpoint string.
        factory: makes the protocols of its connections.
        purpose: what it is for.
    """

    description: str
    factory: IProtocolFactory
    purpose: Purpose


@frozen(eq=False)
class Listener:
    """One listening socket.

    Attributes:
        description: the endpoint string.
        purpose: what it is for.
        port: the port that listens.
        certificates: those of ``ssl:``; None for any other.
    """

    description: str
    purpose: Purpose
    port: ListeningPort
    certificates: Certificates | None = None

    @property
    def address(self) -> str:
        """Where it can be reached: a URL, or the path of a socket."""
        port: IListeningPort = self.port
        host: Any = port.getHost()  # Any: an IAddress says nothing of a name, a host and a port
        name = getattr(host, "name", None)
        if name is not None:
            return f"unix:{name.decode() if isinstance(name, bytes) else name}"
        shown = _FROM_HERE.get(host.host, host.host)
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{host.port}"

    def close(self) -> Deferred[object]:
        """Stop listening; connections that there are stay."""
        return maybeDeferred(self.port.stopListening)


@define
class Prepared:
    """The listeners that a configuration asks for, all of them open.

    Attributes:
        listeners: all of them.
        opened: those of them that are new.
        exchanges: for those that stay, what exchanges their certificates.
        renewed: the endpoint strings of those whose certificate is another one.
    """

    listeners: list[Listener] = Factory(list)
    opened: list[Listener] = Factory(list)
    exchanges: list[Callable[[], None]] = Factory(list)
    renewed: list[str] = Factory(list)

    def undo(self) -> None:
        """Close what was opened: another part of the configuration is not good."""
        for listener in self.opened:
            listener.port.drop()


class Listeners:
    """The listening sockets of the gateway.

    Args:
        reactor: the reactor.

    Attributes:
        open: the listeners that there are, in the order of the configuration.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.open: list[Listener] = []
        self._closing: dict[Listener, None] = {}
        self._reactor = PortReactor(reactor)

    def prepare(self, wanted: Sequence[Wanted]) -> Prepared:
        """Open the listeners that are `wanted` and not there yet; nobody is accepted before the reactor comes round.

        A listener whose socket is open already stays: nobody who is about to connect is refused.

        Args:
            wanted: what is to listen.

        Raises:
            StartError: an address is in use or not ours, or a certificate cannot be read. Nothing has changed then.
        """
        prepared = Prepared()
        left = list(self.open)
        try:
            for description, factory, purpose in wanted:
                there = next((it for it in left if it.purpose is purpose and same_socket(it.description, description)), None)
                if there is None:
                    listener = self._listen(description, factory, purpose)
                    prepared.opened.append(listener)
                else:
                    left.remove(there)
                    listener = self._stay(there, description, prepared)
                prepared.listeners.append(listener)
        except Exception:
            prepared.undo()
            raise
        return prepared

    def use(self, prepared: Prepared, closed: Callable[[Listener], None] = lambda _: None) -> None:
        """Let `prepared` be the listeners that there are, and close the others.

        Args:
            prepared: what `prepare` has returned.
            closed: called with each of the others when it accepts nobody any more.
        """
        for exchange in prepared.exchanges:
            exchange()
        ports = {listener.port for listener in prepared.listeners}
        gone = [listener for listener in self.open if listener.port not in ports]
        self.open = prepared.listeners
        for listener in gone:
            self._closing[listener] = None
            listener.close().addBoth(self._closed, listener, closed)

    def close(self, purpose: Purpose) -> Deferred[list[object]]:
        """Close the listeners of a purpose; returns when nobody is accepted any more."""
        self._end_closing()
        return gatherResults([listener.close() for listener in self.open if listener.purpose is purpose])

    def addresses(self, purpose: Purpose) -> list[str]:
        """Return the URLs or socket paths of the listeners of a purpose."""
        return [listener.address for listener in self.open if listener.purpose is purpose]

    def _stay(self, there: Listener, description: str, prepared: Prepared) -> Listener:
        """Return a listener that is open already, as `description` has it from now on."""
        certificates = there.certificates
        if certificates is not None and description.startswith(_TLS) and _backlog(description) == _backlog(there.description):
            exchange, options = certificates.exchange, self._read_certificates(description, there.purpose)
            prepared.exchanges.append(lambda: exchange(options))
            if certificates.differ(options):
                prepared.renewed.append(description)
        elif description != there.description:
            raise _error(
                description,
                there.purpose,
                f"it is open as {there.description}; other options of an open socket take a restart",
            )
        return Listener(description, there.purpose, there.port, certificates)

    def _listen(self, description: str, factory: IProtocolFactory, purpose: Purpose) -> Listener:
        self._end_closing()
        endpoint = description
        if "backlog=" not in endpoint and endpoint.startswith(_WITH_BACKLOG):
            endpoint += f":backlog={BACKLOG}"
        certificates = Certificates(self._read_certificates(description, purpose)) if description.startswith(_TLS) else None
        reactor = self._reactor if certificates is None else _WithCertificates(self._reactor, certificates)
        outcome: list[IListeningPort | Failure] = []
        serverFromString(reactor, endpoint).listen(factory).addBoth(outcome.append)
        found = outcome[0] if outcome else None
        if found is None or isinstance(found, Failure):
            why = "it does not bind at once" if found is None else not_bound(description, found.value)
            raise _error(description, purpose, f"{why}; {purpose.remedy}")
        assert isinstance(found, ListeningPort)  # what a `PortReactor` opens
        return Listener(description, purpose, found, certificates)

    def _end_closing(self) -> None:
        """Be done with the listeners that have been closing since a reload a moment ago: their addresses may be wanted again."""
        for listener in list(self._closing):
            listener.port.end()

    def _closed(self, _: object, listener: Listener, closed: Callable[[Listener], None]) -> None:
        del self._closing[listener]
        closed(listener)

    def _read_certificates(self, description: str, purpose: Purpose) -> CertificateOptions:
        try:
            return read_certificates(description)
        except OSError as error:
            raise _error(description, purpose, f"{error.filename}: {error.strerror}") from None
        except (SSL.Error, crypto.Error, VerifyError):
            raise _error(description, purpose, "its files hold no certificate with the key that fits it") from None
        except ValueError as error:
            raise _error(description, purpose, str(error)) from None


class _WithCertificates:
    """Stands in for the reactor where an ``ssl:`` endpoint listens, so that its certificates can be exchanged."""

    def __init__(self, reactor: PortReactor, certificates: Certificates) -> None:
        self._reactor = reactor
        self._certificates = certificates

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: object, backlog: int = BACKLOG, interface: str = ""
    ) -> IListeningPort:
        """Listen as `twisted.internet.interfaces.IReactorSSL.listenSSL` says."""
        return self._reactor.listenSSL(port, factory, self._certificates, backlog, interface)


def _backlog(description: str) -> str | None:
    return split_endpoint(description)[2].get("backlog")


def _error(description: str, purpose: Purpose, why: str) -> StartError:
    return StartError(f"cannot listen on {description} for {purpose.name}: {why}")
