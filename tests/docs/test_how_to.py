"""The how-to guide about the vendor has the options and the variables of its program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from examples.move_from_vendor.move import CREDENTIALS, parse_arguments

ROOT = Path(__file__).parents[2]
PAGES = ["docs/how-to/move-from-the-vendor.md", "examples/move_from_vendor/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_shown_command_is_accepted(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / page).read_text()
    [variables] = re.findall(r"^ *export (.+)$", text, re.MULTILINE)
    [command] = re.findall(r"^ *python move\.py (.+)$", text, re.MULTILINE)
    for assignment in variables.split():
        monkeypatch.setenv(*assignment.split("="))

    assert parse_arguments(shlex.split(command)).map == Path("map.jsonl")


@pytest.mark.parametrize("missing", CREDENTIALS)
def test_a_credential_that_is_not_set_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "...")
    monkeypatch.delenv(missing)

    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--source", "http://a", "--target", "http://b", "--map", "map.jsonl"])

    assert capsys.readouterr().err.rstrip().endswith(f"variables are not set: {missing}")
