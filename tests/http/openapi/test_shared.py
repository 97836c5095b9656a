"""What the description says as a whole: who may ask, every option, every example."""

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
async def test_it_is_served_to_everyone(api: Api) -> None:
    got = await api.request("GET", "/openapi.json", by={})

    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    assert got.json() == document()
    assert got.json()["openapi"] == "3.1.0"
    assert got.json()["info"]["version"] == __version__


def test_a_route_that_is_not_served_is_not_described() -> None:
    """Where the metrics have an address of their own, /metrics is not here."""
    assert "/metrics" in document()["paths"]
    assert "/metrics" not in document(app.ROUTES)["paths"]


@pytest.mark.parametrize(("base_path", "url"), [("", "/"), ("/reach/book", "/reach/book")])
def test_the_server_is_where_the_proxy_shows_it(base_path: str, url: str) -> None:
    assert document(base_path=base_path)["servers"] == [{"url": url}]


def test_both_kinds_of_credential_are_taken_where_one_is_needed() -> None:
    made = document()

    for _, path, operation in Description(made).operations():
        calls = path.startswith(("/v1/", "/v2/", "/x/"))
        assert operation["security"] == ([{"jwt": []}, {"api_key": []}] if calls else [])
        assert ("401" in operation["responses"]) is calls
    assert set(made["components"]["securitySchemes"]) == {"jwt", "api_key"}


def test_the_seeds_examples_are_in_it() -> None:
    """Seed 000's list and bodies, seed 001's body, byte for byte once laid out."""
    seeds = [
        {"channel_type": "email", "channel_id": "alice@example.com"},
        {"channel_type": "phone", "channel_id": "14155551234"},
    ]
    post = document()["paths"]["/v2/contact/{contactID}/channel"]["post"]
    put = document()["paths"]["/v2/contact/{contactID}/channel"]["put"]
    listed = document()["paths"]["/v2/contact/{contactID}/channels"]["get"]

    [asked] = post["requestBody"]["content"].values()
    assert [one["value"] for one in asked["examples"].values()] == seeds
    [asked] = put["requestBody"]["content"].values()
    assert [one["value"]["channel_id"] for one in asked["examples"].values()] == [
        "newemail@example.com"
    ]
    [given] = listed["responses"]["200"]["content"].values()
    shown = json.dumps(given["examples"]["string_ids"]["value"], indent=2)
    assert shown in README
    assert {len(one) for one in given["examples"]["integer_ids"]["value"]} == {9}


def test_every_query_option_is_described() -> None:
    described = {
        parameter["name"]
        for _, _, operation in Description(document()).operations()
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }

    own = (AsOfQuery, FeedQuery, HistoryQuery, ResolveQuery)
    known = {name for shape in (Options, *own) for name in shape.__struct_fields__}
    assert described == known


def test_a_parameter_of_our_own_paths_is_what_the_query_is_decoded_into() -> None:
    """The same type and bounds; that an absent one has a default is not said."""
    described = Description(document())
    endpoints = [
        (one, one.endpoint) for one in app.ROUTES if isinstance(one.endpoint, BaseEndpoint)
    ]
    for route, endpoint in endpoints:
        for method, operation in endpoint.operations.items():
            query = getattr(operation.spec, "query", None)
            if query is None or method == "HEAD":
                continue
            _, named = msgspec.json.schema_components([query])
            shape = named[query.__name__]
            said = {
                one["name"]: bounds(one["schema"])
                for one in described.operation(method, route.path)["parameters"]
                if one["in"] == "query"
            }
            assert said == {name: bounds(one) for name, one in shape["properties"].items()}


def bounds(schema: Json) -> Json:
    """The type and the bounds of a schema; one that may be null is what it is otherwise."""
    one = schema.get("anyOf", [schema])[0]
    told = {key: one.get(key) for key in ("type", "minimum", "maximum")}
    return {**told, "named": one.get("$ref", "").rpartition("/")[2]}


def test_everything_that_is_taken_and_given_to_a_caller_has_an_example() -> None:
    for _, path, operation in Description(document()).operations():
        if path.startswith(("/v1/", "/v2/", "/x/")):
            contents = list(contents_of(operation))
            assert all(one["examples"] for one in contents), operation["operationId"]


def test_every_operation_says_what_it_is_for() -> None:
    said = [operation for _, _, operation in Description(document()).operations()]

    assert all(one["summary"] and one["description"] and one["tags"] for one in said)
    assert len({one["operationId"] for one in said}) == len(said)
    assert len({one["summary"] for one in said}) == len(said)


def test_a_part_of_a_path_that_nobody_describes_stops_the_start() -> None:
    """A new operation declares it; otherwise the application does not come up."""
    with pytest.raises(KeyError, match="ghostID"):
        openapi.document([Route("/x/{ghostID}", Endpoint(GET=contacts.team))])
