"""The master key: created once, readable by its owner only, checked before use."""

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
ENCODED_KEY = base64.b64encode(KEY).decode()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database)
    yield opened
    await opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path / "home"))


@pytest.fixture
def key_file(settings: Settings) -> Path:
    return settings.directory / FILE_NAME


async def create_secret(store: Store, key: bytes = KEY) -> None:
    """Create a team with an API secret that is encrypted with `key`."""
    administration = Administration(store, timestamps.now)
    team = await administration.create_team("Bob's team", None)
    await administration.create_secret(
        team.team_id, CredentialOptions(Representation.INTEGER_IDS), key
    )


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def file_names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def content_of(key_file: Path) -> bytes | None:
    return key_file.read_bytes() if key_file.exists() else None


def write(key_file: Path, content: bytes, mode_of: int = 0o600) -> None:
    key_file.parent.mkdir(exist_ok=True)
    key_file.write_bytes(content)
    key_file.chmod(mode_of)


async def test_the_key_file_is_created_once_with_mode_600(
    store: Store, settings: Settings, key_file: Path
) -> None:
    """The first call creates the file; later calls read it."""
    created = await open_master_key(settings, store)
    await create_secret(store, created)

    assert len(created) == 32
    assert base64.b64decode(content_of(key_file) or b"") == created
    assert mode_of(key_file) == 0o600
    assert mode_of(key_file.parent) == 0o700
    assert file_names(key_file.parent) == [FILE_NAME]
    assert await open_master_key(settings, store) == created


async def test_two_data_directories_have_different_keys(store: Store, tmp_path: Path) -> None:
    homes = [Settings(data_dir=str(tmp_path / name)) for name in ("one", "two")]

    assert len({await open_master_key(home, store) for home in homes}) == 2


async def test_the_variable_overrides_the_file(
    store: Store, settings: Settings, key_file: Path
) -> None:
    await create_secret(store)
    write(key_file, base64.b64encode(b"o" * 32))

    opened = await open_master_key(
        Settings(data_dir=settings.data_dir, master_key=ENCODED_KEY), store
    )

    assert opened == KEY


async def test_no_file_is_created_if_the_variable_is_set(
    store: Store, settings: Settings, key_file: Path
) -> None:
    await open_master_key(Settings(data_dir=settings.data_dir, master_key=ENCODED_KEY), store)

    assert content_of(key_file) is None


@pytest.mark.parametrize("file_mode", [0o644, 0o640, 0o604, 0o620, 0o601])
async def test_a_file_accessible_to_others_is_refused(
    store: Store, settings: Settings, key_file: Path, file_mode: int
) -> None:
    write(key_file, ENCODED_KEY.encode(), file_mode)

    with pytest.raises(BadSettingError, match=f"chmod 600 {key_file}"):
        await open_master_key(settings, store)


async def test_the_error_for_a_wrong_key_names_its_source(
    store: Store, settings: Settings, key_file: Path
) -> None:
    await create_secret(store, b"o" * 32)
    write(key_file, ENCODED_KEY.encode())
    by_variable = Settings(data_dir=settings.data_dir, master_key=ENCODED_KEY)

    with pytest.raises(BadSettingError, match=f"^{key_file} is not the master key"):
        await open_master_key(settings, store)
    with pytest.raises(BadSettingError, match=r"^REACHBOOK_MASTER_KEY is not the master key"):
        await open_master_key(by_variable, store)


async def test_no_key_is_created_if_the_database_has_secrets(
    store: Store, settings: Settings, key_file: Path
) -> None:
    await create_secret(store)

    with pytest.raises(BadSettingError, match=f"neither REACHBOOK_MASTER_KEY nor {key_file}"):
        await open_master_key(settings, store)

    assert content_of(key_file) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"short", base64.b64encode(b"k" * 31), b"\xff" * 32, ENCODED_KEY.encode() * 2],
    ids=["empty", "not base64", "31 bytes", "raw bytes", "twice"],
)
async def test_the_error_for_an_invalid_key_file_names_it(
    store: Store, settings: Settings, key_file: Path, content: bytes
) -> None:
    """The fourth is the output of `openssl rand 32` without -base64."""
    write(key_file, content)

    with pytest.raises(BadSettingError) as refused:
        await open_master_key(settings, store)

    assert str(key_file) in str(refused.value)
    assert content_of(key_file) == content


async def test_the_error_for_a_data_directory_that_cannot_be_created_names_the_key_file(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file")

    with pytest.raises(BadSettingError, match="key file"):
        await open_master_key(Settings(data_dir=str(tmp_path / "home")), store)


async def test_a_temporary_file_of_a_crashed_process_is_ignored(
    store: Store, settings: Settings, key_file: Path
) -> None:
    """In a container the next process often has the same process id."""
    write(key_file.with_name(f"{FILE_NAME}.{os.getpid()}"), b"half a k")

    assert len(await open_master_key(settings, store)) == 32


async def test_concurrent_first_starts_create_one_key(database: str, tmp_path: Path) -> None:
    """Two processes each create a secret, and both are encrypted with the same key."""
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
    assert file_names(home.directory) == [FILE_NAME]
    assert len(sealed) == 2
    assert all(unseal(key, secret.id, secret.proof) for secret in sealed)
