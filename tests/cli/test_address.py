"""The command line parses addresses by the same rules as the HTTP API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from reachbook.cli import main
from reachbook.domain import timestamps
from reachbook.domain.errors import Reason
from reachbook.service.administration import Administration
from reachbook.storage import open_store
from tests.support.address_cases import FINDINGS, Case


async def make_teams(database: str) -> list[int]:
    """Create a team for each case, because many cases are the same number."""
    store = await open_store(database)
    administration = Administration(store, timestamps.now)
    teams = [await administration.create_team("Bob's team", case.region) for case in FINDINGS]
    await store.close()
    return [team.team_id for team in teams]


def create(case: Case, team: int, database: str, data_dir: Path) -> Result:
    """Run in this process: a new process for each case would take half a minute."""
    channel = f"{case.kind}={case.sent}"
    where = ("--database", database, "--data-dir", str(data_dir), "--team", str(team))
    return CliRunner().invoke(main, ["contact", "create", "--channel", channel, "--json", *where])


def test_each_reported_spelling_gives_its_expected_address_or_error(
    database: str, tmp_path: Path
) -> None:
    teams = asyncio.run(make_teams(database))

    for case, team in zip(FINDINGS, teams, strict=True):
        result = create(case, team, database, tmp_path)

        if isinstance(case.expected, Reason):
            assert result.exit_code == 1, case
            assert result.stderr.startswith("reachbook: "), case
            assert result.stderr.count("\n") == 1, case
        else:
            assert result.exit_code == 0, result.stderr
            [channel] = json.loads(result.stdout)["contact_channels"]
            assert channel["channel_id"] == case.expected, case
