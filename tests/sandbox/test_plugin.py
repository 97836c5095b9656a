"""The fixtures of the pytest plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from reachbook.client import ChannelRequest, Client, ContactRequest, UnauthorizedError
from reachbook.testing import FaultKind, Faults, Sandbox, SandboxError, run_sandbox
from tests.sandbox.conftest import running
from tests.support.waiting import wait_until


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


def test_the_clock_is_set(reachbook_sandbox: Sandbox, reachbook_client: Client) -> None:
    reachbook_sandbox.set_clock(datetime(2035, 1, 1, tzinfo=UTC))
    assert reachbook_client.create_contact(ContactRequest(first="Zoe")).created.startswith("2035-")
    with pytest.raises(SandboxError, match="with its offset"):
        reachbook_sandbox.set_clock(datetime(2035, 1, 1))  # noqa: DTZ001 - refused


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        ("disconnect", ["disconnect", None]),
        ("disconnect_after", ["disconnect_after", None]),
        ("409", ["409", None]),
    ],
)
def test_the_client_writes_once(
    reachbook_sandbox: Sandbox,
    reachbook_client: Client,
    reachbook_faults: Faults,
    fault: FaultKind,
    met: list[str | None],
) -> None:
    reachbook_faults.add(fault, method="POST", path="/v2/contact")

    zoe = reachbook_client.create_contact(ContactRequest(first="Zoe"))

    assert [each["fault"] for each in reachbook_sandbox.journal()] == met
    found = reachbook_client.iterate_contacts()
    assert [contact.uuid for contact in found if contact.first == "Zoe"] == [zoe.uuid]


def test_the_client_raises_the_fault_of_an_expired_token(
    reachbook_client: Client, reachbook_faults: Faults
) -> None:
    reachbook_faults.add("401")
    with pytest.raises(UnauthorizedError):
        reachbook_client.get_team()


def test_a_fault_that_cannot_be_understood_raises(reachbook_faults: Faults) -> None:
    with pytest.raises(SandboxError, match="A fault is"):
        reachbook_faults.add("418")  # type: ignore[arg-type]


SESSION = """
import time

def test_it_runs(reachbook_sandbox):
    print(reachbook_sandbox.url, flush=True)
    time.sleep(60)
"""


def test_it_ends_when_its_session_is_killed(tmp_path: Path) -> None:
    """The session is a process of its own, which SIGKILL ends."""
    (tmp_path / "test_session.py").write_text(SESSION)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "test_session.py"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout is not None
        url = next(line for line in session.stdout if "http://" in line).split()[-1]
        assert httpx.get(f"{url}/healthz").status_code == 200
        session.kill()

    wait_until(lambda: not list(temporary.iterdir()), 15, "the sandbox deletes its store")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def test_a_sandbox_ends_if_its_parent_was_killed_before_it_started(tmp_path: Path) -> None:
    another = os.getppid()
    with running(tmp_path, "--parent-pid", str(another)) as sandbox:
        assert sandbox.process.wait(15) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--no-such-option",), "No such option"),
        (("--rate-limit", "x"), "--rate-limit"),
        (("--control-token", "short"), "at least 16"),
    ],
)
def test_the_error_of_a_sandbox_that_does_not_start_has_the_reason(
    arguments: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SandboxError, match=f"(?s)did not start.*{reason}"), run_sandbox(*arguments):
        pass


def test_the_client_uses_no_proxy(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client: Client = request.getfixturevalue("reachbook_client")
    assert client.get_team().id == 1
