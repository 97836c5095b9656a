"""`reachbook settings`."""

from __future__ import annotations

import base64
import re

import pytest

from reachbook.settings import Settings
from tests.support.home import Home

MASTER_KEY = base64.b64encode(b"k" * 32).decode()


def test_each_setting_is_printed_with_its_source(home: Home) -> None:
    home = home.as_process()
    shown = home.having(port="8123").run("settings").succeeded()

    assert re.search(r"^port +8123 +environment", shown, re.MULTILINE)
    assert re.search(r"^host +127\.0\.0\.1 +default", shown, re.MULTILINE)
    assert not home.directory.exists()


def test_json_output_has_each_value_and_its_source(home: Home) -> None:
    shown = home.having(rate_limit="500").json("settings")

    assert list(shown) == list(Settings.__struct_fields__)
    assert shown["rate_limit"] == {"value": 500, "source": "environment"}
    assert shown["port"] == {"value": 8080, "source": "default"}
    assert shown["data_dir"] == {"value": str(home.directory), "source": "environment"}
    database = f"sqlite:///{home.directory}/reachbook.db"
    assert shown["database"] == {"value": database, "source": "default"}


def test_a_flag_overrides_a_variable(home: Home) -> None:
    other = home.having(database="sqlite:////variable.db")

    shown = other.json("settings", "--database", "sqlite:////flag.db", "--data-dir", "/flag")

    assert shown["database"] == {"value": "sqlite:////flag.db", "source": "flag"}
    assert shown["data_dir"] == {"value": "/flag", "source": "flag"}


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_password_is_masked(home: Home, as_json: list[str]) -> None:
    database = "postgresql://bob:hunter2@db:5433/book"

    shown = home.having(database=database).run("settings", *as_json).succeeded()

    assert "postgresql://bob:********@db:5433/book" in shown


def test_the_master_key_is_masked(home: Home) -> None:
    shown = home.having(master_key=MASTER_KEY).json("settings")

    assert shown["master_key"] == {"value": "********", "source": "environment"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("workers", "65"),
        ("master_key", "c2hvcnQ="),
    ],
)
def test_the_error_for_an_invalid_variable_names_it(home: Home, name: str, value: str) -> None:
    message = home.having(**{name: value}).run("settings").refusal()

    assert f"REACHBOOK_{name.upper()}" in message


def test_the_error_does_not_repeat_an_invalid_master_key(home: Home) -> None:
    wrong = base64.b64encode(b"w" * 31).decode()

    assert wrong not in home.having(master_key=wrong).run("settings").refusal()


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "Usage: reachbook settings" in home.run("settings", "all").misuse()
