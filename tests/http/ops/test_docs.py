"""The page that shows the description: from here, and from nowhere else."""

from __future__ import annotations

import re
from importlib.metadata import requires
from urllib.parse import urljoin

import pytest

from reachbook.http.ops import docs
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

REFERENCE = re.compile(r'(?:src|href)="([^"]+)"')


async def files(api: Api) -> list[str]:
    """The paths that the page refers to, as a browser resolves them."""
    page = (await api.request("GET", "/docs", by={})).text
    named = [one for one in REFERENCE.findall(page) if not one.startswith("data:")]
    return [urljoin("/docs", one) for one in named]


async def test_it_works(api: Api) -> None:
    answer = await api.request("GET", "/docs", by={})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>")


async def test_everything_it_refers_to_is_here(api: Api) -> None:
    paths = await files(api)

    kinds = [(await api.request("GET", path, by={})).headers["content-type"] for path in paths]
    assert [kind.partition(";")[0] for kind in kinds] == [
        "text/css",
        "application/json",
        "text/javascript",
        "text/javascript",
    ]
    assert "openapi.json" in docs.START.decode()


@pytest.mark.parametrize("base_path", ["", "/reach/book"])
async def test_it_works_where_a_proxy_shows_it(api: Api, base_path: str) -> None:
    """Its references are relative, so they stay below whatever the proxy puts in front."""
    page = (await api.request("GET", "/docs", by={})).text

    for one in REFERENCE.findall(page):
        if not one.startswith("data:"):
            assert urljoin(f"{base_path}/docs", one).startswith(f"{base_path}/")
            assert not one.startswith(("/", "http"))


async def test_the_browser_may_load_nothing_else(api: Api) -> None:
    policy = (await api.request("GET", "/docs", by={})).headers["content-security-policy"]

    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == "'self'"
    assert allowed["frame-ancestors"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_nothing_is_written_into_the_page_that_the_policy_would_stop(api: Api) -> None:
    page = (await api.request("GET", "/docs", by={})).text

    assert "<style" not in page
    assert " style=" not in page
    assert re.findall(r"<script(?! src=)", page) == []


async def test_a_style_sheet_loads_nothing(api: Api) -> None:
    """No font, no picture: what it needs is inside it."""
    [sheet] = [path for path in await files(api) if path.endswith(".css")]

    text = (await api.request("GET", sheet, by={})).text
    assert "@import" not in text
    assert re.findall(r"url\((?![\"']?data:)[^)]*\)", text) == []


async def test_a_file_may_be_kept_for_ever_and_the_page_may_not(api: Api) -> None:
    """A new release names its files anew, and the page is asked for each time."""
    page = await api.request("GET", "/docs", by={})
    assets = [path for path in await files(api) if "/assets/" in path]

    assert page.headers["cache-control"] == "no-cache"
    for path in assets:
        answer = await api.request("GET", path, by={})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"\.[0-9a-f]{12}\.(css|js)$", path)
    assert len(assets) == 3


@pytest.mark.parametrize(
    "path", ["ghost.js", "..%2F..%2Fpyproject.toml", "swagger-ui.css", "%00", "docs.py"]
)
async def test_no_other_file_is_served(api: Api, path: str) -> None:
    answer = await api.request("GET", f"/docs/assets/{path}", by={})

    assert answer.status_code == 404
    assert answer.json()["error_code"] == "no_route"


def test_the_name_of_a_file_follows_what_it_holds() -> None:
    assert docs._name("a", docs.CSS, b"1") != docs._name("a", docs.CSS, b"2")


def test_the_package_brings_no_web_framework() -> None:
    """What else it installs is what it was chosen for."""
    needed = {re.split(r"[^\w.-]", one)[0] for one in requires("swagger-ui-py") or []}

    assert needed == {"jinja2", "packaging", "PyYaml"}
