"""What survives a change of the configuration: the verdicts in memory, the calls to IAM under way, and whether IAM is down."""

from __future__ import annotations

import hashlib
import os

from nnogw.exchange import Identity
from nnogw.identity.call_queue import CallQueue
from nnogw.identity.freshness import Kept, Source
from nnogw.identity.lru import LruTable
from nnogw.identity.single_flight import SingleFlight
from nnogw.interfaces import Clock, DegradedLedger, Verdict
from nnogw.observability.outage import Outage
from nnogw.settings import AuthSettings

_DIGEST_SIZE = 16  # bytes: 128 bits under a secret key are beyond any search for two tokens with one digest

#: Requests that may wait at a time for an IAM that is known to be down: two, so that a credential for which IAM always hangs cannot keep
#: the only place and hide that IAM is back.
_PROBES = 2


def digest_of(credential: bytes, key: hashlib.blake2b) -> bytes:
    """Return the digest of a credential under a key of `VerdictStore`."""
    digest = key.copy()
    digest.update(credential)
    return digest.digest()


class VerdictStore:
    """The verdicts in memory, and all else that is known of IAM (a `nnogw.interfaces.VerdictTable`).

    A table's key is a keyed digest of kind and credential; no credential is kept. Refusals have a table of their own, so that random tokens
    cannot push real users out. What is done with all this is the policy of `nnogw.identity.verdicts.VerdictCache`, one for each generation
    of the configuration.

    Args:
        settings: the bounds, at first.
        clock: monotonic time.
        ledger: told of ``iam-outage`` and ``stale-verdicts``.
        key: of the digests, up to 64 bytes; one of the process's own if empty.

    Attributes:
        hits: judgements from memory, refusals included.
        misses: judgements that had to wait for IAM.
        stale: judgements by a verdict past its life, through an outage.
        refusals: credentials that IAM refused.
        calls: questions to IAM.
        failures: questions that an outage left open.
        queue: bounds the calls to IAM, and has those that are under way or wait.
        session_key: what the digests of sessions' tokens are keyed with.
        valid: digest → the verdict as it is given out.
        refused: digest → monotonic seconds at which a refusal is over.
        flights: the questions under way, by digest.
        outage: knows whether IAM is in an outage.
        source: decides who may ask IAM.
    """

    def __init__(self, settings: AuthSettings, *, clock: Clock, ledger: DegradedLedger, key: bytes = b"") -> None:
        self.hits = self.misses = self.stale = self.refusals = self.calls = self.failures = 0
        self.queue = CallQueue(clock=clock, max_calls=settings.max_calls, max_calls_per_address=settings.max_calls_per_address)
        key = key or os.urandom(32)
        self.session_key = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"session")
        self._api_key_key = hashlib.blake2b(key=key, digest_size=_DIGEST_SIZE, person=b"apikey")
        self.valid: LruTable[bytes, Kept[Verdict]] = LruTable(settings.cache.max_entries, self._left)
        self._of_user: dict[str, set[bytes]] = {}  # user id → the digests of the user's credentials in `valid`
        self.refused: LruTable[bytes, float] = LruTable(settings.cache.max_negative_entries)
        self.flights: SingleFlight[bytes, Verdict] = SingleFlight()
        self.outage = Outage("iam-outage", "iam", seconds=clock.seconds, ledger=ledger)
        self.source = Source(self.outage, probes=_PROBES)

    @property
    def evictions(self) -> int:
        """How many verdicts were dropped because a table was full."""
        return self.valid.evictions + self.refused.evictions

    @property
    def entries(self) -> int:
        """How many valid verdicts are in memory."""
        return len(self.valid)

    @property
    def negative_entries(self) -> int:
        """How many refusals are in memory."""
        return len(self.refused)

    def bound(self, settings: AuthSettings) -> None:
        """Let other bounds count."""
        self.valid.resize(settings.cache.max_entries)
        self.refused.resize(settings.cache.max_negative_entries)
        self.queue.bound(max_calls=settings.max_calls, max_calls_per_address=settings.max_calls_per_address)

    def digest(self, kind: str, credential: bytes) -> bytes:
        """Return the key of a credential (`kind` is "session" or "apikey")."""
        return digest_of(credential, self.session_key if kind == "session" else self._api_key_key)

    def keep(self, digest: bytes, identity: Identity, fresh_until: float, stale_until: float) -> None:
        """Keep a valid verdict."""
        if identity.user_id is not None:
            self._of_user.setdefault(identity.user_id, set()).add(digest)
        self.valid.put(digest, Kept(Verdict(identity, "hit"), fresh_until, stale_until))

    # -- forgetting --------------------------------------------------------------------------------------------------

    def forget(self, kind: str, credential: bytes) -> None:
        """Drop what is known of a credential (`kind` is "session" or "apikey"), and do not remember what is being asked of it now."""
        digest = self.digest(kind, credential)
        self.valid.drop(digest)
        self.refused.drop(digest)
        self.flights.detach(digest)

    def forget_owner(self, kind: str, credential: bytes, user_id: str | None = None) -> int:
        """Drop every verdict of the user whose credential this is: one session may have several forms of token.

        Args:
            kind: "session" or "apikey".
            credential: of whom.
            user_id: the user, where the caller knows; None to look the credential up in memory.

        Returns:
            How many valid verdicts there were.
        """
        digest = self.digest(kind, credential)
        if user_id is None:
            entry = self.valid.get(digest)
            identity = None if entry is None else entry.value.identity
            user_id = None if identity is None else identity.user_id
        before = len(self.valid)
        self.forget(kind, credential)
        if user_id is not None:
            self.forget_user(user_id)
        return before - len(self.valid)

    def forget_user(self, user_id: str) -> int:
        """Drop every verdict of a user, and return how many there were."""
        self.flights.detach_all()  # whose verdicts are under way is not known
        digests = self._of_user.get(user_id, set())
        return sum(self.valid.drop(digest) for digest in tuple(digests))

    def forget_platform(self, platform_id: str) -> int:
        """Drop every verdict of a platform's users and keys, and return how many there were."""
        self.flights.detach_all()  # as above
        return self.valid.drop_where(lambda entry: entry.value.identity is not None and entry.value.identity.platform_id == platform_id)

    def forget_all(self) -> int:
        """Drop every verdict, refusals included, and return how many there were."""
        self.flights.detach_all()
        return self.valid.clear() + self.refused.clear()

    def start_anew(self) -> None:
        """Forget everything: IAM is another one, of which nothing is known."""
        self.forget_all()
        self.outage.forget()

    def _left(self, digest: bytes, entry: Kept[Verdict]) -> None:
        """Keep `_of_user` as small as the table."""
        identity = entry.value.identity
        if identity is None or identity.user_id is None:
            return
        digests = self._of_user[identity.user_id]
        digests.discard(digest)
        if not digests:
            del self._of_user[identity.user_id]
