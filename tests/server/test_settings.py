"""Settings: flags override variables, which override defaults; secrets are masked."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from platformdirs import user_data_path

from reachbook import settings
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import opening

KEY = base64.b64encode(b"k" * 32).decode()


def shown_settings(
    flags: dict[str, object], environment: dict[str, str]
) -> dict[str, dict[str, object]]:
    return settings.shown(*settings.read(flags, environment))


def test_a_flag_overrides_a_variable_and_a_variable_the_default() -> None:
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


def test_an_empty_variable_is_ignored() -> None:
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
def test_the_error_for_an_invalid_value_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(BadSettingError) as refused:
        settings.read({}, {f"REACHBOOK_{name.upper()}": value})

    message = str(refused.value)
    assert f"REACHBOOK_{name.upper()}" in message
    assert "\n" not in message
    assert name != "master_key" or value not in message


def test_settings_are_immutable() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


def test_the_default_database_is_in_the_data_directory() -> None:
    assert Settings().directory == user_data_path("reachbook")
    assert Settings(data_dir="/srv/book").database_url == "sqlite:////srv/book/reachbook.db"
    assert Settings(data_dir="/srv", database="sqlite:///x.db").database_url == "sqlite:///x.db"


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "a?b", "a#b", "名前", "a:b@c", "%2e"])
def test_the_database_url_escapes_the_directory(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name

    url = Settings(data_dir=str(directory)).database_url

    assert opening.is_sqlite(url)
    assert opening.sqlite_path(url) == directory / "reachbook.db"


def test_a_relative_directory_is_resolved_to_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir("/tmp")

    assert Settings(data_dir="book").database_url == "sqlite:////tmp/book/reachbook.db"


def test_shown_returns_each_value_with_its_source() -> None:
    values = shown_settings({"workers": 2}, {"REACHBOOK_DATA_DIR": "/srv/book"})

    assert list(values) == list(Settings.__struct_fields__)
    assert values["workers"] == {"value": 2, "source": "flag"}
    assert values["data_dir"] == {"value": "/srv/book", "source": "environment"}
    assert values["database"] == {"value": "sqlite:////srv/book/reachbook.db", "source": "default"}
    assert values["master_key"] == {"value": "", "source": "default"}


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
    """The last URLs are invalid: users print their settings to find the mistake."""
    value = str(shown_settings({"database": database}, {})["database"]["value"])

    assert ":hunter2" not in value
    assert "=hunter2" not in value
    assert "@hunter2" not in value
    assert "********" in value


def test_the_password_of_rate_limit_url_is_masked() -> None:
    values = shown_settings({}, {"REACHBOOK_RATE_LIMIT_URL": "redis://:hunter2@cache:6379/0"})

    assert values["rate_limit_url"]["value"] == "redis://:********@cache:6379/0"


def test_the_master_key_is_masked() -> None:
    values = shown_settings({}, {"REACHBOOK_MASTER_KEY": KEY})

    assert values["master_key"] == {"value": "********", "source": "environment"}
    assert KEY not in str(values)


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n"])
def test_a_master_key_is_32_bytes_in_base64(text: str) -> None:
    assert settings.decode_master_key(text) == b"k" * 32
