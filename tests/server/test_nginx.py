"""The nginx example: its limits, and the server behind it with TLS, two workers, PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from reachbook.domain import timestamps
from reachbook.domain.user import Role
from reachbook.http import request
from reachbook.server import protocol
from reachbook.server.run import DRAIN_SECONDS
from reachbook.service.users import Users
from reachbook.storage import open_store
from reachbook.storage.users import UserStore
from tests.conftest import TEMPLATE, _create
from tests.support.personas import TeamClient
from tests.support.server_process import STOP_SECONDS, Server, free_port, serving
from tests.support.teams import create_team
from tests.support.waiting import wait_until

EXAMPLE = (Path(__file__).parents[2] / "deploy/nginx.conf").read_text()
NAME = "reachbook.example.com"
MISSING = [tool for tool in ("nginx", "openssl") if not shutil.which(tool)]
with_nginx = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")

NOTHING: Mapping[str, str] = {}
PASSING_UPGRADES_ON = {
    'proxy_set_header Connection "";': "proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $http_connection;"
}

MAIN_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/reachbook.conf;
}}
"""


# ── the configuration ────────────────────────────────────────────────────────────────────────────


def directives(directive: str) -> list[str]:
    """Return the values of all occurrences of a directive."""
    without_comments = re.sub(r"^\s*#.*$", "", EXAMPLE, flags=re.MULTILINE)
    return re.findall(rf"^\s*{directive}\s+([^;{{]+);", without_comments, re.MULTILINE)


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])  # type: ignore[index]


def test_nginx_closes_idle_upstream_connections_before_the_server() -> None:
    upstream, _ = directives("keepalive_timeout")

    assert seconds(upstream) < protocol.IDLE_SECONDS
    assert directives("proxy_http_version") == ["1.1"]
    assert 'Connection ""' in directives("proxy_set_header")


def test_the_limits_of_nginx_are_those_of_the_server() -> None:
    assert directives("client_max_body_size") == ["1m"]
    assert request.MAX_BODY_BYTES == 1024 * 1024
    for directive in ("client_header_timeout", "client_body_timeout"):
        assert [seconds(value) for value in directives(directive)] == [protocol.REQUEST_SECONDS]


def test_nginx_waits_longer_than_the_timeouts_of_the_server() -> None:
    [response] = directives("proxy_read_timeout")

    assert seconds(response) > max(request.STORE_SECONDS, DRAIN_SECONDS)


def test_the_example_strips_a_base_path() -> None:
    ways = re.findall(r"location (\S+) \{\s*proxy_pass (\S+);", EXAMPLE)

    assert ways == [("/", "http://reachbook"), ("/reachbook/", "http://reachbook/")]


def test_the_log_format_has_no_query() -> None:
    [written] = re.findall(r"log_format reachbook ([^;]+);", EXAMPLE)

    assert "$path_without_token" in written
    for variable in (
        "$uri",
        "$request ",
        '$request"',
        "$request_uri",
        "$args",
        "$query_string",
        "$http_",
    ):
        assert variable not in written
    assert [value.split()[1] for value in directives("access_log")] == ["reachbook"]


# ── a running nginx ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Nginx:
    """A running nginx, and a client that trusts its certificate."""

    url: str
    folder: Path
    trust: ssl.SSLContext

    def request(
        self, path: str, method: str = "GET", *, local_address: str = "127.0.0.1", **options: Any
    ) -> httpx.Response:
        transport = httpx.HTTPTransport(verify=self.trust, local_address=local_address)
        headers = {"host": NAME, **options.pop("headers", {})}
        with httpx.Client(transport=transport, timeout=15) as client:
            return client.request(
                method,
                self.url + path,
                headers=headers,
                extensions={"sni_hostname": NAME},
                **options,
            )


