"""The nginx example fits our limits; and Reachbook behind it, with TLS, two workers, PostgreSQL."""

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
NEEDED = [tool for tool in ("nginx", "openssl") if not shutil.which(tool)]
with_nginx = pytest.mark.skipif(bool(NEEDED), reason=f"not on this machine: {', '.join(NEEDED)}")

NOTHING: Mapping[str, str] = {}
PASSING_UPGRADES_ON = {
    'proxy_set_header Connection "";': "proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $http_connection;"
}

AROUND = """
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


# ── what it says ─────────────────────────────────────────────────────────────────────────────


def told(directive: str) -> list[str]:
    """What a directive is given, wherever it stands."""
    bare = re.sub(r"^\s*#.*$", "", EXAMPLE, flags=re.MULTILINE)
    return re.findall(rf"^\s*{directive}\s+([^;{{]+);", bare, re.MULTILINE)


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])  # type: ignore[index]


def test_nginx_lets_an_idle_connection_go_before_we_do() -> None:
    upstream, _ = told("keepalive_timeout")

    assert seconds(upstream) < protocol.IDLE_SECONDS
    assert told("proxy_http_version") == ["1.1"]
    assert 'Connection ""' in told("proxy_set_header")


def test_its_limits_are_ours() -> None:
    assert told("client_max_body_size") == ["1m"]
    assert request.MAX_BODY_BYTES == 1024 * 1024
    for directive in ("client_header_timeout", "client_body_timeout"):
        assert [seconds(one) for one in told(directive)] == [protocol.REQUEST_SECONDS]


def test_it_waits_longer_than_we_take() -> None:
    [answer] = told("proxy_read_timeout")

    assert seconds(answer) > max(request.STORE_SECONDS, DRAIN_SECONDS)


def test_a_base_path_is_stripped_and_a_whole_host_is_not() -> None:
    ways = re.findall(r"location (\S+) \{\s*proxy_pass (\S+);", EXAMPLE)

    assert ways == [("/", "http://reachbook"), ("/reachbook/", "http://reachbook/")]


def test_its_log_has_no_query() -> None:
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
    assert [one.split()[1] for one in told("access_log")] == ["reachbook"]


# ── what it does ─────────────────────────────────────────────────────────────────────────────


@dataclass
class Front:
    """A running nginx, and a client that believes its certificate."""

    url: str
    folder: Path
    trust: ssl.SSLContext

    def request(
        self, path: str, method: str = "GET", *, come_from: str = "127.0.0.1", **options: Any
    ) -> httpx.Response:
        transport = httpx.HTTPTransport(verify=self.trust, local_address=come_from)
        headers = {"host": NAME, **options.pop("headers", {})}
        with httpx.Client(transport=transport, timeout=15) as client:
            return client.request(
                method,
                self.url + path,
                headers=headers,
                extensions={"sni_hostname": NAME},
                **options,
            )


def adapted(folder: Path, port: int, upstream: str, replaced: Mapping[str, str]) -> str:
    """The example with the ports and the files of a test; all else as it stands."""
    text = EXAMPLE
    for theirs, ours in (
        *replaced.items(),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:8080", f"server {upstream}"),
        ("/etc/nginx/tls", str(folder)),
        ("/var/log/nginx", str(folder)),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


@contextmanager
def nginx(folder: Path, upstream: str, replaced: Mapping[str, str] = NOTHING) -> Iterator[Front]:
    """Runs nginx before a server, with some lines of the example replaced."""
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
    (folder / "reachbook.conf").write_text(adapted(folder, port, upstream, replaced))
    as_root = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(as_root + AROUND.format(folder=folder))
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
    front = Front(
        f"https://127.0.0.1:{port}", folder, ssl.create_default_context(cafile=certificate)
    )
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: _accepts(front))
        yield front
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _accepts(front: Front) -> bool:
    try:
        front.request("/healthz")
    except httpx.ConnectError:
        return False
    return True


@dataclass
class House:
    """Reachbook behind nginx, and Bob, who has credentials."""

    front: Front
    served: Server
    bob: TeamClient
    database: str


@pytest.fixture(scope="module")
def house(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    database = asyncio.run(_create(postgres, TEMPLATE))
    folder = tmp_path_factory.mktemp("nginx")
    bob = create_team(database)
    settings = {"base_path": "/reachbook", "trusted_proxies": "127.0.0.1"}
    with (
        serving(folder, database, "--workers", "2", errors=None, **settings) as served,
        nginx(folder, served.url.removeprefix("http://")) as front,
    ):
        yield House(front, served, bob, database)


@with_nginx
@pytest.mark.parametrize("below", ["", "/reachbook"])
def test_it_works(house: House, below: str) -> None:
    headers = house.bob.by_key()
    contact = house.front.request(f"{below}/v2/contact", "POST", json={}, headers=headers).json()
    channel = {"channel_type": "email", "channel_id": f"a{contact['id']}@example.com"}
    path = f"{below}/v2/contact/{contact['uuid']}/channel"

    added = house.front.request(path, "POST", json=channel, headers=headers)
    listed = house.front.request(f"{path}s", headers=headers)

    assert added.status_code == listed.status_code == 200
    assert [one["channel_id"] for one in listed.json()] == [channel["channel_id"]]
    assert "max-age" in listed.headers["strict-transport-security"]


@with_nginx
def test_the_base_path_is_taken_off_once(house: House) -> None:
    answer = house.front.request("/reachbook/reachbook/v1/team", headers=house.bob.by_key())

    assert answer.json()["error_code"] == "no_route"


@with_nginx
def test_the_log_has_the_address_of_the_client(house: House) -> None:
    """And not one that the client made up."""
    mark = {"x-request-id": "from-afar", "x-forwarded-for": "10.1.2.3"}
    house.front.request("/v1/team", come_from="127.0.0.7", headers=mark | house.bob.by_key())

    def clients() -> list[str]:
        lines = house.served.log_lines()
        return [line["client"] for line in lines if line.get("request_id") == "from-afar"]

    wait_until(lambda: clients() == ["127.0.0.7"])


@with_nginx
@pytest.mark.parametrize(
    ("more", "status", "code"), [(0, 400, "malformed_json"), (1, 413, "body_too_large")]
)
def test_nginx_takes_the_bodies_that_we_take(
    house: House, more: int, status: int, code: str
) -> None:
    """One byte beyond is refused in our words."""
    body = b"x" * (request.MAX_BODY_BYTES + more)
    answer = house.front.request("/v2/contact", "POST", content=body, headers=house.bob.by_key())

    assert answer.status_code == status
    assert answer.json()["error_code"] == code
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@with_nginx
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/reachbook/metrics", "/reachbook/readyz"])
def test_what_is_for_the_operator_is_not_for_the_world(house: House, path: str) -> None:
    answer = house.front.request(path)

    assert answer.status_code == 404
    assert answer.json()["error_code"] == "no_route"


@with_nginx
def test_a_query_is_not_in_the_access_log(house: House) -> None:
    path = "/v2/contact/00000000-0000-4000-8000-000000000000/channel/phone"
    house.front.request(f"{path}?channel_id=15105553344", headers=house.bob.by_key())
    log = house.front.folder / "reachbook.log"

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
def test_a_user_signs_in_through_nginx_and_no_log_has_the_token(house: House) -> None:
    token = asyncio.run(link_token(house.database, house.bob.team.team_id))
    path = f"/reachbook/console/link/{token}"

    shown = house.front.request(path)
    csrf = shown.text.partition('name="csrf" value="')[2][:64]
    cookie = shown.headers["set-cookie"].partition(";")[0]
    signed_in = house.front.request(path, "POST", data={"csrf": csrf}, headers={"cookie": cookie})
    session = signed_in.headers["set-cookie"]
    page = house.front.request(
        "/reachbook/console/account", headers={"cookie": session.partition(";")[0]}
    )

    assert session.startswith("__Secure-reachbook-session=")
    assert "; Secure" in session
    assert 'href="/reachbook/console/contacts"' in page.text
    log = house.front.folder / "reachbook.log"
    wait_until(lambda: "/reachbook/console/link/-" in log.read_text())
    assert token not in log.read_text()


@with_nginx
@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_is_no_request_when_nginx_passes_upgrades_on(
    house: House, tmp_path: Path, offer: str, in_chunks: bool
) -> None:
    """nginx has the usual lines for WebSockets; the body must still be read as a body."""
    hidden = b"GET /x/events HTTP/1.1\r\nhost: book\r\n\r\n"
    address = f"{offer.partition('/')[0]}-{in_chunks}@example.com"
    search = json.dumps({"contact_channels": [{"channel_ids": [address]}]}).encode()
    content = iter([search]) if in_chunks else search
    headers = house.bob.by_key() | {"connection": "upgrade", "upgrade": offer}
    upstream = house.served.url.removeprefix("http://")
    house.front.request("/v2/contact", "POST", json={"email": address}, headers=house.bob.by_key())
    with nginx(tmp_path, upstream, PASSING_UPGRADES_ON) as front:
        found = front.request("/v2/contacts/search", "POST", content=content, headers=headers)
        smuggled = front.request("/v2/contacts/search", "POST", content=hidden, headers=headers)
        after = front.request("/v1/team", headers=house.bob.by_key())

    assert (found.status_code, len(found.json())) == (200, 1)
    assert smuggled.json()["error_code"] == "malformed_json"
    assert after.json()["name"] == "Bob's team"


@with_nginx
def test_when_we_are_not_there_nginx_says_so_in_our_words(tmp_path: Path) -> None:
    with nginx(tmp_path, f"127.0.0.1:{free_port()}") as front:
        answer = front.request("/v1/team")

    assert answer.status_code == 503
    assert answer.json()["error"] == "unavailable"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert int(answer.headers["retry-after"]) >= 1
