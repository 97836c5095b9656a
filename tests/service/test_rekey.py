"""Replacing the master key while two keys are in use."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reachbook.doctor import examine
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Refusal
from reachbook.metrics import Metrics
from reachbook.server import master_key
from reachbook.service.administration import CredentialOptions, Rekeyed
from reachbook.service.authentication import Authenticator
from reachbook.settings import BadSettingError, Settings
from reachbook.storage.store import CredentialKind
from tests.support.home import Home
from tests.support.personas import MASTER_KEY, Api, sign
from tests.support.server_process import Server

NEW_KEY, OTHER_KEY = b"n" * 32, b"o" * 32
BASE64 = {b"n": "bm5u" * 10 + "bm4=", b"m": "bW1t" * 10 + "bW0="}
SECRETS: CredentialKind = "api_secret"
OPTIONS = CredentialOptions(Representation.INTEGER_IDS)


async def accepts_bob(api: Api, *keys: bytes) -> bool:
    """Returns True if a worker with these master keys accepts Bob's JWT."""
    access = Authenticator(api.store, keys, api.clock, Metrics())
    try:
        await access.caller(api.bob.by_jwt()["authorization"])
    except Refusal:
        return False
    finally:
        await access.close()
    return True


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own: the tests change the keys of the whole store."""
    return fresh_api


@pytest.mark.anyio
async def test_rekey_seals_all_secrets_with_the_new_key(api: Api) -> None:
    """A worker with both keys accepts JWTs before and after; afterwards the new key is enough."""
    assert await accepts_bob(api, NEW_KEY, MASTER_KEY)
    assert not await accepts_bob(api, NEW_KEY)

    assert await api.administration.rekey((NEW_KEY, MASTER_KEY)) == Rekeyed(2, [])

    assert await accepts_bob(api, NEW_KEY, MASTER_KEY)
    assert await accepts_bob(api, NEW_KEY)
    assert not await accepts_bob(api, MASTER_KEY)
    assert [finding async for finding in examine(api.store, (NEW_KEY,))] == []


@pytest.mark.anyio
async def test_rekey_can_be_repeated(api: Api) -> None:
    keys, team = (NEW_KEY, MASTER_KEY), api.bob.team.team_id
    await api.administration.rekey(keys)
    await api.administration.create_secret(team, OPTIONS, MASTER_KEY)

    assert await api.administration.rekey(keys) == Rekeyed(1, [])
    assert await api.administration.rekey(keys) == Rekeyed(0, [])


@pytest.mark.anyio
async def test_rekey_reports_secrets_that_no_key_unseals(api: Api) -> None:
    team = api.bob.team.team_id
    other, _ = await api.administration.create_secret(team, OPTIONS, OTHER_KEY)

    assert await api.administration.rekey((NEW_KEY, MASTER_KEY)) == Rekeyed(2, [other.id])

    await api.administration.revoke(SECRETS, other.id)
    assert await api.administration.rekey((NEW_KEY, MASTER_KEY)) == Rekeyed(0, [])


@pytest.mark.anyio
async def test_reseal_does_not_overwrite_a_resealed_secret(api: Api) -> None:
    """Of two simultaneous runs, only one reseals each secret."""
    read = await api.store.credential(SECRETS, api.bob.team.team_id, api.bob.secret.id)
    assert read
    await api.administration.rekey((NEW_KEY, MASTER_KEY))

    assert not await api.store.reseal(read, b"late")
    assert await accepts_bob(api, NEW_KEY)


@pytest.mark.anyio
async def test_a_worker_rereads_the_keys_if_a_secret_cannot_be_unsealed(api: Api) -> None:
    found: list[tuple[bytes, ...]] = [(), (NEW_KEY, MASTER_KEY)]
    access = Authenticator(api.store, (MASTER_KEY,), api.clock, Metrics(), lambda: found.pop(0))
    await api.administration.rekey((NEW_KEY, MASTER_KEY))

    with pytest.raises(Refusal):
        await access.caller(api.bob.by_jwt()["authorization"])
    caller = await access.caller(api.charlie.by_jwt()["authorization"])
    await access.close()

    assert caller.credential_id == api.charlie.secret.id


# ── the key file ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Returns settings of a data directory with a key file."""
    (tmp_path / "master.key").write_text(BASE64[b"m"])
    (tmp_path / "master.key").chmod(0o600)
    return Settings(data_dir=str(tmp_path))


