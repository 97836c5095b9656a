"""The documentation site builds without warnings, has every page, and has no dead link."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 120
# By scripts/reference.py, only for the site.
GENERATED = ["docs/api.md", "docs/client-reference.md", "docs/commands.md"]


class Page(HTMLParser):
    """The ids, the links and the assets of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attributes if value}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if "src" in values:
            self.assets.append(values["src"])
        if tag == "link" and values.get("rel") != "canonical":
            self.assets.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    done = subprocess.run(
        [ROOT / "scripts" / "site.sh", sys.executable, folder],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    # 404.html is excluded: its links start at the root of the host.
    files = [file for file in site.rglob("*.html") if file.name != "404.html"]
    return {file: Page(file.read_text()) for file in files}


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "bench" / "README.md",
        ROOT / "deploy" / "README.md",
    ]
    assert sorted(listed) == sorted([*GENERATED, *(str(page.relative_to(ROOT)) for page in pages)])


def test_no_link_is_dead(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    dead = [
        f"{file.relative_to(site)}: {link}"
        for file, page in pages.items()
        for link in (*page.links, *page.assets)
        if not link_exists(file, link, pages)
    ]
    assert dead == []


def link_exists(file: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Return whether the target of a link exists; links to other hosts are not followed."""
    url = urlsplit(link)
    if url.scheme:
        return True
    target = (file.parent / unquote(url.path)).resolve() if url.path else file
    if not target.is_file():
        return False
    return not url.fragment or target not in pages or unquote(url.fragment) in pages[target].ids


def test_nothing_is_loaded_from_another_host(pages: dict[Path, Page]) -> None:
    assert [asset for page in pages.values() for asset in remote_assets(page)] == []


def remote_assets(page: Page) -> Iterator[str]:
    return (asset for asset in page.assets if urlsplit(asset).netloc)
