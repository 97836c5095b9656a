"""Flags, then variables, then defaults; secrets masked."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from platformdirs import user_data_path

from reachbook import settings
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import opening

KEY = base64.b64encode(b"k" * 32).decode()


def shown(flags: dict[str, object], environment: dict[str, str]) -> dict[str, dict[str, object]]:
    return settings.shown(*settings.read(flags, environment))


def test_it_works() -> None:
    """Each setting comes from where it is said first."""
    environment = {"REACHBOOK_PORT": "8001", "REACHBOOK_HOST": "0.0.0.0", "PORT": "9"}
    read, sources = settings.read({"port": 8002, "host": None, "as_json": True}, environment)

    assert (read.port, sources["port"]) == (8002, "flag")
    assert (read.host, sources["host"]) == ("0.0.0.0", "environment")
    assert (read.workers, sources["workers"]) == (1, "default")
    assert sources.keys() == set(Settings.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("database", "postgresql://db/book", ""),
        ("data_dir", "/srv/book", ""),
        ("master_key", KEY, ""),
        ("host", "::1", "127.0.0.1"),
        ("port", 0, 8080),
        ("workers", 4, 1),
        ("rate_limit", 500, 0),
        ("rate_limit_url", "redis://cache:6379", ""),
        ("metrics", "127.0.0.1:9100", ""),
        ("base_path", "/contacts", ""),
        ("trusted_proxies", "10.0.0.1", ""),
    ],
)
def test_every_setting_has_a_variable_and_a_flag(name: str, value: object, default: object) -> None:
    by_variable, _ = settings.read({}, {f"REACHBOOK_{name.upper()}": str(value)})
    by_flag, sources = settings.read({name: value}, {f"REACHBOOK_{name.upper()}": "ignored"})

    assert getattr(by_variable, name) == getattr(by_flag, name) == value
    assert sources[name] == "flag"
    assert getattr(Settings(), name) == default


def test_an_empty_variable_is_none() -> None:
    read, sources = settings.read({}, {"REACHBOOK_PORT": "", "REACHBOOK_DATABASE": ""})

    assert read == Settings()
    assert set(sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("port", "80.5"),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "null"),
        ("workers", "0"),
        ("workers", "65"),
        ("workers", "true"),
        ("rate_limit", "-1"),
        ("rate_limit", "10000001"),
        ("metrics", "9100"),
        ("metrics", "127.0.0.1:99999"),
        ("base_path", "contacts"),
        ("base_path", "/contacts/"),
        ("master_key", "x"),
        ("master_key", base64.b64encode(b"k" * 31).decode()),
        ("master_key", "é" * 44),
    ],
)
def test_what_a_setting_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSettingError) as refused:
        settings.read({}, {f"REACHBOOK_{name.upper()}": value})

    said = str(refused.value)
    assert f"REACHBOOK_{name.upper()}" in said
    assert "\n" not in said
    assert name != "master_key" or value not in said


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


def test_the_store_is_in_the_data_directory_unless_said_otherwise() -> None:
    assert Settings().directory == user_data_path("reachbook")
    assert Settings(data_dir="/srv/book").database_url == "sqlite:////srv/book/reachbook.db"
    assert Settings(data_dir="/srv", database="sqlite:///x.db").database_url == "sqlite:///x.db"


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "a?b", "a#b", "名前", "a:b@c", "%2e"])
def test_any_directory_can_hold_the_store(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name

    url = Settings(data_dir=str(directory)).database_url

    assert opening.is_sqlite(url)
    assert opening.sqlite_path(url) == directory / "reachbook.db"


def test_a_relative_directory_is_taken_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")

    assert Settings(data_dir="book").database_url == "sqlite:////tmp/book/reachbook.db"


def test_what_is_shown_has_each_value_with_its_source() -> None:
    told = shown({"workers": 2}, {"REACHBOOK_DATA_DIR": "/srv/book"})

    assert list(told) == list(Settings.__struct_fields__)
    assert told["workers"] == {"value": 2, "source": "flag"}
    assert told["data_dir"] == {"value": "/srv/book", "source": "environment"}
    assert told["database"] == {"value": "sqlite:////srv/book/reachbook.db", "source": "default"}
    assert told["master_key"] == {"value": "", "source": "default"}


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://bob:hunter2@db/book",
        "postgresql://bob:hunter2@db:5433/book?sslmode=require",
        "postgresql://:hunter2@db/book",
        "postgresql://hunter2:hunter2@db/book",
        "postgresql://bob:p%40hunter2@db/book",
        "postgresql://bob:x:hunter2@db/book",
        "postgresql://bob:x@hunter2@db/book",
        "postgresql://db/book?user=bob&password=hunter2",
        "postgresql://bob:hunter2/x@db/book",
        "postgresql://bob:hunter2#x@db/book",
        "postgresql://bob:hunter2?x@db/book",
        "postgresql://bob:hunter2@[::1/book",
    ],
)
def test_a_password_is_masked(database: str) -> None:
    """The last ones are misspelled, and then people show what they have set."""
    value = str(shown({"database": database}, {})["database"]["value"])

    assert ":hunter2" not in value
    assert "=hunter2" not in value
    assert "@hunter2" not in value
    assert "********" in value


def test_the_password_of_the_shared_counter_is_masked() -> None:
    told = shown({}, {"REACHBOOK_RATE_LIMIT_URL": "redis://:hunter2@cache:6379/0"})

    assert told["rate_limit_url"]["value"] == "redis://:********@cache:6379/0"


def test_the_master_key_is_masked() -> None:
    told = shown({}, {"REACHBOOK_MASTER_KEY": KEY})

    assert told["master_key"] == {"value": "********", "source": "environment"}
    assert KEY not in str(told)


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n"])
def test_a_master_key_is_32_bytes_in_base64(text: str) -> None:
    assert settings.decode_master_key(text) == b"k" * 32
