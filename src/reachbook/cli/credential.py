"""`secret` and `key`: the credentials of a team."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from reachbook.cli import common
from reachbook.domain import timestamps
from reachbook.domain.credential import Credential, Representation
from reachbook.server.master_key import open_master_key
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.storage import Store
from reachbook.storage.store import CredentialKind


@click.group()
def secret() -> None:
    """Create, list and revoke API secrets, which sign JWTs. A team has at most two live ones."""


@click.group()
def key() -> None:
    """Create, list and revoke API keys."""


def _options(default: Representation) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--read-only", is_flag=True, help="The credential cannot write."),
            click.option(
                "--representation",
                type=click.Choice([str(choice) for choice in Representation]),
                default=str(default),
                show_default=True,
                help="The form of ids in responses.",
            ),
            click.option("--label", default="", help="A label, for people."),
            click.option("--team", "team_id", type=int, required=True, metavar="ID"),
        ):
            command = option(command)
        return common.options(command)

    return decorate


@secret.command("create")
@_options(Representation.INTEGER_IDS)
def create_secret(
    team_id: int, label: str, representation: str, read_only: bool, as_json: bool, **flags: object
) -> None:
    """Create an API secret, and show its key, which is not shown again."""
    chosen = common.read_settings(**flags)
    options = CredentialOptions(Representation(representation), label, read_only)

    async def make(store: Store) -> tuple[Credential, str]:
        return await Administration(store, timestamps.now).create_secret(
            team_id, options, await open_master_key(chosen, store)
        )

    made, secret_key = common.with_store(chosen, make)
    _show_new(
        {
            "team_id": made.team_id,
            "secret_id": made.id,
            "secret_key": secret_key,
            "representation": made.representation,
        },
        as_json=as_json,
    )


@key.command("create")
@_options(Representation.STRING_IDS)
def create_key(
    team_id: int, label: str, representation: str, read_only: bool, as_json: bool, **flags: object
) -> None:
    """Create an API key, and show it; it is not shown again."""
    options = CredentialOptions(Representation(representation), label, read_only)
    made, api_key = common.with_administration(
        common.read_settings(**flags),
        lambda admin: admin.create_key(team_id, options),
    )
    _show_new(
        {
            "team_id": made.team_id,
            "key_id": made.id,
            "api_key": api_key,
            "representation": made.representation,
        },
        as_json=as_json,
    )


def _add_list_and_revoke(group: click.Group, kind: CredentialKind, noun: str) -> None:
    @group.command("list", help=f"List API {noun}s, without their keys.")
    @click.option("--team", "team_id", type=int, metavar="ID", help="Of this team only.")
    @common.options
    def list_(team_id: int | None, as_json: bool, **flags: object) -> None:
        found = common.with_administration(
            common.read_settings(**flags), lambda admin: admin.list(kind, team_id)
        )
        facts = [_facts(credential, noun) for credential in found]
        if as_json:
            common.print_json(facts)
        else:
            columns = ("team", noun, "label", "ids", "read only", "created", "used", "revoked")
            common.print_table(columns, [list(credential.values()) for credential in facts])

    @group.command("revoke", help=f"Revoke an API {noun}; every worker refuses it within a second.")
    @click.argument("ident", metavar=f"{noun.upper()}_ID")
    @common.options
    def revoke(ident: str, as_json: bool, **flags: object) -> None:
        ended = common.with_administration(
            common.read_settings(**flags), lambda admin: admin.revoke(kind, ident)
        )
        facts = _facts(ended, noun)
        if as_json:
            common.print_json(facts)
        else:
            common.echo(f"{ended.id} is revoked, as of {facts['revoked']}.")


_add_list_and_revoke(secret, "api_secret", "secret")
_add_list_and_revoke(key, "api_key", "key")


def _show_new(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        common.print_json(facts)
    else:
        common.print_facts(facts)
        common.echo()
        common.echo("Store the key now; it is not shown again.")


def _facts(credential: Credential, noun: str) -> dict[str, object]:
    return {
        "team_id": credential.team_id,
        f"{noun}_id": credential.id,
        "label": credential.label,
        "representation": credential.representation,
        "read_only": credential.read_only,
        "created": timestamps.format_micros(credential.created),
        "last_used": timestamps.format_micros(credential.last_used)
        if credential.last_used
        else None,
        "revoked": timestamps.format_micros(credential.revoked) if credential.revoked else None,
    }
