"""Verifies the bearer token of a request.

A credential that was read from the store is cached for 0.9 s, so that every worker refuses a
revoked credential within a second. A token whose signature was verified is cached until it expires;
its credential is looked up for each request.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reachbook import background
from reachbook.domain import credential as credentials
from reachbook.domain import jwt, sealing
from reachbook.domain.credential import Caller, Credential
from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.storage import Store
from reachbook.storage.store import CredentialKind

TRUSTED_SECONDS = 0.9
# Both caches are bounded, so that a client that sends invented ids cannot fill the memory.
MAX_CREDENTIALS = 10_000
MAX_TOKENS = 10_000
USE_RECORDED_EVERY = 60_000_000  # in microseconds; a write for each request would take too long

Clock = Callable[[], int]
Key = TypeVar("Key")
Keys = tuple[bytes, ...]
Name = tuple[CredentialKind, str]
Value = TypeVar("Value")


class CachedCredential(Struct, frozen=True):
    """A credential and its opened signing key; `until` is the end of its time in the cache."""

    credential: Credential | None
    signing_key: bytes | None
    until: float


class Authenticator:
    """Verifies tokens against the credentials in the store.

    `keys` are the master keys, the current one first. `reread` returns them again if they have
    changed, else an empty tuple; it is called each time an API secret is read from the store.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        metrics: Metrics,
        reread: Callable[[], Keys] | None = None,
    ) -> None:
        self._store = store
        self._metrics = metrics
        # `_latest` are the keys of the settings now, `_keys` those in use. The keys in use are
        # replaced only if they do not open a secret, so that no request fails during a rotation.
        self._keys = self._latest = keys
        self._decoy = sealing.new_decoy(keys[0])
        self._reread = reread
        self._clock = clock
        self._known: dict[tuple[CredentialKind, str], CachedCredential] = {}
        self._verified: dict[str, tuple[str, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def caller(self, authorization: str | None) -> Caller:
        """Returns the verified caller of an `Authorization` header; raise a refusal otherwise."""
        token = credentials.bearer(authorization)
        if jwt.is_jwt(token):
            return self._live("api_secret", await self._jwt(token))
        return self._live("api_key", await self._api_key(token))

    async def close(self) -> None:
        """Wait until the uses of credentials are recorded."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _jwt(self, token: str) -> CachedCredential:
        now = self._clock() / 1_000_000
        # A token is sent with every request for five minutes, so its signature is checked once.
        seen = self._verified.get(token)
        if seen is not None and now <= seen[1]:
            known = await self._look_up("api_secret", seen[0])
            if _is_live(known):
                self._metrics.token_known.inc()
                return known
            # The token of a revoked secret is verified again, so that refusing it takes as long as
            # refusing any other bad token.
            self._verified.pop(token, None)
        self._metrics.token_new.inc()
        claimed = jwt.read_jwt(token)
        secret_id = claimed.credential_id
        known, expires_at = await self._verify(
            ("api_secret", secret_id),
            lambda known: jwt.verify(claimed, known.signing_key, now, seen=seen is not None),
        )
        _remember(self._verified, token, (secret_id, expires_at), MAX_TOKENS)
        return known

    async def _api_key(self, token: str) -> CachedCredential:
        hashed = credentials.hash_api_key(token)

        def verify(known: CachedCredential) -> None:
            found = known.credential
            expected = found.proof if found else credentials.UNKNOWN_HASH
            # Not ==, whose time would reveal how many bytes of the hash are right.
            if not hmac.compare_digest(hashed, expected) or not _is_live(known):
                raise credentials.bad_credential()

        known, _ = await self._verify(("api_key", credentials.key_id(token) or ""), verify)
        return known

    async def _verify(
        self, name: Name, verify: Callable[[CachedCredential], Value]
    ) -> tuple[CachedCredential, Value]:
        """Returns a credential and the result of `verify`; raises if it cannot be verified.

        A credential that fails is read once and verified twice before it is refused. So a wrong id
        and a wrong signature take the same time, whether or not they are in the cache.
        """
        cached = self._known.get(name)
        known = await self._look_up(*name)
        try:
            return known, verify(known)
        except Refusal as refusal:
            if refusal.reason is not Reason.BAD_CREDENTIAL:
                raise
        # The cached credential may be old: another process may have replaced the secret.
        if known is cached:
            known = await self._read(*name)
        return known, verify(known)

    async def _look_up(self, kind: CredentialKind, ident: str) -> CachedCredential:
        known = self._known.get((kind, ident))
        if known is None or known.until < time.monotonic():
            return await self._read(kind, ident)
        return known

    async def _read(self, kind: CredentialKind, ident: str) -> CachedCredential:
        # Set before the read, so that a credential that is revoked during the read is not cached
        # for longer than `TRUSTED_SECONDS` after that.
        until = time.monotonic() + TRUSTED_SECONDS
        team_id = credentials.team_hint(ident)
        found = None
        if team_id is not None:
            found = await self._store.credential(kind, team_id, ident)
        known = CachedCredential(found, self._signing_key(kind, found), until)
        _remember(self._known, (kind, ident), known, MAX_CREDENTIALS)
        return known

    def _signing_key(self, kind: CredentialKind, found: Credential | None) -> bytes | None:
        """Returns the signing key of a live secret that a master key opens, else None.

        The work is the same for an id that is unknown, revoked or sealed under another master key,
        so that the time does not reveal which ids exist.
        """
        if kind != "api_secret":
            return None
        self._latest = (self._reread() if self._reread is not None else ()) or self._latest
        secret_id, sealed = (found.id, found.proof) if found else self._decoy
        secret_key = sealing.unseal_any(self._keys, secret_id, sealed)
        if secret_key is None and self._latest != self._keys:
            self._keys, self._decoy = self._latest, sealing.new_decoy(self._latest[0])
            secret_key = sealing.unseal_any(self._keys, secret_id, sealed)
        signing_key = jwt.signing_key(secret_id, secret_key or "")
        is_good = found is not None and found.revoked is None and secret_key is not None
        return signing_key if is_good else None

    def _live(self, kind: CredentialKind, known: CachedCredential) -> Caller:
        found = known.credential
        if found is None or not _is_live(known):
            raise credentials.bad_credential()
        now = self._clock()
        if now - (found.last_used or 0) > USE_RECORDED_EVERY:
            # The cached time is replaced now, so that the following requests start no task.
            self._known[kind, found.id] = replace(known, credential=replace(found, last_used=now))
            task = background.start(
                self._metrics, "credential_use", self._record_use(kind, found, now)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return Caller(
            found.team_id, found.id, found.representation, found.read_only, found.default_region
        )

    async def _record_use(self, kind: CredentialKind, found: Credential, now: int) -> None:
        with suppress(Refusal):  # a use that cannot be recorded now is recorded in a minute
            await self._store.record_use(
                kind, found.team_id, found.id, now, unless_since=now - USE_RECORDED_EVERY
            )


def _is_live(known: CachedCredential) -> bool:
    return known.credential is not None and known.credential.revoked is None


def _remember(cache: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Store a value in a cache, and drop the oldest value if there are `most` of them."""
    # A dict is in the order of insertion. An existing key is removed first, so that it moves to the
    # end.
    cache.pop(key, None)
    if len(cache) >= most:
        del cache[next(iter(cache))]
    cache[key] = value
