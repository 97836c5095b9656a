"""Teams and credentials, as the command line manages them."""

from __future__ import annotations

import pytest

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.service.administration import CredentialOptions
from tests.support.personas import MASTER_KEY, Api

pytestmark = pytest.mark.anyio

OPTIONS = CredentialOptions(Representation.STRING_IDS, label="test")


async def test_a_team_can_be_renamed_and_its_region_cleared(api: Api) -> None:
    team = await api.administration.create_team("Support", "DE")

    renamed = await api.administration.set_team(team.team_id, "Sales", None)
    cleared = await api.administration.set_team(team.team_id, None, "")

    assert (renamed.name, renamed.default_region) == ("Sales", "DE")
    assert (cleared.name, cleared.default_region) == ("Sales", None)
    assert await api.administration.team(team.team_id) == cleared
    assert cleared in await api.administration.teams()


@pytest.mark.parametrize(("name", "region"), [("", None), ("Support", "XX"), ("a\0b", None)])
async def test_a_malformed_name_or_region_is_refused(
    api: Api, name: str, region: str | None
) -> None:
    with pytest.raises(Refusal) as refused:
        await api.administration.create_team(name, region)

    assert refused.value.reason is Reason.BAD_VALUE


async def test_a_missing_team_is_refused(api: Api) -> None:
    for attempt in (
        api.administration.team(10**6),
        api.administration.set_team(10**6, "Sales", None),
        api.administration.create_key(10**6, OPTIONS),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.reason is Reason.NO_TEAM


async def test_a_team_has_at_most_two_secrets(api: Api) -> None:
    administration = api.administration
    team = (await administration.create_team("Support", None)).team_id
    first, key = await administration.create_secret(team, OPTIONS, MASTER_KEY)
    second, other = await administration.create_secret(team, OPTIONS, MASTER_KEY)
    with pytest.raises(Refusal):
        await administration.create_secret(team, OPTIONS, MASTER_KEY)

    await administration.revoke("api_secret", first.id)
    third, _ = await administration.create_secret(team, OPTIONS, MASTER_KEY)

    listed = await administration.list("api_secret", team)
    assert {secret.id for secret in listed if secret.revoked is None} == {second.id, third.id}
    assert key != other


async def test_revoking_twice_or_an_unknown_credential_is_refused(api: Api) -> None:
    administration = api.administration
    team = (await administration.create_team("Support", None)).team_id
    key, _ = await administration.create_key(team, OPTIONS)

    revoked = await administration.revoke("api_key", key.id)

    assert revoked.revoked is not None
    for ident in (key.id, "rbk_1_0123456789abcdef"):
        with pytest.raises(Refusal):
            await administration.revoke("api_key", ident)
