"""Ids for new rows, reserved in blocks, so that a commit has its ids before it is written."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from reachbook.storage import commit as commits
from reachbook.storage.commit import Commit

# One reservation for 64 new rows costs little, and a restart wastes no more than 63 ids.
MAX_ID_BLOCK = 64

Reserve = Callable[[str, int], Awaitable[list[int]]]


class IdsExhaustedError(Exception):
    """A commit needs more ids than were set aside for it."""


class IdBlocks:
    """The ids that this process has reserved and not used yet.

    Each block is twice as large as the one before, up to `MAX_ID_BLOCK`. The ids that are left when
    the process ends are never used.
    """

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._free: defaultdict[str, deque[int]] = defaultdict(deque)
        self._block: dict[str, int] = {}

    async def take(self, table: str, count: int = 1) -> list[int]:
        """Returns ids for new rows of a table."""
        free = self._free[table]
        if len(free) < count:
            block = self._block.get(table, 1)
            self._block[table] = min(block * 2, MAX_ID_BLOCK)
            free.extend(await self._reserve(table, max(count, block)))
        return [free.popleft() for _ in range(count)]

    def discard(self) -> None:
        """Forget the reserved ids: one of them was found in use."""
        self._free = defaultdict(deque)


class IdsOfCommit:
    """Ids that are set aside for the new rows of a commit, which may be decided several times."""

    def __init__(self, contacts: list[int], channels: list[int]) -> None:
        self._contacts = contacts
        self._channels = channels

    def assign(self, commit: Commit) -> Commit:
        """Returns the commit with an id for each new row that has none.

        Raises `IdsExhaustedError` if it needs more ids than are set aside.
        """
        if commit.is_empty():
            return commit
        contact_id, count = commit.change.after.id, commits.ids_wanted(commit)
        if contact_id and not count:
            return commit
        if len(self._channels) < count or not (contact_id or self._contacts):
            raise IdsExhaustedError
        return commits.with_ids(commit, contact_id or self._contacts[0], iter(self._channels))
