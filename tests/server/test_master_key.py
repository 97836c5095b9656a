"""The key that API secrets are sealed under: made once, the owner's alone, tried before use."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.domain.sealing import unseal
from reachbook.server.master_key import FILE_NAME, open_master_key
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import Store, open_store
from tests.support.home import Home

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
SPELLED = base64.b64encode(KEY).decode()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database)
    yield opened
    await opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path / "home"))


@pytest.fixture
def file(settings: Settings) -> Path:
    return settings.directory / FILE_NAME


async def seal_one(store: Store, key: bytes = KEY) -> None:
    """The store now has an API secret, sealed under a key."""
    administration = Administration(store, timestamps.now)
    team = await administration.create_team("Bob's team", None)
    await administration.create_secret(
        team.team_id, CredentialOptions(Representation.INTEGER_IDS), key
    )


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(directory: Path) -> list[str]:
    return [one.name for one in directory.iterdir()]


def content_of(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def write(file: Path, content: bytes, mode: int = 0o600) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)


async def test_it_works(store: Store, settings: Settings, file: Path) -> None:
    """The first time a file is made, for the owner alone; later it is read."""
    made = await open_master_key(settings, store)
    await seal_one(store, made)

    assert len(made) == 32
    assert base64.b64decode(content_of(file) or b"") == made
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    assert [one.name for one in file.parent.iterdir()] == [FILE_NAME]
    assert await open_master_key(settings, store) == made


async def test_two_homes_have_two_keys(store: Store, tmp_path: Path) -> None:
    homes = [Settings(data_dir=str(tmp_path / name)) for name in ("one", "two")]

    assert len({await open_master_key(home, store) for home in homes}) == 2


async def test_the_variable_comes_before_the_file(
    store: Store, settings: Settings, file: Path
) -> None:
    await seal_one(store)
    write(file, base64.b64encode(b"o" * 32))

    opened = await open_master_key(Settings(data_dir=settings.data_dir, master_key=SPELLED), store)

    assert opened == KEY


async def test_with_the_variable_no_file_is_made(
    store: Store, settings: Settings, file: Path
) -> None:
    await open_master_key(Settings(data_dir=settings.data_dir, master_key=SPELLED), store)

    assert content_of(file) is None


@pytest.mark.parametrize("loose", [0o644, 0o640, 0o604, 0o620, 0o601])
async def test_a_file_that_others_can_use_is_refused(
    store: Store, settings: Settings, file: Path, loose: int
) -> None:
    write(file, SPELLED.encode(), loose)

    with pytest.raises(BadSettingError, match=f"chmod 600 {file}"):
        await open_master_key(settings, store)


async def test_another_key_is_refused_by_the_name_of_where_it_came_from(
    store: Store, settings: Settings, file: Path
) -> None:
    await seal_one(store, b"o" * 32)
    write(file, SPELLED.encode())
    by_variable = Settings(data_dir=settings.data_dir, master_key=SPELLED)

    with pytest.raises(BadSettingError, match=f"^{file} is not the master key"):
        await open_master_key(settings, store)
    with pytest.raises(BadSettingError, match=r"^REACHBOOK_MASTER_KEY is not the master key"):
        await open_master_key(by_variable, store)


async def test_a_missing_key_is_not_made_anew_for_a_store_that_holds_secrets(
    store: Store, settings: Settings, file: Path
) -> None:
    await seal_one(store)

    with pytest.raises(BadSettingError, match=f"neither REACHBOOK_MASTER_KEY nor {file}"):
        await open_master_key(settings, store)

    assert content_of(file) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"short", base64.b64encode(b"k" * 31), b"\xff" * 32, SPELLED.encode() * 2],
    ids=["nothing", "no base64", "31 bytes", "raw bytes", "twice"],
)
async def test_a_file_that_holds_something_else_is_refused_by_name(
    store: Store, settings: Settings, file: Path, content: bytes
) -> None:
    """The fourth is what `openssl rand 32` writes when -base64 is forgotten."""
    write(file, content)

    with pytest.raises(BadSettingError) as refused:
        await open_master_key(settings, store)

    assert str(file) in str(refused.value)
    assert content_of(file) == content


async def test_a_directory_that_cannot_be_made_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")

    with pytest.raises(BadSettingError, match="key file"):
        await open_master_key(Settings(data_dir=str(tmp_path / "home")), store)


async def test_what_a_crash_left_beside_it_does_not_stop_the_next_start(
    store: Store, settings: Settings, file: Path
) -> None:
    """In a container the next start often has the process id of the last."""
    write(file.with_name(f"{FILE_NAME}.{os.getpid()}"), b"half a k")

    assert len(await open_master_key(settings, store)) == 32


async def test_of_first_starts_at_once_one_makes_the_key(database: str, tmp_path: Path) -> None:
    """Two live secrets, made by two processes, that one key opens."""
    store = await open_store(database)
    await Administration(store, timestamps.now).create_team("Bob's team", None)
    await store.close()
    home = Home(tmp_path / "home").having(database=database)

    def create(_: int) -> None:
        home.run("secret", "create", "--team", "1").succeeded()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(create, range(2)))

    store = await open_store(database)
    key = await open_master_key(Settings(data_dir=str(home.directory)), store)
    sealed = await store.credentials("api_secret", 1)
    await store.close()
    assert [one.name for one in home.directory.iterdir()] == [FILE_NAME]
    assert len(sealed) == 2
    assert all(unseal(key, one.id, one.proof) for one in sealed)
