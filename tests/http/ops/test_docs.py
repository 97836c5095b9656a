"""The page that shows the OpenAPI description; it loads files only from this server."""

from __future__ import annotations

import re
from importlib.metadata import requires
from urllib.parse import urljoin

import pytest

from reachbook.http.ops import docs
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

REFERENCE = re.compile(r'(?:src|href)="([^"]+)"')


async def file_paths(api: Api) -> list[str]:
    """Returns the paths that the page refers to, as a browser resolves them."""
    page = (await api.request("GET", "/docs", by={})).text
    references = [
        reference for reference in REFERENCE.findall(page) if not reference.startswith("data:")
    ]
    return [urljoin("/docs", reference) for reference in references]


async def test_the_docs_page_is_html(api: Api) -> None:
    response = await api.request("GET", "/docs", by={})

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>")


async def test_all_files_of_the_page_are_served(api: Api) -> None:
    paths = await file_paths(api)

    kinds = [(await api.request("GET", path, by={})).headers["content-type"] for path in paths]
    assert [kind.partition(";")[0] for kind in kinds] == [
        "text/css",
        "application/json",
        "text/javascript",
        "text/javascript",
    ]
    assert "openapi.json" in docs.START.decode()


@pytest.mark.parametrize("base_path", ["", "/reach/book"])
async def test_references_are_below_the_base_path_of_a_proxy(api: Api, base_path: str) -> None:
    """They are relative, so a browser resolves them below the prefix of the proxy."""
    page = (await api.request("GET", "/docs", by={})).text

    for reference in REFERENCE.findall(page):
        if not reference.startswith("data:"):
            assert urljoin(f"{base_path}/docs", reference).startswith(f"{base_path}/")
            assert not reference.startswith(("/", "http"))


async def test_the_content_security_policy_allows_only_this_server(api: Api) -> None:
    policy = (await api.request("GET", "/docs", by={})).headers["content-security-policy"]

    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == "'self'"
    assert allowed["frame-ancestors"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_the_page_has_no_inline_scripts_or_styles(api: Api) -> None:
    page = (await api.request("GET", "/docs", by={})).text

    assert "<style" not in page
    assert " style=" not in page
    assert re.findall(r"<script(?! src=)", page) == []


async def test_the_style_sheet_loads_no_other_files(api: Api) -> None:
    """Its images are data URLs."""
    [sheet] = [path for path in await file_paths(api) if path.endswith(".css")]

    text = (await api.request("GET", sheet, by={})).text
    assert "@import" not in text
    assert re.findall(r"url\((?![\"']?data:)[^)]*\)", text) == []


async def test_files_are_cached_for_a_year_and_the_page_is_not_cached(api: Api) -> None:
    """A file name contains a hash of its content, so a new release has new names."""
    page = await api.request("GET", "/docs", by={})
    assets = [path for path in await file_paths(api) if "/assets/" in path]

    assert page.headers["cache-control"] == "no-cache"
    for path in assets:
        response = await api.request("GET", path, by={})
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"\.[0-9a-f]{12}\.(css|js)$", path)
    assert len(assets) == 3


@pytest.mark.parametrize(
    "path", ["ghost.js", "..%2F..%2Fpyproject.toml", "swagger-ui.css", "%00", "docs.py"]
)
async def test_no_other_file_is_served(api: Api, path: str) -> None:
    response = await api.request("GET", f"/docs/assets/{path}", by={})

    assert response.status_code == 404
    assert response.json()["error_code"] == "no_route"


def test_the_name_of_a_file_depends_on_its_content() -> None:
    assert docs._name("a", docs.CSS, b"1") != docs._name("a", docs.CSS, b"2")


def test_the_swagger_ui_package_needs_no_web_framework() -> None:
    """The package was chosen for its few dependencies."""
    needed = {re.split(r"[^\w.-]", reference)[0] for reference in requires("swagger-ui-py") or []}

    assert needed == {"jinja2", "packaging", "PyYaml"}