def adapted_example(folder: Path, port: int, upstream: str, replaced: Mapping[str, str]) -> str:
    """Return the example with the ports and the files of a test, otherwise unchanged."""
    text = EXAMPLE
    for old, new in (
        *replaced.items(),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:8080", f"server {upstream}"),
        ("/etc/nginx/tls", str(folder)),
        ("/var/log/nginx", str(folder)),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, upstream: str, replaced: Mapping[str, str] = NOTHING) -> Iterator[Nginx]:
    """Run nginx in front of a server, with some lines of the example replaced."""
    port = free_port()
    certificate = folder / "reachbook.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(folder / "reachbook.key"), "-out", str(certificate)),
        ],
        capture_output=True,
        timeout=30,
        check=True,
    )
    (folder / "reachbook.conf").write_text(adapted_example(folder, port, upstream, replaced))
    as_root = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(as_root + MAIN_CONFIGURATION.format(folder=folder))
    command = [
        "nginx",
        "-p",
        str(folder),
        "-e",
        f"{folder}/error.log",
        "-c",
        f"{folder}/nginx.conf",
    ]
    tried = subprocess.run(
        [*command, "-t"], capture_output=True, text=True, timeout=30, check=False
    )
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr
    front = Nginx(
        f"https://127.0.0.1:{port}", folder, ssl.create_default_context(cafile=certificate)
    )
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: _accepts(front))
        yield front
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _accepts(front: Nginx) -> bool:
    try:
        front.request("/healthz")
    except httpx.ConnectError:
        return False
    return True


@dataclass
class BehindNginx:
    """A server behind nginx, and Bob's credentials."""

    front: Nginx
    served: Server
    bob: TeamClient
    database: str


@pytest.fixture(scope="module")
def behind_nginx(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindNginx]:
    database = asyncio.run(_create(postgres, TEMPLATE))
    folder = tmp_path_factory.mktemp("nginx")
    bob = create_team(database)
    settings = {"base_path": "/reachbook", "trusted_proxies": "127.0.0.1"}
    with (
        serving(folder, database, "--workers", "2", errors=None, **settings) as served,
        nginx(folder, served.url.removeprefix("http://")) as front,
    ):
        yield BehindNginx(front, served, bob, database)


@with_nginx
@pytest.mark.parametrize("below", ["", "/reachbook"])
def test_a_channel_is_added_and_listed_through_nginx(behind_nginx: BehindNginx, below: str) -> None:
    headers = behind_nginx.bob.by_key()
    contact = behind_nginx.front.request(
        f"{below}/v2/contact", "POST", json={}, headers=headers
    ).json()
    channel = {"channel_type": "email", "channel_id": f"a{contact['id']}@example.com"}
    path = f"{below}/v2/contact/{contact['uuid']}/channel"

    added = behind_nginx.front.request(path, "POST", json=channel, headers=headers)
    listed = behind_nginx.front.request(f"{path}s", headers=headers)

    assert added.status_code == listed.status_code == 200
    assert [channel["channel_id"] for channel in listed.json()] == [channel["channel_id"]]
    assert "max-age" in listed.headers["strict-transport-security"]


@with_nginx
def test_the_base_path_is_stripped_only_once(behind_nginx: BehindNginx) -> None:
    response = behind_nginx.front.request(
        "/reachbook/reachbook/v1/team", headers=behind_nginx.bob.by_key()
    )

    assert response.json()["error_code"] == "no_route"


@with_nginx
def test_the_log_has_the_address_of_the_client(behind_nginx: BehindNginx) -> None:
    """An X-Forwarded-For header of the client is ignored."""
    mark = {"x-request-id": "from-afar", "x-forwarded-for": "10.1.2.3"}
    behind_nginx.front.request(
        "/v1/team", local_address="127.0.0.7", headers=mark | behind_nginx.bob.by_key()
    )

    def clients() -> list[str]:
        lines = behind_nginx.served.log_lines()
        return [line["client"] for line in lines if line.get("request_id") == "from-afar"]

    wait_until(lambda: clients() == ["127.0.0.7"])


@with_nginx
@pytest.mark.parametrize(
    ("more", "status", "code"), [(0, 400, "malformed_json"), (1, 413, "body_too_large")]
)
def test_nginx_and_the_server_accept_bodies_of_the_same_size(
    behind_nginx: BehindNginx, more: int, status: int, code: str
) -> None:
    """For one byte more, nginx returns the JSON error that the server would return."""
    body = b"x" * (request.MAX_BODY_BYTES + more)
    response = behind_nginx.front.request(
        "/v2/contact", "POST", content=body, headers=behind_nginx.bob.by_key()
    )

    assert response.status_code == status
    assert response.json()["error_code"] == code
    assert response.json()["request_id"] == response.headers["x-request-id"]


