"""The fixtures of the pytest plugin."""

from __future__ import annotations

import pytest

from reachbook.client import ChannelRequest, Client, ContactRequest, UnauthorizedError
from reachbook.testing import Faults, Sandbox, SandboxError, run_sandbox


@pytest.mark.parametrize("_turn", range(2))
def test_each_test_has_the_seed(
    reachbook_sandbox: Sandbox, reachbook_client: Client, _turn: int
) -> None:
    channels = reachbook_client.list_channels(reachbook_sandbox.contact_id)
    assert [channel.channel_id for channel in channels] == ["15105553344", "alice@example.com"]

    reachbook_client.add_channel(
        reachbook_sandbox.contact_id, ChannelRequest("email", "second@example.com")
    )


def test_a_snapshot_is_restored(reachbook_sandbox: Sandbox, reachbook_client: Client) -> None:
    zoe = reachbook_client.create_contact(ContactRequest(first="Zoe"))
    reachbook_sandbox.take_snapshot("with-zoe")
    reachbook_client.delete_contact(zoe.uuid)

    reachbook_sandbox.restore("with-zoe")

    assert reachbook_client.get_contact(zoe.uuid).first == "Zoe"


def test_the_clock_moves(reachbook_sandbox: Sandbox) -> None:
    with Client(reachbook_sandbox.url, reachbook_sandbox.api_secret) as client:
        client.get_team()
        reachbook_sandbox.advance_clock(400)
        with pytest.raises(UnauthorizedError, match="expired"):
            client.get_team()


def test_a_fault_that_cannot_be_understood_raises(reachbook_faults: Faults) -> None:
    with pytest.raises(SandboxError, match="A fault is"):
        reachbook_faults.add("418")  # type: ignore[arg-type]


def test_a_sandbox_that_does_not_start_raises() -> None:
    with pytest.raises(SandboxError, match="did not start"), run_sandbox("--no-such-option"):
        pass
