"""`serve`, `migrate` and `settings`: running the program."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click
import msgspec

from reachbook import settings as all_settings
from reachbook.cli import common, identity_report
from reachbook.cli.identity_report import Report
from reachbook.cli.user import link_address
from reachbook.storage import open_store, opening

if TYPE_CHECKING:
    from reachbook.service.bootstrap import Bootstrap
    from reachbook.settings import Settings
    from reachbook.storage.engine import SchemaChange
    from reachbook.storage.names import NamesProgress


PORT, WORKERS = (click.IntRange(*all_settings.LIMITS[name]) for name in ("port", "workers"))


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=PORT, help="The port; 0 picks a free one.  [default: 8080]")
@click.option(
    "--workers", type=WORKERS, help="Processes; above 1 on PostgreSQL only.  [default: 1]"
)
@click.option("--console/--no-console", default=None, help="The web console.  [default: --console]")
@common.options
def serve(as_json: bool, **flags: object) -> None:
    """Serve the API and the web console.

    The first start on an empty data directory creates a team, its credentials, an admin of the
    console and an example contact, and prints a curl command for it.
    """
    from reachbook.http import rate_limit

    # Imported here, because other commands do not need the libraries of the server.
    from reachbook.server import run as server

    chosen = common.read_settings(**flags)
    if warning := rate_limit.startup_warning(chosen):
        common.echo(warning, err=True)
    # `prepare` has an event loop of its own, so that nothing of it stays open in the process that
    # serves or starts workers.
    with server.sqlite_serve_lock(chosen):
        listener, made = asyncio.run(server.prepare(chosen))
        announce = _announce_as_json if as_json else _announce
        server.run(
            chosen,
            listener,
            lambda url: common.print_or_discard(lambda: announce(url, made, chosen)),
        )


@click.command()
@common.options
def migrate(as_json: bool, **flags: object) -> None:
    """Bring the schema, the identities of addresses and the index of names up to date.

    On Citus it also distributes the tables that are not distributed yet. PostgreSQL is migrated
    only by this command; a SQLite store is also migrated by reachbook serve.
    """
    chosen = common.read_settings(**flags)

    async def run() -> tuple[SchemaChange, Report | None, NamesProgress | None]:
        store = await open_store(chosen.database_url, migrating=True)
        try:
            schema = await store.migrate()
            # The names last, because a server refuses requests until the identities are current.
            return schema, await identity_report.migrate(store), await store.index_names()
        finally:
            await store.close()

    with _migration_lock(chosen):
        schema, report, names = asyncio.run(run())
    if as_json:
        facts: dict[str, object] = {"from": schema.before, "to": schema.after}
        if schema.distributed or schema.to_run:
            facts["citus"] = {"distributed": schema.distributed, "to_run": schema.to_run}
        facts |= {"identities": report} if report else {}
        common.print_json(facts | ({"names": {"contacts": names.contacts}} if names else {}))
        return
    _print_schema(schema)
    if report:
        for line in identity_report.lines(report):
            common.echo(line)
    if names:
        common.echo(f"The names of {names.contacts} contacts were indexed.")


def _print_schema(schema: SchemaChange) -> None:
    if schema.before == schema.after:
        common.echo(f"The schema is at version {schema.after} already.")
    else:
        common.echo(f"The schema was migrated from version {schema.before} to {schema.after}.")
    if schema.distributed:
        common.echo(f"Distributed over the nodes of Citus: {', '.join(schema.distributed)}.")
    if schema.to_run:
        common.echo("The lock timeout is not set on every node. Run as the owner of the database:")
        for statement in schema.to_run:
            common.echo(f"    {statement}")


def _migration_lock(chosen: Settings) -> AbstractContextManager[None]:
    """Lock a SQLite store that has to be migrated, so that no process serves it meanwhile."""
    # Without a migration there is no lock, so that the command succeeds beside a running server.
    if not (opening.is_sqlite(chosen.database_url) and opening.is_behind(chosen.database_url)):
        return nullcontext()
    from reachbook.server import run as server

    return server.sqlite_serve_lock(chosen)


@click.command("settings")
@common.options
def show_settings(as_json: bool, **flags: object) -> None:
    """Show every setting and its source; secrets are masked."""
    shown = all_settings.shown(*all_settings.read(flags, os.environ))
    if as_json:
        common.print_json(shown)
    else:
        rows = [(name, setting["value"], setting["source"]) for name, setting in shown.items()]
        common.print_table(("setting", "value", "source"), rows)


def _announce(url: str, made: Bootstrap | None, chosen: Settings) -> None:
    common.echo(f"Reachbook is listening on {url}")
    if made is None:
        # Without the option, the command would use the store of the default directory.
        directory = f" --data-dir {chosen.data_dir}" if chosen.data_dir else ""
        common.echo(
            f"To send requests, create an API key: reachbook key create --team ID{directory}"
        )
        return
    common.echo()
    common.echo("This is the first start: a team and the contact Alice were created.")
    common.echo("The keys are shown only now:")
    common.echo()
    common.print_facts(
        {
            "team": made.team_id,
            "API key": made.api_key,
            "API secret id": made.secret_id,
            "API secret key": made.secret_key,
        }
    )
    common.echo()
    common.echo("Try it:")
    common.echo()
    common.echo(
        f'curl {url}/v2/contact/{made.contact}/channels -H "Authorization: Bearer {made.api_key}"'
    )
    common.echo()
    if chosen.console:
        common.echo(f"Sign in to the console as {made.user}, once and within ten minutes:")
        common.echo()
        common.echo(link_address(f"{url}{chosen.base_path}", made.sign_in_token))
        common.echo()


def _announce_as_json(url: str, made: Bootstrap | None, chosen: Settings) -> None:
    facts: dict[str, object] = {"url": url}
    if made is not None:
        facts |= msgspec.to_builtins(made)
        token = facts.pop("sign_in_token")
        if chosen.console:
            facts["sign_in_link"] = link_address(f"{url}{chosen.base_path}", str(token))
    common.print_json(facts)
