"""The files in deploy/: their content agrees with the program, and they work."""

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


def test_the_readme_lists_every_file() -> None:
    named = re.findall(r"^\| `([\w.]+)` \|", (DEPLOY / "README.md").read_text(), re.MULTILINE)

    assert sorted([*named, "README.md"]) == sorted(file.name for file in DEPLOY.iterdir())


# ── the image ────────────────────────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    """Return the lines of the Containerfile, split into the instruction and its arguments."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = (line for line in text.replace("\\\n", " ").splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def arguments_of(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def health_check() -> list[str]:
    [check] = arguments_of("HEALTHCHECK")
    command: list[str] = json.loads(check.partition(" CMD ")[2])
    return command


def test_the_last_stage_runs_the_program_as_an_unprivileged_user() -> None:
    stages = [index for index, (word, _) in enumerate(instructions()) if word == "FROM"]
    last = instructions()[stages[-1] :]

    assert len(stages) == 2
    assert [rest for word, rest in last if word == "COPY"] == [
        "--from=build /opt/reachbook /opt/reachbook"
    ]
    [user] = [rest for word, rest in last if word == "USER"]
    assert all(int(part) > 1000 for part in user.split(":"))
    assert json.loads(arguments_of("ENTRYPOINT")[0]) + json.loads(arguments_of("CMD")[0]) == [
        "reachbook",
        "serve",
    ]


def test_no_instruction_uses_a_shell() -> None:
    for word in ("RUN", "ENTRYPOINT", "CMD"):
        for rest in arguments_of(word):
            assert isinstance(json.loads(rest), list), f"{word} {rest}"
    assert health_check()[0] == "python"


def test_dependencies_are_installed_by_hash_and_copied_files_exist() -> None:
    [from_lock] = [rest for rest in arguments_of("RUN") if "requirements/run.txt" in rest]
    assert "--require-hashes" in json.loads(from_lock)

    [ours] = [rest for rest in arguments_of("RUN") if json.loads(rest)[-1] == "."]
    assert "--no-deps" in json.loads(ours)

    for rest in arguments_of("COPY"):
        for source in rest.split()[:-1] if not rest.startswith("--from") else []:
            assert (ROOT / source).exists(), source


def test_the_lock_file_has_every_dependency() -> None:
    """The image and the unit install from the lock file."""
    locked = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    )

    wanted = {re.split(r"[^\w.-]", dependency)[0] for dependency in PROJECT["dependencies"]}

    assert wanted - locked == set()


def test_the_python_version_of_the_image_is_supported() -> None:
    [lowest] = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    for image in arguments_of("FROM"):
        [minor] = re.findall(r"python:3\.(\d+)-slim", image)
        assert int(lowest) <= int(minor)


def test_the_health_check_fails_without_a_server(tmp_path: Path) -> None:
    command = [sys.executable, *health_check()[1:]]

    def is_healthy(port: str) -> bool:
        environment = {**os.environ, "REACHBOOK_PORT": port}
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=10, check=False
        )
        return done.returncode == 0

    with serving(tmp_path, f"sqlite:///{tmp_path}/reachbook.db") as served:
        assert is_healthy(served.url.rpartition(":")[2])
    assert not is_healthy(str(free_port()))


# ── the unit ─────────────────────────────────────────────────────────────────────────────────────

DIRECTIVES = {
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
    directives = defaultdict(list)
    for line in (DEPLOY / "reachbook.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            directives[name].append(value)
    return directives


@pytest.mark.parametrize(("directive", "value"), DIRECTIVES.items())
def test_the_unit_has_the_directive(directive: str, value: str) -> None:
    assert unit()[directive] == [value]


def test_the_limits_of_the_unit_fit_the_program() -> None:
    [start], [stop], [files] = (
        unit()[name] for name in ("ExecStart", "TimeoutStopSec", "LimitNOFILE")
    )

    assert parse(Path(start).name) == "reachbook serve"
    assert int(stop) > run.DRAIN_SECONDS
    assert int(files) > 2 * protocol.MAX_CONNECTIONS
    assert unit()["SystemCallFilter"][0] == "@system-service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reports_no_fault_of_the_unit(tmp_path: Path) -> None:
    """The path of the command is replaced by an existing program; the rest is unchanged."""
    copy = tmp_path / "reachbook.service"
    text = (DEPLOY / "reachbook.service").read_text()
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))

    for arguments in (["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]):
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(copy)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "reachbook.service:" not in done.stderr


def test_prometheus_scrapes_the_default_address() -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    defaults: Any = Settings()

    assert f'targets: ["{defaults.host}:{defaults.port}"]' in text
