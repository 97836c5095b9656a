"""`sandbox`: a temporary server for tests of an integration."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import click

from reachbook.cli import common
from reachbook.cli.serve import PORT
from reachbook.settings import LIMITS

if TYPE_CHECKING:
    from reachbook.sandbox.run import Sandbox

DEFAULT_PORT = 8090
MIN_TOKEN = 16


@click.command()
@click.option(
    "--port",
    type=PORT,
    default=DEFAULT_PORT,
    show_default=True,
    help="The port; 0 picks a free one.",
)
@click.option(
    "--listen-on-all-interfaces",
    is_flag=True,
    help="Let anyone who can reach this machine use the sandbox. Its routes under /sandbox still "
    "need the control token, and a Host header with a loopback address.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(*LIMITS["rate_limit"]),
    default=500,
    show_default=True,
    help="Requests a minute for each credential, as the vendor allows; 0 for no limit.",
)
@click.option(
    "--control-token",
    envvar="REACHBOOK_SANDBOX_TOKEN",
    help="The bearer token of the routes under /sandbox.  [default: a random one]",
)
@click.option(
    "--parent-pid",
    type=click.IntRange(min=1),
    metavar="PID",
    help="End when this process is no longer the parent: the process that started the sandbox, "
    "which may be killed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
@common.report_errors
def sandbox(
    port: int,
    listen_on_all_interfaces: bool,
    rate_limit: int,
    control_token: str | None,
    parent_pid: int | None,
    as_json: bool,
) -> None:
    """Serve a temporary store with a small team, for tests of an integration.

    The store is deleted when the command ends. Routes under /sandbox reset it, take snapshots, move
    the clock, queue faults and show the requests that came.
    """
    from reachbook.sandbox import run as server

    token = control_token if control_token is not None else secrets.token_hex(16)
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise click.BadParameter(
            f"must be at least {MIN_TOKEN} visible ASCII characters.",
            param_hint="--control-token",
        )
    if parent_pid is not None and parent_pid != os.getppid():
        raise click.BadParameter(
            f"must be the process that started the sandbox, which is {os.getppid()}; "
            f"got {parent_pid}.",
            param_hint="--parent-pid",
        )
    host = "0.0.0.0" if listen_on_all_interfaces else "127.0.0.1"  # noqa: S104 - asked for
    options = server.Options(host, port, rate_limit, token, parent_pid)
    show = _print_json if as_json else _print_text
    server.run(options, lambda made: common.print_or_discard(lambda: show(made)))


def _facts(made: Sandbox) -> dict[str, object]:
    return {
        "url": made.url,
        "control_token": made.control_token,
        "team_id": made.team.team_id,
        "api_key": made.team.api_key,
        "secret_id": made.team.secret_id,
        "secret_key": made.team.secret_key,
        "contact": made.team.contact,
    }


def _print_json(made: Sandbox) -> None:
    common.print_json_line(_facts(made))


def _print_text(made: Sandbox) -> None:
    common.echo(f"The sandbox is listening on {made.url}")
    common.echo("Its store is temporary, and is deleted when it ends.")
    common.echo()
    common.print_facts(
        {name.replace("_", " "): value for name, value in _facts(made).items() if name != "url"}
    )
    common.echo()
    common.echo("Try it:")
    common.echo()
    common.echo(
        f"curl {made.url}/v2/contact/{made.team.contact}/channels "
        f'-H "Authorization: Bearer {made.team.api_key}"'
    )
    common.echo(
        f'curl -X POST {made.url}/sandbox/reset -H "Authorization: Bearer {made.control_token}"'
    )
    common.echo()
