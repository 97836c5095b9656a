"""Checks of a team and of the store: credentials, event bodies, the feed, the indexes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

from reachbook.doctor.finding import Finding, Kind
from reachbook.domain.credential import LIVE_SECRETS, Credential
from reachbook.domain.sealing import unseal, unseal_any, unseal_team_key
from reachbook.storage import Store, migrations

PAGE = 5_000
FIRST = -(2**63)

_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (\w+)[^;]*;", re.MULTILINE)
_DROPPED = re.compile(r"^DROP INDEX (?:IF EXISTS )?(\w+)", re.MULTILINE)


async def missing_indexes(store: Store) -> AsyncIterator[Finding]:
    """Yields a finding for each index of this program's schema that does not exist."""
    text = "\n".join(step.text for step in migrations.steps(store.engine.name))
    existing = {row[0] for row in await store.engine.read("doctor_indexes")}
    existing |= set(_DROPPED.findall(text))
    for match in _INDEX.finditer(text):
        if match[1] not in existing:
            message = f"there is no index {match[1]}; create it: {' '.join(match[0].split())}"
            yield Finding(Kind.MISSING_INDEX, None, message)


async def missing_names(store: Store) -> AsyncIterator[Finding]:
    """Yields a finding if the words of older contacts' names are not all indexed."""
    if not await store.has_all_names():
        message = "the names of contacts are not all indexed, so a search may not find them"
        yield Finding(Kind.NAMES, None, f"{message}; run: reachbook migrate")


async def credentials(
    store: Store, team_id: int, keys: tuple[bytes, ...]
) -> AsyncIterator[Finding]:
    """Yields the faults of a team's live API secrets; the current master key comes first."""
    secrets = await store.credentials("api_secret", team_id)
    live = [secret for secret in secrets if secret.revoked is None]
    if len(live) > LIVE_SECRETS:
        message = (
            f"there are {len(live)} live API secrets, and {LIVE_SECRETS} are allowed; "
            "run: reachbook secret revoke"
        )
        yield Finding(Kind.LIVE_SECRETS, team_id, message)
    for credential in live:
        for kind, message in _sealed(credential, keys):
            yield Finding(kind, team_id, message)


async def suppression_key(
    store: Store, team_id: int, keys: tuple[bytes, ...]
) -> AsyncIterator[Finding]:
    """Yields a finding if the current master key does not open the team's suppression key."""
    sealed = await store.suppression_key(team_id)
    if sealed is None or unseal_team_key(keys[:1], team_id, sealed) is not None:
        return
    if unseal_team_key(keys, team_id, sealed) is None:
        message = "the master key does not open the team's suppression key; set the key that sealed"
        message += " it, or delete the team's opt-outs: reachbook rekey --discard-suppressions"
        yield Finding(Kind.UNOPENED, team_id, message)
    else:
        message = "the team's suppression key is sealed under the previous master key"
        yield Finding(Kind.PREVIOUS_KEY, team_id, f"{message}; run: reachbook rekey")


async def bodies(store: Store, team_id: int) -> AsyncIterator[Finding]:
    """Yields a finding for each body whose event does not exist."""
    last = FIRST
    while True:
        rows = await store.engine.read("doctor_bodies", team_id, last, PAGE)
        for last, event_id in rows:
            if event_id is None:
                message = f"there is a body of event {last}, but the event does not exist"
                yield Finding(Kind.ORPHAN_EVENT, team_id, message)
        if len(rows) < PAGE:
            return


async def feed(store: Store, team_id: int) -> AsyncIterator[Finding]:
    """Yields a finding for each gap in the numbers of a team's feed, which must have none."""
    last = 0
    while True:
        rows = await store.engine.read("doctor_feed", team_id, last, PAGE)
        for (seq,) in rows:
            if seq != last + 1:
                message = f"the number {seq} follows {last} in the feed, which must have no gaps"
                yield Finding(Kind.FEED, team_id, message)
            last = seq
        if len(rows) < PAGE:
            return


def _sealed(secret: Credential, keys: tuple[bytes, ...]) -> Iterator[tuple[Kind, str]]:
    if keys and unseal(keys[0], secret.id, secret.proof) is not None:
        return
    if unseal_any(keys, secret.id, secret.proof) is None:
        message = f"the master key does not open API secret {secret.id}"
        yield Kind.UNOPENED, f"{message}; set the key that sealed it, or revoke it"
    else:
        message = f"API secret {secret.id} is sealed under the previous master key"
        yield Kind.PREVIOUS_KEY, f"{message}; run: reachbook rekey"
