"""The examples of docs/client.md run in order against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from reachbook import client
from reachbook.client.errors import OF_KIND, OF_REASON
from reachbook.domain import timestamps
from reachbook.service.administration import Administration
from reachbook.service.bootstrap import Bootstrap, bootstrap
from reachbook.storage import open_store
from tests.docs.test_docs import HOST, README, blocks, read, rows, section
from tests.support.personas import MASTER_KEY
from tests.support.server_process import Server, serving

PAGE = "docs/client.md"


@pytest.fixture
def first_start(tmp_path: Path) -> Iterator[tuple[Server, Bootstrap]]:
    """A server on the database that the first start creates, with its credentials."""
    url = f"sqlite:///{tmp_path}/reachbook.db"

    async def create_database() -> Bootstrap | None:
        store = await open_store(url)
        try:
            return await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)
        finally:
            await store.close()

    made = asyncio.run(create_database())
    assert made
    with serving(tmp_path, url) as server:
        yield server, made


def test_the_examples_of_the_page_run(
    first_start: tuple[Server, Bootstrap], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, made = first_start
    monkeypatch.setenv("KEY", made.api_key)
    names: dict[str, object] = {}
    examples = blocks(read(PAGE), "python")

    for example in examples:
        exec(compile(example.replace(HOST, server.url), PAGE, "exec"), names)

    assert len(examples) == 10
    clients = [value for value in names.values() if isinstance(value, client.Client)]
    assert len(clients) == 4
    for opened in clients:
        opened.close()


def test_the_example_of_the_readme_runs(
    first_start: tuple[Server, Bootstrap], capsys: pytest.CaptureFixture[str]
) -> None:
    server, made = first_start
    [example] = blocks(section(README, "Python client"), "python")
    names: dict[str, object] = {}

    example = example.replace(HOST, server.url).replace("rbk_1_...", made.api_key)
    exec(compile(example, README, "exec"), names)

    assert "StringIdsChannel(id='ch_001'" in capsys.readouterr().out
    opened = names["client"]
    assert isinstance(opened, client.Client)
    opened.close()


def test_every_error_class_is_listed() -> None:
    listed = {cls: (kind, subclasses) for cls, kind, subclasses in rows(section(PAGE, "Errors"))}

    assert {cls: kind for cls, (kind, _) in listed.items()} == {
        cls.__name__: str(kind) for kind, cls in OF_KIND.items()
    }
    for reason, cls in OF_REASON.items():
        assert cls.__name__ in listed[OF_KIND[reason.kind].__name__][1]


def test_the_methods_in_the_vendor_table_exist() -> None:
    named = {
        name
        for row in rows(section(PAGE, "The vendor"))
        for name in row[0].replace("`", "").split(", ")
    }

    assert named - {"all others"} <= set(vars(client.Client))
