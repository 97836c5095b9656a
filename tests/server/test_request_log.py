"""A server's standard error: JSON lines that contain no secret and no personal data."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.home import Home
from tests.support.personas import ALICE, NOBODY, sign
from tests.support.raw_sql import sql_runner
from tests.support.server_process import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PHONE = "15105553344"
EMAIL = "alice@example.com"
PERSONAL_DATA = (PHONE, "5105553344", EMAIL, "Aliceanne")


@pytest.fixture
def home(database: str, tmp_path: Path) -> Home:
    """A migrated database, on SQLite and on PostgreSQL."""
    return Home(tmp_path / "data").having(database=database)


def log_lines(server: Server, count: int) -> list[dict[str, Any]]:
    """Wait until standard error has `count` lines, and return them."""

    def read_lines() -> list[str]:
        text = server.errors.read_text().splitlines()
        return text if len(text) >= count else []

    return [json.loads(line) for line in wait_until(read_lines)]


def test_each_request_is_logged_as_one_line_with_its_id(home: Home) -> None:
    _, api_key = home.team_with_key()

    with home.serve() as server, server.client(api_key) as client:
        first_response = client.get("/v1/team", headers={"x-request-id": "mine-1"})
        second_response = client.get(f"/v2/contact/{NOBODY}/channels")
        first, second = log_lines(server, 2)

    assert first_response.headers["x-request-id"] == "mine-1"
    assert (first["event"], first["request_id"], first["status"]) == ("request", "mine-1", 200)
    assert first["route"] == "/v1/team"
    assert second["request_id"] == second_response.headers["x-request-id"]
    assert (second["status"], second["error_code"]) == (404, "no_contact")
    assert {"level", "timestamp", "method", "milliseconds"} <= first.keys()


def test_nothing_secret_is_logged(home: Home) -> None:
    team, api_key = home.team_with_key()
    secret = home.json("secret", "create", "--team", team)
    claims: dict[str, object] = {"iss": secret["secret_id"], "iat": int(time.time())}
    jwt = sign(claims, secret["secret_id"], secret["secret_key"])
    expired = sign({**claims, "iat": 1}, secret["secret_id"], secret["secret_key"])

    with home.serve() as server:
        count = sum(
            send_requests_with_secrets(server.url, token)
            for token in (api_key, jwt, expired, api_key[:-1])
        )
        logged = log_lines(server, count)
        text = server.errors.read_text()

    assert len(logged) == count
    assert all(line["request_id"] for line in logged)
    for secret_text in (api_key, secret["secret_key"], jwt, expired, *PERSONAL_DATA):
        assert secret_text not in text


def send_requests_with_secrets(url: str, token: str) -> int:
    """Send requests with addresses in the body, path and query; return the number of requests."""
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers) as client:
        phone = {"channel_type": "phone", "channel_id": PHONE}
        whole = {"first": "Aliceanne", "contact_channels": [phone]}
        made = client.post("/v2/contact", json=whole)
        uuid = made.json().get("uuid", ALICE)
        channel = f"/v2/contact/{uuid}/channel"
        client.post(channel, json={"channel_type": "email", "channel_id": EMAIL})
        client.put(channel, json={"channel_type": "email", "channel_id": f"{EMAIL}@"})
        client.get(f"{channel}/phone", params={"channel_id": f"+{PHONE}"})
        client.get(f"{channel}/{EMAIL}")
        client.get(f"/v2/contact/{PHONE}/channels")
        client.get(f"/nowhere/{EMAIL}?token={token}")
        client.post(channel, content=f'{{"channel_id": "{PHONE}"')
        client.post("/v2/contact", json=whole)
        client.delete(f"{channel}/phone")
    return 10


def test_requests_are_served_if_log_lines_cannot_be_written(home: Home) -> None:
    """Standard error goes to a full disk."""
    _, api_key = home.team_with_key()

    with home.serve(errors=Path("/dev/full")) as server, server.client(api_key) as client:
        responses = [client.get(path) for path in ("/v1/team", "/v2/contact/7", "/v1/team")]
        counted = client.get("/metrics").text

    assert [response.status_code for response in responses] == [200, 400, 200]
    of_team = 'reachbook_requests_total{method="GET",route="/v1/team",status="200"} 2.0'
    assert of_team in counted


async def test_an_unexpected_error_is_logged_without_secrets_and_returned_without_a_trace(
    home: Home, database: str
) -> None:
    """The error is caused by dropping a table while the server runs."""
    team, api_key = home.team_with_key()
    home.json("contact", "create", "--team", team, "--uuid", ALICE)

    with home.serve() as server, server.client(api_key) as client:
        await sql_runner(database)("DROP TABLE contact_channel")
        phone = {"channel_type": "phone", "channel_id": PHONE}
        responses = [
            client.post(f"/v2/contact/{ALICE}/channel", json=phone),
            client.post("/v2/contact", json={"first": "Aliceanne", "contact_channels": [phone]}),
            client.get(f"/v2/contact/{ALICE}/channel/phone?channel_id={PHONE}"),
        ]
        assert [response.status_code for response in responses] == [500, 500, 500], responses[
            0
        ].text
        logged = log_lines(server, 2 * len(responses))
        text = server.errors.read_text()

    for response in responses:
        assert set(response.json()) == {"error", "error_code", "message", "request_id"}
        assert response.json()["error"] == "server_error"
        assert "contact_channel" not in response.text
    assert all(line["request_id"] for line in logged)
    for secret_text in (api_key, *PERSONAL_DATA):
        assert secret_text not in text
