"""`reachbook serve` as a separate process: first and later starts, and errors at the start."""

from __future__ import annotations

import base64
import socket
import time
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.support.commands import run_curl
from tests.support.home import Home
from tests.support.personas import ALICE, sign
from tests.support.vendor_documents import ALICE_LIST, CURLS

PHONE, EMAIL = ALICE_LIST


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data directory that does not exist yet; the database will be an SQLite file in it."""
    return Home(tmp_path / "data")


def find_curl_line(output: str) -> str:
    [line] = [line for line in output.splitlines() if line.startswith("curl ")]
    return line


def test_the_printed_curl_line_works(home: Home) -> None:
    """The first start prints a curl line that can be pasted into a shell."""
    with home.serve() as server:
        line = find_curl_line(server.welcome())

        assert server.url in line
        assert run_curl(line) == (200, ALICE_LIST)
        assert server.stop() == 0


def test_every_curl_line_of_the_vendor_documentation_works(home: Home) -> None:
    with home.serve() as server:
        api_key = find_curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        responses = [
            run_curl(
                line.replace("https://api.heymarket.com", server.url).replace(
                    "YOUR_API_KEY", api_key
                )
            )
            for line in CURLS
        ]

    added, replaced, listed, shown, removed = responses
    new = replaced[1][1]
    assert added == (200, ALICE_LIST)
    assert replaced == (
        200,
        [PHONE, {**EMAIL, "channel_id": "newemail@example.com", "updated": new["updated"]}],
    )
    assert new["updated"] > EMAIL["updated"]
    assert listed == replaced
    assert shown == (200, PHONE)
    assert removed == (200, [PHONE])


def test_json_output_is_one_document_with_working_credentials(home: Home) -> None:
    with home.serve("--json") as server:
        document = httpx.Response(200, content=server.output.read_bytes()).json()
        claims: dict[str, object] = {"iss": document["secret_id"], "iat": int(time.time())}
        token = sign(claims, document["secret_id"], document["secret_key"])
        with server.client(token) as by_jwt, server.client(document["api_key"]) as by_key:
            team, alice = by_jwt.get("/v1/team"), by_key.get(f"/v2/contact/{document['contact']}")

    assert list(document) == [
        *("url", "team_id", "secret_id", "secret_key", "key_id", "api_key", "contact", "user"),
        "sign_in_link",
    ]
    assert team.json()["id"] == document["team_id"] == 1
    assert alice.json()["uuid"] == document["contact"] == ALICE


def test_a_second_start_keeps_the_data_and_creates_no_credentials(home: Home) -> None:
    with home.serve() as server:
        line = find_curl_line(server.welcome())
        first = server.url
        assert server.stop() == 0

    with home.serve() as server:
        assert run_curl(line.replace(first, server.url)) == (200, ALICE_LIST)
        output = server.output.read_text()

    assert "reachbook key create" in output
    assert "curl " not in output
    assert len(home.json("team", "list")) == 1


def test_no_team_is_created_if_there_is_one(home: Home) -> None:
    home.json("team", "create", "Bob's team")

    with home.serve("--json") as server:
        assert server.output.read_text().count('": ') == 1

    assert [team["name"] for team in home.json("team", "list")] == ["Bob's team"]
    assert home.json("key", "list") == []


def test_a_port_in_use_is_refused_before_credentials_are_created(home: Home) -> None:
    """Keys created by a start that then fails would be lost: they are printed only once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = home.run("serve", "--port", str(port)).refusal()

    assert f"127.0.0.1:{port}" in message
    assert "in use" in message
    with home.serve() as server:
        assert run_curl(find_curl_line(server.welcome(2)))[0] == 200


def test_a_second_server_of_one_sqlite_file_is_refused(home: Home) -> None:
    with home.serve() as server:
        message = home.run("serve", "--port", "0").refusal()
        link = home.directory.parent / "link.db"
        link.symlink_to(home.directory / "reachbook.db")
        by_link = home.run("serve", "--port", "0", "--database", f"sqlite:///{link}").refusal()

    assert f"process {server.process.pid} " in message
    assert f"process {server.process.pid} " in by_link
    with home.serve() as third:
        assert third.stop() == 0


def test_several_workers_with_sqlite_are_refused(home: Home) -> None:
    message = home.run("serve", "--port", "0", "--workers", "2").refusal()

    assert "SQLite" in message
    assert "PostgreSQL" in message
    assert not (home.directory / "reachbook.db").exists()


def test_a_wrong_master_key_is_refused_before_the_port_is_bound(home: Home) -> None:
    with home.serve() as server:
        server.welcome()
    wrong = home.having(master_key=base64.b64encode(b"w" * 32).decode())

    with socket.create_server(("127.0.0.1", 0)) as other:
        message = wrong.run("serve", "--port", str(other.getsockname()[1])).refusal()

    assert "REACHBOOK_MASTER_KEY is not the master key" in message


def test_a_lost_key_file_is_not_created_again(home: Home) -> None:
    with home.serve() as server:
        server.welcome()
    key_file = home.directory / "master.key"
    key_file.unlink()

    assert str(key_file) in home.run("serve", "--port", "0").refusal()
    assert not key_file.exists()


@pytest.mark.parametrize("host", ["256.0.0.1", "a..b", "192.0.2.1"])
def test_a_host_that_cannot_be_bound_is_refused(home: Home, host: str) -> None:
    assert host in home.run("serve", "--port", "0", "--host", host).refusal()


def test_the_server_listens_on_ipv6(home: Home) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    with home.serve("--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert run_curl(find_curl_line(server.welcome()).replace("curl ", "curl -g "))[0] == 200


def test_commands_write_while_a_server_runs(home: Home) -> None:
    """The server writes at the same time."""
    with home.serve() as server:
        api_key = find_curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        statuses: list[int] = []

        def create_contacts() -> None:
            with server.client(api_key) as client:
                statuses.extend(client.post("/v2/contact", json={}).status_code for _ in range(300))

        thread = Thread(target=create_contacts)
        thread.start()
        for number in range(5):
            home.json("contact", "create", "--team", "1", "--channel", f"line={number}")
        _, new_key = home.team_with_key()
        thread.join(30)
        with server.client(new_key) as client:
            assert client.get("/v1/team").json()["name"] == "Bob's team"

    assert statuses == [200] * 300


@pytest.mark.parametrize("size", [1_000, 40_000, 200_000, 1_000_000])
def test_a_long_body_is_accepted_and_the_connection_is_reused(home: Home, size: int) -> None:
    """Most of the body may arrive in a single read."""
    with home.serve() as server:
        api_key = find_curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        with server.client(api_key) as client:
            body = {"unknown": "n" * size, "custom": {"note": "at the end"}}
            made = client.post("/v2/contact", json=body)
            read = client.get(f"/v2/contact/{made.json().get('uuid', ALICE)}")

    assert made.status_code == 200, made.text[:200]
    assert read.json()["custom"] == {"note": "at the end"}
