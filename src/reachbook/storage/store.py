"""What the program keeps and looks up, in words; the engine below knows only rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from reachbook.contact import Contact
from reachbook.contact_channel import ContactChannel, Reach
from reachbook.credential import Credential, Representation, TeamId
from reachbook.measures import Measures
from reachbook.storage import migrations
from reachbook.storage.commit import STALE, Commit, Saved, Stale, Taken
from reachbook.storage.engine import AlreadyThereError, Engine, Row, unfit

REDOS = 5

_REACH_COLUMNS = slice(0, 3)
_CHANNEL_COLUMNS = slice(3, 13)
_DETAIL_COLUMNS = slice(13, None)

CredentialKind = Literal["api_secret", "api_key"]
Page = TypeVar("Page", bound=Reach)


class Team(Struct, frozen=True):
    """A team. `created` is in microseconds since the epoch."""

    team_id: int
    name: str
    default_region: str | None
    created: int


class Store:
    """The book, on whichever engine."""

    def __init__(self, engine: Engine, measures: Measures) -> None:
        self.engine = engine
        self._measures = measures

    # ── contacts ─────────────────────────────────────────────────────────────────────────────

    async def read(self, page: type[Page], team_id: TeamId, uuid: str) -> Page | None:
        """A contact as a `Reach` or a whole `Contact`; None when the team has no such contact."""
        statement, made_of = _PAGES[page]
        found: Page | None = made_of(
            await self.engine.read(statement, team_id, uuid), team_id, uuid
        )
        return found

    async def commit(self, commit: Commit) -> Saved | Stale | Taken:
        """Write a change, all of it or nothing.

        When a unique key refuses, who is in the way is looked up; when nobody is any more, the
        commit is sent again. A commit that changes nothing is saved already.
        """
        if commit.is_empty():
            return Saved(commit.change.after)
        for _ in range(REDOS):
            try:
                written = await self.engine.commit(commit)
            except AlreadyThereError:
                if taken := await self._in_the_way(commit):
                    return taken
            else:
                if written is None:
                    self._measures.stale.inc()
                    return STALE
                self._measures.commits.inc()
                return Saved(written.change.after)
        return STALE

    async def commit_held(
        self,
        page: type[Page],
        team_id: TeamId,
        uuid: str,
        attempt: Callable[[Page | None], Commit],
    ) -> Saved | Stale | Taken:
        """Read, decide and write while the contact is held, for who has lost too many races."""
        statement, made_of = _PAGES[page]
        attempted: list[Commit] = []

        def decide(rows: list[Row]) -> Commit:
            attempted[:] = [attempt(made_of(rows, team_id, uuid))]
            return attempted[0]

        for _ in range(REDOS):
            try:
                written = await self.engine.decide(statement, team_id, uuid, decide)
            except AlreadyThereError:
                if taken := await self._in_the_way(attempted[0]):
                    return taken
            else:
                return Saved(written.change.after) if written else STALE
        return STALE

    async def _in_the_way(self, commit: Commit) -> Taken | None:
        """Who has what the commit wanted: an address, then the external id, then the UUID."""
        after, before = commit.change.after, commit.change.before
        for channel in after.channels:
            owner = await self._owner(after.team_id, channel)
            if owner and owner.owner_uuid != after.uuid:
                return owner
        if isinstance(after, Contact) and after.external_id is not None:
            rows = await self.engine.read(
                "contact_by_external_id", after.team_id, after.external_id
            )
            if rows and rows[0][0] != after.uuid:
                return Taken(rows[0][0], "external_id")
        if before is None and await self.engine.read("contact_by_uuid", after.team_id, after.uuid):
            return Taken(after.uuid, "uuid")
        return None

    async def _owner(self, team_id: int, channel: ContactChannel) -> Taken | None:
        address = (channel.channel_type, channel.scope, channel.identity)
        rows = await self.engine.read("owner", team_id, *address)
        if not rows:
            return None
        return Taken(rows[0][0], "address", ContactChannel(*rows[0][1:]))

    # ── teams ────────────────────────────────────────────────────────────────────────────────

    async def team(self, team_id: int) -> Team | None:
        """A team by its id."""
        rows = await self.engine.read("team", team_id)
        return Team(*rows[0]) if rows else None

    async def teams(self) -> list[Team]:
        """Every team, oldest first."""
        return [Team(*row) for row in await self.engine.read("teams")]

    async def create_team(self, name: str, default_region: str | None, now: int) -> Team:
        """A new team."""
        team = Team(await self.engine.number("team"), name, default_region, now)
        await self.engine.write("insert_team", *msgspec.structs.astuple(team))
        return team

    async def set_team(self, team: Team) -> None:
        """Keep a team's name and default region."""
        await self.engine.write("set_team", team.team_id, team.name, team.default_region)

    # ── credentials ──────────────────────────────────────────────────────────────────────────

    async def credential(self, kind: CredentialKind, team_id: int, ident: str) -> Credential | None:
        """An API secret or API key with its team's default region, live or revoked."""
        rows = await self.engine.read(kind, team_id, ident)
        return _credential(rows[0]) if rows else None

    async def credentials(self, kind: CredentialKind, team_id: int) -> list[Credential]:
        """A team's API secrets or API keys, oldest first."""
        return [_credential(row) for row in await self.engine.read(f"{kind}s", team_id)]

    async def any_sealed(self) -> tuple[str, bytes] | None:
        """The id and the sealed key of one API secret, to try a master key on."""
        rows = await self.engine.read("any_api_secret")
        return (rows[0][0], bytes(rows[0][1])) if rows else None

    async def insert_api_secret(self, one: Credential, slots: Sequence[int]) -> bool:
        """Keep a new secret in a free slot; False when every slot has a live one."""
        for _ in range(REDOS):
            taken = {row[0] for row in await self.engine.read("taken_slots", one.team_id)}
            free = [slot for slot in slots if slot not in taken]
            if not free:
                return False
            try:
                await self.engine.write(
                    "insert_api_secret", one.team_id, one.id, free[0], *_kept_of(one)
                )
            except AlreadyThereError:
                continue
            return True
        return False

    async def insert_api_key(self, one: Credential) -> None:
        """Keep a new API key."""
        await self.engine.write("insert_api_key", one.team_id, one.id, *_kept_of(one))

    async def revoke(self, kind: CredentialKind, team_id: int, ident: str, now: int) -> bool:
        """End a live credential; False when it had ended before."""
        return bool(await self.engine.write(f"revoke_{kind}", team_id, ident, now))

    async def note_use(
        self, kind: CredentialKind, team_id: int, ident: str, now: int, *, unless_since: int
    ) -> None:
        """Keep when a credential was last used, unless that was said since `unless_since`."""
        await self.engine.write(f"use_{kind}", team_id, ident, now, unless_since)

    # ── the schema ───────────────────────────────────────────────────────────────────────────

    async def migrate(self) -> tuple[int, int]:
        """Bring the schema up to date; the versions before and after."""
        return await self.engine.migrate()

    async def require_schema(self) -> None:
        """Refuse a database that is not exactly at the version this program knows."""
        found = await self.engine.schema_version()
        migrations.refuse_newer(found, self.engine.name)
        known = migrations.newest(self.engine.name)
        if found < known:
            raise unfit(
                f"The database has schema version {found} and this release needs {known}; "
                "run: reachbook migrate"
            )

    async def close(self) -> None:
        """Let go of the database."""
        await self.engine.close()


