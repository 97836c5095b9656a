"""SECURITY.md: the tests that it names exist; and tests of claims not covered elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from reachbook.console.routes import ROUTES
from reachbook.domain import credential, sealing
from reachbook.http import app
from reachbook.http.operation import Endpoint
from reachbook.http.routing import ExactRoute
from reachbook.settings import Settings
from tests.support.console import Console, open_console
from tests.support.home import Home
from tests.support.personas import MASTER_KEY, NOBODY, Api, sign
from tests.support.raw_sql import sql_runner
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
TABLES = ("team", "api_secret", "api_key", "contact", "contact_channel", "event", "idempotency")
PHONE = "15105553344"


PUBLIC_PAGES = {
    *("/console/sign-in", "/console/choose-team", "/console/link/{token}", "/console/sign-out"),
    *("/console/static/{name}", "/console/{rest:path}"),
}
PAGES_OF_ADMINS = ("/console/settings", "/console/team/")


def named_tests() -> list[tuple[str, str]]:
    """Return the file and the function of every test that SECURITY.md names."""
    text = (ROOT / "SECURITY.md").read_text()
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


@pytest.mark.parametrize(("file", "function"), named_tests())
def test_a_named_test_exists(file: str, function: str) -> None:
    assert re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_claim_names_a_test_or_is_marked_not_tested() -> None:
    rows = re.findall(
        r"^\| (?!shown by)(.+) \| (.+) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE
    )

    assert len(rows) > 15
    assert all("::" in shown or "not tested" in shown for _, shown in rows)


async def test_every_route_except_public_ones_requires_a_credential(api: Api) -> None:
    requests = [
        (method, re.sub(r"{\w+}", NOBODY, route.path))
        for route in app.ROUTES
        if isinstance(route.endpoint, Endpoint)
        for method in route.endpoint.operations
    ]

    statuses = {(await api.request(*request, by={})).status_code for request in requests}

    assert len(requests) > 20
    assert statuses == {401}


async def dump_tables(api: Api) -> str:
    """Return all rows of the tables as text; bytes as hexadecimal digits and decoded."""
    send = sql_runner(api.database)
    cells = []
    for table in TABLES:
        for row in await send(f"SELECT * FROM {table}"):
            for cell in row:
                is_bytes = isinstance(cell, bytes)
                cells.append(f"{cell.hex()} {cell.decode(errors='replace')}" if is_bytes else cell)
    return " ".join(str(cell) for cell in cells)


async def test_personal_data_is_stored_unencrypted(api: Api) -> None:
    await api.contact(("phone", PHONE))

    assert PHONE in await dump_tables(api)


async def test_the_database_has_no_usable_credential(api: Api) -> None:
    bob = api.bob

    stored = await dump_tables(api)

    assert bob.secret.id in stored
    assert bob.secret_key not in stored
    assert bob.secret_key.encode().hex() not in stored
    assert bob.api_key not in stored
    assert bob.api_key.removeprefix(bob.key.id) not in stored


async def test_the_database_with_the_master_key_can_sign_tokens(api: Api) -> None:
    bob = api.bob
    select = f"SELECT sealed FROM api_secret WHERE secret_id = '{bob.secret.id}'"
    [[sealed]] = await sql_runner(api.database)(select)

    secret_key = sealing.unseal(MASTER_KEY, bob.secret.id, sealed)

    assert secret_key is not None
    claims: dict[str, object] = {"iss": bob.secret.id, "iat": api.clock() // 1_000_000}
    token = sign(claims, bob.secret.id, secret_key)
    response = await api.request("GET", "/v1/team", by={"authorization": f"Bearer {token}"})
    assert response.status_code == 200


async def test_write_access_to_the_database_gives_access_to_the_api(api: Api) -> None:
    team_id = api.bob.team.team_id
    key_id = credential.new_key_id(team_id)
    api_key = credential.new_api_key(key_id)
    digest = credential.hash_api_key(api_key).hex()
    blob = f"x'{digest}'" if api.database.startswith("sqlite") else rf"'\x{digest}'"
    await sql_runner(api.database)(
        "INSERT INTO api_key (team_id, key_id, hash, label, representation, read_only, created)"
        f" SELECT team_id, '{key_id}', {blob}, '', representation, read_only, created"
        f" FROM api_key WHERE team_id = {team_id}"
    )

    response = await api.request("GET", "/v1/team", by={"authorization": f"Bearer {api_key}"})

    assert response.status_code == 200


def test_the_default_address_is_loopback() -> None:
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "logged"),
    [("", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "10.1.2.3")],
)
def test_a_forwarded_address_is_used_only_from_a_trusted_proxy(
    tmp_path: Path, trusted: str, logged: str
) -> None:
    home = Home(tmp_path / "data").having(trusted_proxies=trusted)
    with home.serve() as server:
        httpx.get(f"{server.url}/none", headers={"x-forwarded-for": "10.1.2.3"})
        line = wait_until(server.errors.read_text)

    assert f'"client":"{logged}"' in line


@pytest.fixture
async def console(api: Api) -> AsyncIterator[Console]:
    async with open_console(api) as served:
        yield served


def path_of(route: ExactRoute) -> str:
    """Return a path of a route, with a value for each parameter."""
    return re.sub(r"{uuid}", NOBODY, re.sub(r"{(?!uuid)[^}]*}", "1", route.path))


async def test_every_page_except_public_ones_requires_a_session(console: Console) -> None:
    guarded = [route for route in ROUTES if route.path not in PUBLIC_PAGES]
    assert guarded
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        for route in guarded:
            shown = await visitor.client.get(path_of(route))
            sent = await visitor.client.post(path_of(route), data={"csrf": visitor.csrf})
            assert shown.status_code in (303, 405), route.path
            assert shown.headers.get("location", "/console/sign-in").startswith("/console/sign-in")
            assert sent.status_code in (403, 405), route.path


async def test_a_member_cannot_change_credentials_users_or_settings(console: Console) -> None:
    of_admins = [route for route in ROUTES if route.path.startswith(PAGES_OF_ADMINS)]
    assert of_admins
    async with console.visitor(console.member) as visitor:
        for route in of_admins:
            sent = await visitor.client.post(path_of(route), data={"csrf": visitor.csrf})
            assert sent.status_code in (403, 405), route.path
