"""Properties of the whole OpenAPI description: security, parameters, examples."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from starlette.routing import Route

from reachbook import __version__
from reachbook.http import app
from reachbook.http.openapi import document as openapi
from reachbook.http.operation import BaseEndpoint, Endpoint
from reachbook.http.v2 import contacts
from reachbook.wire.query import AsOfQuery, FeedQuery, HistoryQuery, Options, ResolveQuery
from tests.support.openapi import Description, Json, contents_of, document
from tests.support.personas import Api

README = (Path(__file__).parents[3] / "README.md").read_text()


@pytest.mark.anyio
async def test_the_description_is_served_without_a_credential(api: Api) -> None:
    got = await api.request("GET", "/openapi.json", by={})

    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    assert got.json() == document()
    assert got.json()["openapi"] == "3.1.0"
    assert got.json()["info"]["version"] == __version__


def test_metrics_are_not_described_if_they_are_served_elsewhere() -> None:
    """If the metrics have a separate address, /metrics is not a route of this application."""
    assert "/metrics" in document()["paths"]
    assert "/metrics" not in document(app.ROUTES)["paths"]


@pytest.mark.parametrize(("base_path", "url"), [("", "/"), ("/reach/book", "/reach/book")])
def test_the_server_url_is_the_base_path(base_path: str, url: str) -> None:
    assert document(base_path=base_path)["servers"] == [{"url": url}]


def test_both_kinds_of_credential_are_described_if_one_is_needed() -> None:
    spec = document()

    for _, path, operation in Description(spec).operations():
        needs_credential = path.startswith(("/v1/", "/v2/", "/x/"))
        assert operation["security"] == ([{"jwt": []}, {"api_key": []}] if needs_credential else [])
        assert ("401" in operation["responses"]) is needs_credential
    assert set(spec["components"]["securitySchemes"]) == {"jwt", "api_key"}


def test_the_examples_of_the_vendor_documents_are_included() -> None:
    """The list and bodies of document 000, and the body of document 001."""
    vendor_examples = [
        {"channel_type": "email", "channel_id": "alice@example.com"},
        {"channel_type": "phone", "channel_id": "14155551234"},
    ]
    post = document()["paths"]["/v2/contact/{contactID}/channel"]["post"]
    put = document()["paths"]["/v2/contact/{contactID}/channel"]["put"]
    listed = document()["paths"]["/v2/contact/{contactID}/channels"]["get"]

    [request_content] = post["requestBody"]["content"].values()
    assert [example["value"] for example in request_content["examples"].values()] == vendor_examples
    [request_content] = put["requestBody"]["content"].values()
    assert [example["value"]["channel_id"] for example in request_content["examples"].values()] == [
        "newemail@example.com"
    ]
    [response_content] = listed["responses"]["200"]["content"].values()
    indented = json.dumps(response_content["examples"]["string_ids"]["value"], indent=2)
    assert indented in README
    assert {len(channel) for channel in response_content["examples"]["integer_ids"]["value"]} == {9}


def test_every_query_option_is_described() -> None:
    described = {
        parameter["name"]
        for _, _, operation in Description(document()).operations()
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }

    extension_queries = (AsOfQuery, FeedQuery, HistoryQuery, ResolveQuery)
    parameters = {
        name for query in (Options, *extension_queries) for name in query.__struct_fields__
    }
    assert described == parameters


def test_parameters_of_x_are_described_with_type_and_bounds() -> None:
    """They are those of the struct that the query is decoded into; defaults are not described."""
    description = Description(document())
    endpoints = [
        (route, route.endpoint) for route in app.ROUTES if isinstance(route.endpoint, BaseEndpoint)
    ]
    for route, endpoint in endpoints:
        for method, operation in endpoint.operations.items():
            query = getattr(operation.spec, "query", None)
            if query is None or method == "HEAD":
                continue
            _, schemas = msgspec.json.schema_components([query])
            struct = schemas[query.__name__]
            described_bounds = {
                parameter["name"]: bounds(parameter["schema"])
                for parameter in description.operation(method, route.path)["parameters"]
                if parameter["in"] == "query"
            }
            assert described_bounds == {
                name: bounds(schema) for name, schema in struct["properties"].items()
            }


def bounds(schema: Json) -> Json:
    """Returns the type and the bounds of a schema, ignoring null."""
    variant = schema.get("anyOf", [schema])[0]
    values = {key: variant.get(key) for key in ("type", "minimum", "maximum")}
    return {**values, "named": variant.get("$ref", "").rpartition("/")[2]}


def test_every_request_and_response_body_has_an_example() -> None:
    for _, path, operation in Description(document()).operations():
        if path.startswith(("/v1/", "/v2/", "/x/")):
            contents = list(contents_of(operation))
            assert all(content["examples"] for content in contents), operation["operationId"]


def test_every_operation_has_a_unique_summary_and_id() -> None:
    all_operations = [operation for _, _, operation in Description(document()).operations()]

    assert all(
        operation["summary"] and operation["description"] and operation["tags"]
        for operation in all_operations
    )
    assert len({operation["operationId"] for operation in all_operations}) == len(all_operations)
    assert len({operation["summary"] for operation in all_operations}) == len(all_operations)


def test_an_undescribed_path_parameter_prevents_the_start() -> None:
    """A new operation must describe its path parameters, or the application does not start."""
    with pytest.raises(KeyError, match="ghostID"):
        openapi.document([Route("/x/{ghostID}", Endpoint(GET=contacts.team))])