def _reach(rows: list[Row], team_id: int, uuid: str) -> Reach | None:
    if not rows:
        return None
    number, rev, updated = rows[0][_REACH_COLUMNS]
    return Reach(team_id, number, uuid, rev, updated, _channels(rows))


def _contact(rows: list[Row], team_id: int, uuid: str) -> Contact | None:
    if not rows:
        return None
    number, rev, updated = rows[0][_REACH_COLUMNS]
    *details, opted_out, custom, tags = rows[0][_DETAIL_COLUMNS]
    known: tuple[Any, ...] = (
        *details,
        bool(opted_out),
        msgspec.json.decode(custom),
        msgspec.json.decode(tags, type=tuple[int, ...]),
    )
    return Contact(team_id, number, uuid, rev, updated, _channels(rows), *known)


_PAGES: dict[Any, tuple[str, Callable[[list[Row], int, str], Any]]] = {
    Reach: ("reach", _reach),
    Contact: ("contact", _contact),
}


def _channels(rows: list[Row]) -> tuple[ContactChannel, ...]:
    return tuple(
        ContactChannel(*row[_CHANNEL_COLUMNS])
        for row in rows
        if row[_CHANNEL_COLUMNS][0] is not None
    )


def _credential(row: Row) -> Credential:
    team_id, ident, proof, label, representation, read_only, *rest = row
    return Credential(
        TeamId(team_id),
        ident,
        bytes(proof),
        label,
        Representation(representation),
        bool(read_only),
        *rest,
    )


def _kept_of(one: Credential) -> tuple[object, ...]:
    return one.proof, one.label, one.representation, one.read_only, one.created
