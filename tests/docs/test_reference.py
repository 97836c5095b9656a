"""The reference documents every event, route, type, error, command and route of the sandbox."""

from __future__ import annotations

from inspect import signature

import click
import httpx
import pytest

from reachbook.domain.event_kind import Kind
from reachbook.http import app
from reachbook.http.operation import BaseEndpoint
from reachbook.sandbox.app import SandboxApp
from reachbook.settings import Settings
from reachbook.testing import run_sandbox
from reachbook.wire.models.x import FeedEventBody
from scripts import client_reference, command_reference
from scripts.api_reference import openapi_document, page
from tests.docs.test_docs import rows, section

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TOKEN = "reference-control-token"


@pytest.fixture(scope="module")
def reference() -> str:
    return page(openapi_document())


def test_every_kind_of_event_is_listed() -> None:
    listed = [row[0] for row in rows(section("docs/events.md", "Kinds"))]

    assert listed == list(Kind)


def test_every_field_of_an_event_is_listed() -> None:
    listed = [row[0] for row in rows(section("docs/events.md", "Fields"))]

    assert listed == list(FeedEventBody.__struct_fields__)


def test_every_route_is_in_the_reference(reference: str) -> None:
    served = {
        f"### `{method} {route.path}`"
        for route in [*app.ROUTES, app.METRICS]
        if isinstance(route.endpoint, BaseEndpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }

    assert served == {line for line in reference.splitlines() if line.startswith("### `")}


def test_every_type_is_in_the_reference(reference: str) -> None:
    types = {f"### {name}" for name in openapi_document()["components"]["schemas"]}

    assert types <= set(reference.splitlines())


def test_every_error_of_a_route_is_in_the_reference(reference: str) -> None:
    codes = {row[0] for row in rows(section("docs/errors.md", "Error codes"))}
    operations = [
        operation for path in openapi_document()["paths"].values() for operation in path.values()
    ]
    found = {
        code
        for operation in operations
        for status, response in operation["responses"].items()
        if status >= "400"
        for code in response["content"]["application/json"]["examples"]
    }

    assert found
    assert found <= codes
    assert {code for code in found if f"`{code}`" not in reference} == set()


def test_every_method_and_struct_of_the_client_is_in_its_reference() -> None:
    text = client_reference.page()
    methods, structs = list(client_reference.methods()), list(client_reference.structs())

    assert len(methods) > 30
    assert len(structs) > 25
    for name, method in methods:
        section = text.partition(f"### `{name}`\n")[2].partition("\n### ")[0]
        assert all(parameter in section for parameter in list(signature(method).parameters)[1:])
    for struct in structs:
        section = text.partition(f"### `{struct.__name__}`\n")[2].partition("\n### ")[0]
        assert all(f"**{field}**" in section for field in struct.__struct_fields__)


def test_every_option_is_in_the_reference_of_commands() -> None:
    text = command_reference.page()
    contexts = list(command_reference.contexts())

    assert len(contexts) > 30
    for context in contexts:
        section = text.partition(f"## `{context.command_path}`\n")[2].partition("\n## ")[0]
        for parameter in context.command.params:
            shown = max(parameter.opts, key=len)
            if isinstance(parameter, click.Argument):
                shown = parameter.make_metavar(context)
            assert shown in section, (context.command_path, shown)


def sandbox_routes() -> list[list[str]]:
    """Return the methods and paths in the documentation of the sandbox."""
    table = rows(section("docs/sandbox.md", "Control"))
    return [row[0].split() for row in table]


def test_every_path_of_the_sandbox_is_listed() -> None:
    served = {route.path for route in SandboxApp(Settings(), TOKEN)._controls.routes()}

    assert {path for _, path in sandbox_routes()} == served


def test_every_method_of_the_sandbox_is_listed() -> None:
    listed = {(method, path) for method, path in sandbox_routes()}
    with run_sandbox("--control-token", TOKEN) as sandbox, httpx.Client() as client:
        served = {
            (method, path)
            for path in {path for _, path in listed}
            for method in METHODS
            if client.request(
                method,
                sandbox.url + path.replace("{name}", "a"),
                headers={"Authorization": f"Bearer {TOKEN}"},
            ).status_code
            != httpx.codes.METHOD_NOT_ALLOWED
        }

    assert served == listed
