"""The commands of the tutorial run in order, against a sandbox started as described there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from reachbook.testing import Sandbox, run_sandbox

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
COMMANDS = re.findall(r"^```bash\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
TOKEN = "tutorial-control-token"
SECONDS = 60


def test_the_commands_of_the_tutorial_give_the_described_results() -> None:
    assert f"--control-token {TOKEN}" in TUTORIAL
    with run_sandbox("--control-token", TOKEN) as sandbox:
        outputs = run(sandbox)

    channels, owner, created, repeated, conflict, history, feed, fault = outputs
    assert [channel["channel_id"] for channel in channels[0]] == [
        "15105553344",
        "alice@example.com",
    ]
    assert owner[0]["contact"]["first"] == "Alice"
    assert owner[0]["channel"]["channel_id"] == "15105553344"
    assert (created[0]["created"], created[0]["contact"]["first"]) == (True, "Bob")
    assert repeated[0] == repeated[1]
    assert conflict[0]["conflicting_contact_id"] == created[0]["contact"]["uuid"]
    assert [conflict[1], conflict[3]] == [409, 200]
    assert "13035550142" in [channel["channel_id"] for channel in conflict[2]]
    assert history[0]["events"][0]["kind"] == "channel_moved_here"
    events = feed[0]["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["kind"] for event in events[-2:]} == {"channel_moved_here", "channel_moved_away"}
    assert feed[0]["next"] == events[-1]["seq"]
    assert (fault[1]["error_code"], fault[2]) == ("store_unavailable", 503)


def run(sandbox: Sandbox) -> list[list[Any]]:
    """Run the commands in one shell; return the JSON documents that each block printed."""
    separator = "-- the next block --"
    script = f"\necho; echo '{separator}'\n".join(["set -eu", *COMMANDS])
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "URL": sandbox.url, "KEY": sandbox.api_key},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [documents(text) for text in done.stdout.split(separator)[1:]]


def documents(text: str) -> list[Any]:
    """Return the JSON documents of a text, which follow one another."""
    decoder = json.JSONDecoder()
    found, rest = [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found
