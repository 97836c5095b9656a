"""`doctor`, `backup`, `restore` and `rekey`: the commands of an operator."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from msgspec.structs import replace

from reachbook import doctor as doctors
from reachbook.cli import common
from reachbook.doctor import Finding, Kind
from reachbook.domain import timestamps
from reachbook.server import master_key
from reachbook.service.administration import Administration, Rekeyed
from reachbook.service.team_keys import unopened
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import Store, migrations, open_store, opening

FILE = click.Path(dir_okay=False, path_type=Path)
NO_DAMAGE = (Kind.PREVIOUS_KEY, Kind.SHARED_ADDRESS, Kind.ADDRESS, Kind.NAMES)
"""Findings that are no damage. A change of the address rules causes the second and the third."""
AS_IT_IS = "Accept a store in which the doctor finds faults."
DUMP = 'pg_dump --format=custom --file=FILE "$REACHBOOK_DATABASE"'
PG_RESTORE = (
    'pg_restore --clean --if-exists --no-owner --single-transaction --dbname="$REACHBOOK_DATABASE"'
    " FILE, then: reachbook restore --mark"
)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.option("--repair", is_flag=True, help="Show the repairs that are possible; change nothing.")
@click.option("--yes", is_flag=True, help="With --repair: make the repairs.")
@common.options
def doctor(repair: bool, yes: bool, as_json: bool, **flags: object) -> None:
    """Check the database for inconsistencies.

    The command only reads, and can be run beside a server. Its exit code is 0 if it finds no fault.
    """
    if yes and not repair:
        raise click.UsageError("--yes needs --repair.")
    chosen = _existing(common.read_settings(**flags))

    async def run(store: Store) -> list[tuple[Finding, bool]]:
        found = await _findings(chosen, store)
        if not yes:
            return [(finding, False) for finding in found]
        return [finding async for finding in doctors.repair(store, found, timestamps.now)]

    found = common.with_store(chosen, run)
    if as_json:
        common.print_json([_facts(finding, done if yes else None) for finding, done in found])
    else:
        _print_findings(found, repair=repair, yes=yes)
    left = sum(not done for _, done in found)
    if left and yes:
        common.end(f"{left} of {len(found)} faults could not be repaired.")
    elif left:
        next_step = "--repair --yes makes the repairs" if repair else "--repair shows the repairs"
        common.end(f"{_faults(left)} found; reachbook doctor {next_step}.")


async def _findings(chosen: Settings, store: Store) -> list[Finding]:
    keys = master_key.known_keys(chosen)
    return [finding async for finding in doctors.examine(store, keys)]


def _facts(finding: Finding, repaired: bool | None) -> dict[str, object]:
    facts: dict[str, object] = {"kind": finding.kind, "team_id": finding.team_id}
    optional = {"contact_id": finding.contact_id, "what": finding.message, "repair": finding.repair}
    facts |= {name: value for name, value in optional.items() if value is not None}
    return facts if repaired is None else {**facts, "repaired": repaired}


def _print_findings(found: list[tuple[Finding, bool]], *, repair: bool, yes: bool) -> None:
    if not found:
        common.echo("No fault was found.")
    for finding, done in found:
        where = "the store" if finding.team_id is None else f"team {finding.team_id}"
        where += f", contact {finding.contact_id}" if finding.contact_id else ""
        common.echo(f"{finding.kind}: {where}: {finding.message}.")
        if done:
            common.echo("  repaired")
        elif repair and (yes or finding.repair is None):
            common.echo("  not repaired" if yes else "  cannot be repaired by this command")
        elif repair:
            common.echo(f"  would {finding.repair}")


def _faults(count: int) -> str:
    return "1 fault was" if count == 1 else f"{count} faults were"


# ── backup and restore ───────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("file", type=FILE)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--as-it-is", is_flag=True, help=AS_IT_IS)
@common.options
def backup(file: Path, overwrite: bool, as_it_is: bool, as_json: bool, **flags: object) -> None:
    """Copy a SQLite store to FILE, and verify the copy; the store may be in use."""
    file = file.absolute()
    chosen = _sqlite(common.read_settings(**flags), DUMP)
    source = _database(_existing(chosen))
    if file.exists() and not overwrite:
        raise BadSettingError(f"{file} exists already; name another file, or use --overwrite.")
    if file.exists() and file.samefile(source):
        raise BadSettingError(f"{file} is the database itself; name another file.")
    made = asyncio.run(_take(chosen, file, as_it_is=as_it_is))
    if as_json:
        common.print_json(made)
        return
    common.echo(f"The store was copied to {file} and verified: {made['bytes']} bytes.")
    where = "REACHBOOK_MASTER_KEY" if chosen.master_key else chosen.directory / "master.key"
    common.echo(
        f"The backup does not contain the master key: back up {where}, too. Without it the API "
        "secrets cannot be opened."
    )


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option("--as-it-is", is_flag=True, help=AS_IT_IS)
@click.option("--mark", is_flag=True, help="Only change the incarnation; without FILE.")
@common.options
def restore(file: Path | None, as_it_is: bool, mark: bool, as_json: bool, **flags: object) -> None:
    """Replace a SQLite store by the backup in FILE; no server may be running.

    The previous store is kept beside it. The restored store has another incarnation, so that ETags
    and positions in the feed from before are refused.

    With --mark only the incarnation changes. Run it after pg_restore, after a point-in-time
    recovery, and after a failover that lost commits.
    """
    from reachbook.server import run as server

    chosen = common.read_settings(**flags)
    if mark == (file is not None):
        raise click.UsageError("Name either a FILE or --mark.")
    if file is None:
        with server.sqlite_serve_lock(_existing(chosen)):
            _mark(chosen, as_json=as_json)
        return
    chosen = _sqlite(chosen, PG_RESTORE)
    # A running server would continue to write to the replaced file, and these writes would be lost.
    with server.sqlite_serve_lock(chosen):
        made = asyncio.run(_put_back(chosen, file, as_it_is=as_it_is))
    if as_json:
        common.print_json(made)
        return
    common.echo(f"{made['database']} was restored from {file}.")
    if made["replaced"]:
        common.echo(f"The previous store is kept as {made['replaced']}.")


def _mark(chosen: Settings, *, as_json: bool) -> None:
    token = common.with_store(chosen, lambda store: store.renew_incarnation())
    if as_json:
        common.print_json({"incarnation": token})
        return
    common.echo(f"The store has another incarnation: {token}.")
    if not opening.is_sqlite(chosen.database_url):
        common.echo("Restart every server process: they read the incarnation when they start.")


async def _take(chosen: Settings, file: Path, *, as_it_is: bool) -> dict[str, Any]:
    from reachbook.storage.sqlite import (
        backup as backups,  # imported here, because other commands do not need its driver
    )

    # In the same directory, because only a rename within one file system is atomic. An existing
    # backup is replaced only by a verified one.
    fresh = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        backups.copy(_database(chosen), fresh)
        version, orphans = backups.verify(fresh)
        if version < migrations.newest(backups.ENGINE):
            raise BadSettingError(
                f"The database has schema version {version}: make the backup with the release "
                "that created it, or run first: reachbook migrate"
            )
        await _require_sound(chosen, fresh, orphans, as_it_is=as_it_is)
        backups.finish(fresh)
        size = fresh.stat().st_size
        backups.put(fresh, file)
    except OSError as error:
        raise BadSettingError(f"{file}: {error.strerror}.") from None
    finally:
        backups.discard(fresh)
    return {"file": str(file), "bytes": size, "schema_version": version}


async def _put_back(chosen: Settings, file: Path, *, as_it_is: bool) -> dict[str, Any]:
    from reachbook.storage.sqlite import backup as backups

    target = _database(chosen)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.part")
    kept = None
    try:
        # Verified before the copy for a clear error, and again after it because the disk can fail.
        backups.verify(file)
        backups.copy(file, fresh)
        await _migrate(fresh)
        _, orphans = backups.verify(fresh)
        await _require_sound(chosen, fresh, orphans, as_it_is=as_it_is)
        # Before the store is replaced: it must never be served with the old incarnation.
        incarnation = await _renew_incarnation(fresh)
        backups.finish(fresh)
        if target.exists():
            # Kept, so that an operator who restores the wrong file can go back.
            kept = target.with_name(f"{target.name}.replaced-{_stamp()}")
            backups.set_aside(target, kept)
        backups.put(fresh, target)
    except OSError as error:
        raise BadSettingError(f"{target}: {error.strerror}.") from None
    finally:
        backups.discard(fresh)
    replaced = str(kept) if kept else None
    return {"database": str(target), "replaced": replaced, "incarnation": incarnation}


async def _migrate(path: Path) -> None:
    """Migrate a copy that no other process uses, if an older release made it."""
    store = await open_store(_url(path))
    try:
        await store.migrate_identities()
        await store.index_names()
    finally:
        await store.close()


async def _renew_incarnation(path: Path) -> str:
    store = await open_store(_url(path))
    try:
        return await store.renew_incarnation()
    finally:
        await store.close()


def _url(path: Path) -> str:
    return "sqlite:///" + quote(str(path))


async def _require_sound(chosen: Settings, path: Path, orphans: int, *, as_it_is: bool) -> None:
    """Refuse a copy whose secrets cannot be opened, or in which the doctor finds faults."""
    store = await open_store(_url(path))
    try:
        await store.require_identities()
        # Raises if the API secrets cannot be opened: the backup is of another installation.
        await master_key.open_master_keys(chosen, store)
        found = [finding.kind for finding in await _findings(chosen, store)]
        count = max(orphans, sum(kind not in NO_DAMAGE for kind in found))
    finally:
        await store.close()
    if count and not as_it_is:
        raise BadSettingError(
            f"{_faults(count)} found in the copy, so it was discarded; see reachbook doctor "
            "--repair, or use --as-it-is."
        )


def _existing(chosen: Settings) -> Settings:
    """Returns the settings; raises if there is no SQLite store, so that none is created."""
    if opening.is_sqlite(chosen.database_url) and not _database(chosen).is_file():
        raise BadSettingError(f"There is no store at {_database(chosen)}.")
    return chosen


def _sqlite(chosen: Settings, command: str) -> Settings:
    if not opening.is_sqlite(chosen.database_url):
        raise BadSettingError(f"This command is for SQLite. For PostgreSQL run: {command}")
    return chosen


def _database(chosen: Settings) -> Path:
    """Returns the path of the SQLite file, with symbolic links resolved."""
    return Path(os.path.realpath(opening.sqlite_path(chosen.database_url)))


def _stamp() -> str:
    """Returns the current time as a part of a file name: 20240115T100000.000000Z."""
    return timestamps.format_micros(timestamps.now()).replace("-", "").replace(":", "")


# ── rekey ────────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.option(
    "--new-key-file", is_flag=True, help="First create a new master.key; the old one is kept."
)
@click.option(
    "--discard-suppressions",
    "discard",
    is_flag=True,
    help="Delete the opt-outs and bounces of teams whose key no master key opens.",
)
@common.options
def rekey(new_key_file: bool, discard: bool, as_json: bool, **flags: object) -> None:
    """Seal secrets of the previous master key under the current one.

    These are API secrets and the suppression keys of teams. Servers that have both master keys
    continue to work. The command can be stopped and run again.
    """
    chosen = _existing(common.read_settings(**flags))

    async def run(store: Store) -> Rekeyed:
        keys = await master_key.open_master_keys(chosen, store)
        administration = Administration(store, timestamps.now)
        teams = await administration.rekey_teams(keys, discard=discard)
        secrets = await administration.rekey(keys)
        return replace(teams, resealed=secrets.resealed, unopened=secrets.unopened)

    async def rotate(store: Store) -> Path:
        # Raises if the API secrets cannot be opened: the master key is of another installation.
        await master_key.open_master_keys(chosen, store)
        return master_key.rotate_key_file(chosen)

    previous = common.with_store(chosen, rotate) if new_key_file else None
    if previous and not as_json:
        common.echo(
            f"{previous.with_name(master_key.FILE_NAME)} is new; {previous} is the old one."
        )
    if previous and not opening.is_sqlite(chosen.database_url):
        # Other hosts do not have the new key yet, and could not open a secret sealed under it.
        done = Rekeyed(0, [])
        next_step = "Copy both to every other host that serves, then run: reachbook rekey"
    else:
        done = common.with_store(chosen, run)
        next_step = "When reachbook doctor finds no previous_key, drop the previous key."
    _print_rekeyed(done, previous, next_step, as_json=as_json)
    if done.unopened:
        common.end(f"No key opens these API secrets: {', '.join(done.unopened)}.")
    if done.unopened_teams:
        common.end(unopened(done.unopened_teams))


def _print_rekeyed(done: Rekeyed, previous: Path | None, next_step: str, *, as_json: bool) -> None:
    if as_json:
        kept = str(previous) if previous else None
        discarded = {"discarded_teams": done.discarded_teams} if done.discarded_teams else {}
        common.print_json({"resealed": done.resealed, "previous_key_file": kept, **discarded})
        return
    common.echo(f"API secrets sealed again, under the current master key: {done.resealed}.")
    if done.team_keys:
        common.echo(f"Suppression keys of teams sealed again: {done.team_keys}.")
    if done.discarded_teams:
        teams = ", ".join(map(str, done.discarded_teams))
        common.echo(f"The opt-outs and bounces of these teams were deleted: {teams}.")
    if not done.unopened and not done.unopened_teams:
        common.echo(next_step)