def test_rotating_renames_the_old_key_file(settings: Settings, tmp_path: Path) -> None:
    previous = master_key.rotate_key_file(settings)

    new, old = master_key.known_keys(settings)
    assert old == MASTER_KEY != new
    assert previous == tmp_path / "master.key.previous"
    for path in (previous, tmp_path / "master.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_a_second_rotation_is_refused_before_the_first_is_finished(settings: Settings) -> None:
    previous = master_key.rotate_key_file(settings)
    keys = master_key.known_keys(settings)

    with pytest.raises(BadSettingError, match="from an earlier rotation"):
        master_key.rotate_key_file(settings)

    assert master_key.known_keys(settings) == keys
    previous.unlink()
    master_key.rotate_key_file(settings)
    assert master_key.known_keys(settings)[1] == keys[0]


def test_an_interrupted_rotation_is_finished(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "master.key.previous").hardlink_to(tmp_path / "master.key")
    assert master_key.known_keys(settings) == (MASTER_KEY,)

    master_key.rotate_key_file(settings)

    assert master_key.known_keys(settings)[1] == MASTER_KEY


def test_a_key_of_the_environment_cannot_be_rotated_by_file(tmp_path: Path) -> None:
    with pytest.raises(BadSettingError, match="REACHBOOK_MASTER_KEY_PREVIOUS"):
        master_key.rotate_key_file(Settings(data_dir=str(tmp_path), master_key=BASE64[b"m"]))


def test_rotating_without_a_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettingError, match=r"master\.key: No such file"):
        master_key.rotate_key_file(Settings(data_dir=str(tmp_path)))


def test_a_previous_key_file_that_others_can_read_is_refused(settings: Settings) -> None:
    master_key.rotate_key_file(settings).chmod(0o640)

    with pytest.raises(BadSettingError, match="chmod 600"):
        master_key.known_keys(settings)
    assert master_key.reread(settings) == ()


def test_both_keys_can_be_set_by_the_environment(tmp_path: Path) -> None:
    new, old = BASE64[b"n"], BASE64[b"m"]
    settings = Settings(data_dir=str(tmp_path), master_key=new, master_key_previous=old)

    assert master_key.known_keys(settings) == (NEW_KEY, MASTER_KEY)


# ── with a server ────────────────────────────────────────────────────────────────────────────


@contextmanager
def send_requests(server: Server, secret: dict[str, Any]) -> Iterator[list[int]]:
    """Sends requests with a new JWT each until the block ends, and yields their status codes."""
    statuses: list[int] = []
    done = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=10) as client:
            while not done.is_set():
                statuses.append(status(client, secret, len(statuses)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield statuses
        time.sleep(1.2)  # a worker caches a secret for 0.9 s
    finally:
        done.set()
        thread.join()


def status(client: httpx.Client, secret: dict[str, Any], number: int) -> int:
    """Returns the status code of a request with a new JWT."""
    claims = {"iss": secret["secret_id"], "iat": int(time.time()), "jti": str(number)}
    token = sign(claims, secret["secret_id"], secret["secret_key"])
    headers = {"authorization": f"Bearer {token}"}
    return client.get("/v1/team", headers=headers).status_code


def status_of_new_server(home: Home, secret: dict[str, Any]) -> int:
    """Starts a server, and returns the status code of a request."""
    with home.serve() as server, httpx.Client(base_url=server.url, timeout=10) as client:
        return status(client, secret, 0)


def team_with_secret(home: Home) -> dict[str, Any]:
    team = home.json("team", "create", "Bob's team")["team_id"]
    created: dict[str, Any] = home.json("secret", "create", "--team", str(team))
    return created


def test_a_server_with_both_keys_accepts_all_requests_during_rekey(
    database: str, tmp_path: Path
) -> None:
    old = Home(tmp_path / "data").having(database=database, master_key=BASE64[b"m"])
    both = old.having(master_key=BASE64[b"n"], master_key_previous=BASE64[b"m"])
    secret = team_with_secret(old)

    with both.serve() as server, send_requests(server, secret) as statuses:
        done = both.json("rekey")

    assert (set(statuses), len(statuses) > 50) == ({200}, True)
    assert done == {"resealed": 1, "previous_key_file": None}
    new = old.having(master_key=BASE64[b"n"])
    assert new.json("doctor") == []
    assert status_of_new_server(new, secret) == 200


def test_a_running_server_reads_the_new_key_file(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    secret = team_with_secret(home)

    with home.serve() as server, send_requests(server, secret) as statuses:
        done = home.json("rekey", "--new-key-file")

    assert (set(statuses), len(statuses) > 50) == ({200}, True)
    assert done["resealed"] == 1
    Path(done["previous_key_file"]).unlink()
    assert home.json("doctor") == []
    assert status_of_new_server(home, secret) == 200


def test_on_postgresql_rekey_waits_for_the_file_on_other_hosts(
    database: str, tmp_path: Path
) -> None:
    """A host without the new key could not unseal secrets that are sealed with it."""
    home = Home(tmp_path / "data").having(database=database)
    team_with_secret(home)

    output = home.run("rekey", "--new-key-file").succeeded()

    is_shared = database.startswith("postgresql:")
    assert ("every other host" in output) is is_shared
    assert home.run("doctor").code == is_shared
    assert home.json("rekey")["resealed"] == is_shared
    assert home.run("doctor").succeeded() == "No fault was found.\n"
