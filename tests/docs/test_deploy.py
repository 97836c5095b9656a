"""The files in deploy/: they say what they should, fit the program, and do what they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from reachbook.server import protocol, run
from reachbook.settings import Settings
from tests.docs.test_docs import parse
from tests.support.server_process import free_port, serving

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_page_names_every_file() -> None:
    named = re.findall(r"^\| `([\w.]+)` \|", (DEPLOY / "README.md").read_text(), re.MULTILINE)

    assert sorted([*named, "README.md"]) == sorted(file.name for file in DEPLOY.iterdir())


# ── the image ────────────────────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    """The lines of the Containerfile, as instruction and what it is given."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = (line for line in text.replace("\\\n", " ").splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def given(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def health_check() -> list[str]:
    [check] = given("HEALTHCHECK")
    command: list[str] = json.loads(check.partition(" CMD ")[2])
    return command


def test_the_last_stage_holds_the_program_and_runs_it_as_nobody_in_particular() -> None:
    stages = [index for index, (word, _) in enumerate(instructions()) if word == "FROM"]
    last = instructions()[stages[-1] :]

    assert len(stages) == 2
    assert [rest for word, rest in last if word == "COPY"] == [
        "--from=build /opt/reachbook /opt/reachbook"
    ]
    [user] = [rest for word, rest in last if word == "USER"]
    assert all(int(part) > 1000 for part in user.split(":"))
    assert json.loads(given("ENTRYPOINT")[0]) + json.loads(given("CMD")[0]) == [
        "reachbook",
        "serve",
    ]


def test_no_shell_stands_between() -> None:
    for word in ("RUN", "ENTRYPOINT", "CMD"):
        for rest in given(word):
            assert isinstance(json.loads(rest), list), f"{word} {rest}"
    assert health_check()[0] == "python"


def test_dependencies_come_by_hash_and_what_is_copied_is_there() -> None:
    [from_lock] = [rest for rest in given("RUN") if "requirements/run.txt" in rest]
    assert "--require-hashes" in json.loads(from_lock)

    [ours] = [rest for rest in given("RUN") if json.loads(rest)[-1] == "."]
    assert "--no-deps" in json.loads(ours)

    for rest in given("COPY"):
        for source in rest.split()[:-1] if not rest.startswith("--from") else []:
            assert (ROOT / source).exists(), source


def test_the_lock_holds_every_dependency() -> None:
    """What the image and the unit install is what the program imports."""
    locked = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    )

    wanted = {re.split(r"[^\w.-]", one)[0] for one in PROJECT["dependencies"]}

    assert wanted - locked == set()


def test_the_python_of_the_image_is_one_that_is_supported() -> None:
    [lowest] = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    for image in given("FROM"):
        [minor] = re.findall(r"python:3\.(\d+)-slim", image)
        assert int(lowest) <= int(minor)


def test_the_health_check_tells_a_server_from_none(tmp_path: Path) -> None:
    command = [sys.executable, *health_check()[1:]]

    def healthy(port: str) -> bool:
        environment = {**os.environ, "REACHBOOK_PORT": port}
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=10, check=False
        )
        return done.returncode == 0

    with serving(tmp_path, f"sqlite:///{tmp_path}/reachbook.db") as served:
        assert healthy(served.url.rpartition(":")[2])
    assert not healthy(str(free_port()))


# ── the unit ─────────────────────────────────────────────────────────────────────────────────

ESSENTIAL = {
    "User": "reachbook",
    "Restart": "always",
    "KillMode": "mixed",
    "KillSignal": "SIGTERM",
    "UMask": "0077",
    "StateDirectory": "reachbook",
    "Environment": "REACHBOOK_DATA_DIR=/var/lib/reachbook",
    "CapabilityBoundingSet": "",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
}
EXPOSURE = 20  # tenths, of 100; systemd calls below 2.0 "OK"


def unit() -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in (DEPLOY / "reachbook.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.mark.parametrize(("directive", "value"), ESSENTIAL.items())
def test_the_unit_says(directive: str, value: str) -> None:
    assert unit()[directive] == [value]


def test_the_unit_fits_the_program() -> None:
    [start], [stop], [files] = (
        unit()[name] for name in ("ExecStart", "TimeoutStopSec", "LimitNOFILE")
    )

    assert parse(Path(start).name) == "reachbook serve"
    assert int(stop) > run.DRAIN_SECONDS
    assert int(files) > 2 * protocol.MAX_CONNECTIONS
    assert unit()["SystemCallFilter"][0] == "@system-service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    """The command of the unit is put where it is on this machine; the rest is as it stands."""
    copy = tmp_path / "reachbook.service"
    text = (DEPLOY / "reachbook.service").read_text()
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))

    for words in (["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]):
        done = subprocess.run(
            ["systemd-analyze", *words, str(copy)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "reachbook.service:" not in done.stderr


def test_what_is_scraped_is_where_we_listen() -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    defaults: Any = Settings()

    assert f'targets: ["{defaults.host}:{defaults.port}"]' in text