@with_nginx
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/reachbook/metrics", "/reachbook/readyz"])
def test_metrics_and_readyz_are_not_served_through_nginx(
    behind_nginx: BehindNginx, path: str
) -> None:
    response = behind_nginx.front.request(path)

    assert response.status_code == 404
    assert response.json()["error_code"] == "no_route"


@with_nginx
def test_a_query_is_not_in_the_access_log(behind_nginx: BehindNginx) -> None:
    path = "/v2/contact/00000000-0000-4000-8000-000000000000/channel/phone"
    behind_nginx.front.request(f"{path}?channel_id=15105553344", headers=behind_nginx.bob.by_key())
    log = behind_nginx.front.folder / "reachbook.log"

    wait_until(lambda: path in log.read_text())
    assert "15105553344" not in log.read_text()


async def link_token(database: str, team_id: int) -> str:
    """Create a user, and return the token of a sign-in link."""
    store = await open_store(database)
    users = Users(UserStore(store.engine), timestamps.now)
    token = await users.new_link(await users.create(team_id, "dana@example.com", Role.ADMIN))
    await store.close()
    return token


@with_nginx
def test_a_user_signs_in_through_nginx_and_no_log_has_the_token(behind_nginx: BehindNginx) -> None:
    token = asyncio.run(link_token(behind_nginx.database, behind_nginx.bob.team.team_id))
    path = f"/reachbook/console/link/{token}"

    shown = behind_nginx.front.request(path)
    csrf = shown.text.partition('name="csrf" value="')[2][:64]
    cookie = shown.headers["set-cookie"].partition(";")[0]
    signed_in = behind_nginx.front.request(
        path, "POST", data={"csrf": csrf}, headers={"cookie": cookie}
    )
    session = signed_in.headers["set-cookie"]
    page = behind_nginx.front.request(
        "/reachbook/console/account", headers={"cookie": session.partition(";")[0]}
    )

    assert session.startswith("__Secure-reachbook-session=")
    assert "; Secure" in session
    assert 'href="/reachbook/console/contacts"' in page.text
    log = behind_nginx.front.folder / "reachbook.log"
    wait_until(lambda: "/reachbook/console/link/-" in log.read_text())
    assert token not in log.read_text()


@with_nginx
@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_is_not_read_as_a_request_if_nginx_forwards_upgrades(
    behind_nginx: BehindNginx, tmp_path: Path, offer: str, in_chunks: bool
) -> None:
    """nginx has the usual lines for WebSockets; the body must still be parsed as a body."""
    hidden = b"GET /x/events HTTP/1.1\r\nhost: book\r\n\r\n"
    address = f"{offer.partition('/')[0]}-{in_chunks}@example.com"
    search = json.dumps({"contact_channels": [{"channel_ids": [address]}]}).encode()
    content = iter([search]) if in_chunks else search
    headers = behind_nginx.bob.by_key() | {"connection": "upgrade", "upgrade": offer}
    upstream = behind_nginx.served.url.removeprefix("http://")
    behind_nginx.front.request(
        "/v2/contact", "POST", json={"email": address}, headers=behind_nginx.bob.by_key()
    )
    with nginx(tmp_path, upstream, PASSING_UPGRADES_ON) as front:
        found = front.request("/v2/contacts/search", "POST", content=content, headers=headers)
        smuggled = front.request("/v2/contacts/search", "POST", content=hidden, headers=headers)
        after = front.request("/v1/team", headers=behind_nginx.bob.by_key())

    assert (found.status_code, len(found.json())) == (200, 1)
    assert smuggled.json()["error_code"] == "malformed_json"
    assert after.json()["name"] == "Bob's team"


@with_nginx
def test_nginx_returns_a_json_error_if_the_server_is_down(tmp_path: Path) -> None:
    with nginx(tmp_path, f"127.0.0.1:{free_port()}") as front:
        response = front.request("/v1/team")

    assert response.status_code == 503
    assert response.json()["error"] == "unavailable"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert int(response.headers["retry-after"]) >= 1
