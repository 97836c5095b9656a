"""`reachbook serve` as a real process: how it starts, and what it refuses to start with."""

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
    """Nothing is there yet; the store will be SQLite in the data directory."""
    return Home(tmp_path / "data")


def curl_line(said: str) -> str:
    [line] = [line for line in said.splitlines() if line.startswith("curl ")]
    return line


def test_it_works(home: Home) -> None:
    """The first start prints a curl line that works when pasted."""
    with home.serve() as server:
        line = curl_line(server.welcome())

        assert server.url in line
        assert run_curl(line) == (200, ALICE_LIST)
        assert server.stop() == 0


def test_every_curl_of_the_documentation_works(home: Home) -> None:
    with home.serve() as server:
        api_key = curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        answers = [
            run_curl(
                line.replace("https://api.heymarket.com", server.url).replace(
                    "YOUR_API_KEY", api_key
                )
            )
            for line in CURLS
        ]

    added, replaced, listed, one, left = answers
    new = replaced[1][1]
    assert added == (200, ALICE_LIST)
    assert replaced == (
        200,
        [PHONE, {**EMAIL, "channel_id": "newemail@example.com", "updated": new["updated"]}],
    )
    assert new["updated"] > EMAIL["updated"]
    assert listed == replaced
    assert one == (200, PHONE)
    assert left == (200, [PHONE])


def test_json_is_one_document_with_credentials_that_work(home: Home) -> None:
    with home.serve("--json") as server:
        told = httpx.Response(200, content=server.output.read_bytes()).json()
        claims: dict[str, object] = {"iss": told["secret_id"], "iat": int(time.time())}
        token = sign(claims, told["secret_id"], told["secret_key"])
        with server.client(token) as by_jwt, server.client(told["api_key"]) as by_key:
            team, alice = by_jwt.get("/v1/team"), by_key.get(f"/v2/contact/{told['contact']}")

    assert list(told) == [
        *("url", "team_id", "secret_id", "secret_key", "key_id", "api_key", "contact", "user"),
        "sign_in_link",
    ]
    assert team.json()["id"] == told["team_id"] == 1
    assert alice.json()["uuid"] == told["contact"] == ALICE


def test_later_starts_keep_what_was_written(home: Home) -> None:
    with home.serve() as server:
        line = curl_line(server.welcome())
        first = server.url
        assert server.stop() == 0

    with home.serve() as server:
        assert run_curl(line.replace(first, server.url)) == (200, ALICE_LIST)
        said = server.output.read_text()

    assert "reachbook key create" in said
    assert "curl " not in said
    assert len(home.json("team", "list")) == 1


def test_a_team_of_ones_own_is_not_joined_by_another(home: Home) -> None:
    home.json("team", "create", "Bob's team")

    with home.serve("--json") as server:
        assert server.output.read_text().count('": ') == 1

    assert [one["name"] for one in home.json("team", "list")] == ["Bob's team"]
    assert home.json("key", "list") == []


def test_a_port_in_use_is_refused_and_costs_no_credentials(home: Home) -> None:
    """Keys that were made for a start that failed would be lost: they are told only once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = home.run("serve", "--port", str(port)).refusal()

    assert f"127.0.0.1:{port}" in said
    assert "in use" in said
    with home.serve() as server:
        assert run_curl(curl_line(server.welcome(2)))[0] == 200


def test_a_second_server_of_one_file_is_told_who_has_it(home: Home) -> None:
    with home.serve() as server:
        said = home.run("serve", "--port", "0").refusal()
        link = home.directory.parent / "link.db"
        link.symlink_to(home.directory / "reachbook.db")
        by_link = home.run("serve", "--port", "0", "--database", f"sqlite:///{link}").refusal()

    assert f"process {server.process.pid} " in said
    assert f"process {server.process.pid} " in by_link
    with home.serve() as again:
        assert again.stop() == 0


def test_sqlite_is_served_by_one_process(home: Home) -> None:
    said = home.run("serve", "--port", "0", "--workers", "2").refusal()

    assert "SQLite" in said
    assert "PostgreSQL" in said
    assert not (home.directory / "reachbook.db").exists()


def test_a_wrong_master_key_is_refused_before_the_port_is_tried(home: Home) -> None:
    with home.serve() as server:
        server.welcome()
    wrong = home.having(master_key=base64.b64encode(b"w" * 32).decode())

    with socket.create_server(("127.0.0.1", 0)) as other:
        said = wrong.run("serve", "--port", str(other.getsockname()[1])).refusal()

    assert "REACHBOOK_MASTER_KEY is not the master key" in said


def test_a_lost_key_file_is_refused_and_not_made_anew(home: Home) -> None:
    with home.serve() as server:
        server.welcome()
    key_file = home.directory / "master.key"
    key_file.unlink()

    assert str(key_file) in home.run("serve", "--port", "0").refusal()
    assert not key_file.exists()


@pytest.mark.parametrize("host", ["256.0.0.1", "a..b", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_refused(home: Home, host: str) -> None:
    assert host in home.run("serve", "--port", "0", "--host", host).refusal()


def test_it_listens_on_ipv6_where_there_is_one(home: Home) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    with home.serve("--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert run_curl(curl_line(server.welcome()).replace("curl ", "curl -g "))[0] == 200


def test_commands_write_beside_a_running_server(home: Home) -> None:
    """The server is busy writing while a person at the terminal does."""
    with home.serve() as server:
        api_key = curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        statuses: list[int] = []

        def busy() -> None:
            with server.client(api_key) as client:
                statuses.extend(client.post("/v2/contact", json={}).status_code for _ in range(300))

        thread = Thread(target=busy)
        thread.start()
        for number in range(5):
            home.json("contact", "create", "--team", "1", "--channel", f"line={number}")
        _, new_key = home.team_with_key()
        thread.join(30)
        with server.client(new_key) as client:
            assert client.get("/v1/team").json()["name"] == "Bob's team"

    assert statuses == [200] * 300


@pytest.mark.parametrize("size", [1_000, 40_000, 200_000, 1_000_000])
def test_a_long_body_is_taken_and_the_connection_stays_good(home: Home, size: int) -> None:
    """However the network cuts it: most of it may come in one piece."""
    with home.serve() as server:
        api_key = curl_line(server.welcome()).split("Bearer ")[1].rstrip('"')
        with server.client(api_key) as client:
            body = {"unknown": "n" * size, "custom": {"note": "at the end"}}
            made = client.post("/v2/contact", json=body)
            read = client.get(f"/v2/contact/{made.json().get('uuid', ALICE)}")

    assert made.status_code == 200, made.text[:200]
    assert read.json()["custom"] == {"note": "at the end"}
