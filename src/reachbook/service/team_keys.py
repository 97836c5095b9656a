"""The keys with which addresses are hashed, one for each team, sealed under the master key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from reachbook.domain import sealing
from reachbook.storage import Store
from reachbook.storage.engine import unfit

MAX_KEYS = 10_000

Keys = tuple[bytes, ...]
Reread = Callable[[], Awaitable[Keys]]


class TeamKeys:
    """Opens the keys of teams, and creates a key for a team that has none.

    `keys` are the master keys, the current one first. `reread` returns them again, or an empty
    tuple; it is called before a key is created, and if no master key opens a key. At most
    `MAX_KEYS` opened keys are cached; they do not change.
    """

    def __init__(self, store: Store, keys: Keys, reread: Reread | None = None) -> None:
        self._store = store
        self._keys = keys
        self._reread = reread
        self._opened: dict[int, bytes] = {}

    async def of(self, team_id: int) -> bytes:
        """Returns the key of a team.

        Raises `store_unfit` if no master key opens it.
        """
        opened = self._opened.get(team_id)
        if opened is None:
            opened = await self._open(team_id)
            if len(self._opened) >= MAX_KEYS:
                del self._opened[next(iter(self._opened))]
            self._opened[team_id] = opened
        return opened

    async def find(self, team_id: int) -> bytes | None:
        """Returns the key of a team, or None if it has none; for a request that only reads."""
        if team_id in self._opened or await self._store.suppression_key(team_id) is not None:
            return await self.of(team_id)
        return None

    async def _open(self, team_id: int) -> bytes:
        sealed = await self._store.suppression_key(team_id)
        if sealed is None:
            await self._reread_keys()
            if self._keys:
                new = sealing.seal_team_key(self._keys[0], team_id)
                await self._store.insert_suppression_key(team_id, new)
                sealed = await self._store.suppression_key(team_id)
        for _ in range(2):
            opened = sealing.unseal_team_key(self._keys, team_id, sealed or b"")
            if opened is not None:
                return opened
            await self._reread_keys()
        raise unfit(unopened([team_id]))

    async def _reread_keys(self) -> None:
        if self._reread is not None:
            self._keys = await self._reread() or self._keys


async def unopened_teams(store: Store, keys: Keys) -> list[tuple[int, bytes]]:
    """Returns the teams whose key no master key opens, with the sealed key."""
    return [
        (team_id, sealed)
        for team_id, sealed in await store.suppression_keys()
        if sealing.unseal_team_key(keys, team_id, sealed) is None
    ]


def unopened(team_ids: list[int]) -> str:
    """Returns the sentence that says that no master key opens the keys of teams."""
    teams = ", ".join(str(team_id) for team_id in team_ids)
    return (
        f"The master key does not open the suppression key of team {teams}, so opt-outs and "
        "bounces cannot be looked up. Set the master key that sealed it or, if that key is lost, "
        "delete the suppressions: reachbook rekey --discard-suppressions"
    )
