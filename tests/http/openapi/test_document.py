"""The description says what is there, no less and no more. Every check is proven on a fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from reachbook.domain.errors import Reason
from reachbook.http import app
from reachbook.http.operation import BaseEndpoint
from reachbook.wire.errors import status as status_of
from reachbook.wire.models import errors, v2, x
from tests.support.openapi import Description, Json, contents_of, document

ERRORS = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
ROUTES = [*app.ROUTES, app.METRICS]
CODES = {one.code: one for one in Reason}


# ── the checks: a document in, complaints out ────────────────────────────────────────────────


def form(made: Json) -> Iterator[str]:
    """It is OpenAPI 3.1, and its schemas are JSON Schema."""
    yield from (error.message for error in OPENAPI_31_VALIDATOR.iter_errors(made))


def routes(made: Json) -> Iterator[str]:
    """Each route with its methods; HEAD and OPTIONS are said once, for all."""
    described = {(method, path) for method, path, _ in Description(made).operations()}
    served = {
        (method, route.path)
        for route in ROUTES
        if isinstance(route.endpoint, BaseEndpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }
    yield from different("route", described, served)


def fields(made: Json) -> Iterator[str]:
    """Each type that goes over the wire with its fields, and which of them are always there."""
    schemas = made["components"]["schemas"]
    known = {one.__name__: one for module in MODELS for one in structs(module)}
    for name, schema in schemas.items():
        if name in known:
            there = msgspec.structs.fields(known[name])
            yield from different(
                f"field of {name}", set(schema["properties"]), {one.encode_name for one in there}
            )
            required = {one.encode_name for one in there if one.required}
            yield from different(f"required of {name}", set(schema["required"]), required)
    yield from different("type", set(known) & set(schemas), set(known) - NOT_A_BODY)


MODELS = (v2, x, errors)
NOT_A_BODY = {
    *("ContactBody", "EventBody", "FeedEventBody"),  # what others are made of
    "MayCreate",  # a first look at a body
    *("HistoryBody", "FeedBody", "ExportBody"),  # shown as HistoryPage, FeedPage, Export
    *("BulkRequest", "BulkBody", "BatchRequest", "BatchBody"),  # shown row by row
}


def structs(module: ModuleType) -> list[type[msgspec.Struct]]:
    every = [one for one in vars(module).values() if isinstance(one, type)]
    return [
        one
        for one in every
        if issubclass(one, msgspec.Struct) and one.__module__ == module.__name__
    ]


def reasons(made: Json) -> Iterator[str]:
    """Each reason under its status, with an example; those that are said nowhere are the CLI's."""
    description = Description(made)
    said = set()
    for _, _, operation in description.operations():
        for status, response in operation["responses"].items():
            codes = description.codes(response)
            said |= codes
            true = {str(status_of(CODES[one])) for one in codes} or {"200", "304"} & {status}
            yield from different(f"status of {sorted(codes)}", {status}, true)
            if codes:
                [shown] = response["content"].values()
                yield from different("example", set(shown["examples"]), codes)
    elsewhere = "Only the command line, the sandbox and the web console return"
    [sentence] = re.findall(rf"^{elsewhere} (.*)\.$", ERRORS, re.MULTILINE)
    yield from different("reason", said, set(CODES) - set(re.findall(r"`(\w+)`", sentence)))


def examples(made: Json) -> Iterator[str]:
    """Each example is one of what it is an example of."""
    description = Description(made)
    contents = (one for _, _, each in description.operations() for one in contents_of(each))
    for content in contents:
        for name, one in content.get("examples", {}).items():
            named = one.get("$ref", "").rpartition("/")[2]
            value = (made["components"]["examples"][named] if named else one)["value"]
            if named and value["error_code"] != name:
                yield f"the example {name} shows {value['error_code']}"
            for fault in description.faults_of_value(content["schema"], value):
                yield f"the example {name} is none: {fault}"


def references(made: Json) -> Iterator[str]:
    """What is referred to is there, and what is there is referred to."""
    referred = set(re.findall(r'"#/components/(\w+/[^"]+)"', json.dumps(made)))
    kinds = set(made["components"]) - {"securitySchemes"}
    there = {f"{kind}/{name}" for kind in kinds for name in made["components"][kind]}
    yield from different("component", there, referred)


def lint(made: Json) -> Iterator[str]:
    """Yields problems that linters and client generators report."""
    declared = {one["name"] for one in made["tags"] if one["description"]}
    used = {tag for _, _, one in Description(made).operations() for tag in one["tags"]}
    yield from different("tag", declared, used)
    for schema in schemas_within(made):
        if schema.get("type") == "array" and "items" not in schema:
            yield f"an array without items: {schema}"
        if "default" in schema:
            yield f"a default, which makes a key required in TypeScript: {schema}"
        if schema == {"type": "object"}:
            yield "an object that is empty in TypeScript"


def schemas_within(part: Any) -> Iterator[Json]:
    """Every object of a document that has the form of a schema; examples are left out."""
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part
        for name, inner in part.items():
            if name != "examples":
                yield from schemas_within(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from schemas_within(inner)


def different(what: str, described: set[Any], true: set[Any]) -> Iterator[str]:
    yield from (f"{what} {one} is not described" for one in sorted(true - described))
    yield from (f"{what} {one} is described, and not there" for one in sorted(described - true))


CHECKS = [form, routes, fields, reasons, examples, references, lint]


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_true(check: Callable[[Json], Iterator[str]]) -> None:
    assert list(check(document())) == []


CURSORS = [
    ("ListRequest", "date"),
    ("StringIdsContact", "updated"),
    ("IntegerIdsContact", "updated"),
]


@pytest.mark.parametrize(("schema", "name"), CURSORS)
def test_a_generated_client_keeps_the_cursor_of_a_list_a_string(schema: str, name: str) -> None:
    field = document()["components"]["schemas"][schema]["properties"][name]
    assert '"type": "string"' in json.dumps(field)
    assert "format" not in json.dumps(field)
    assert "unchanged" in json.dumps(field)


ADD = ("paths", "/v2/contact/{contactID}/channel", "post")
TAKEN = (*ADD, "responses", "409", "content", "application/json")
FORM = ("components", "schemas", "StringIdsChannel")
MISSING, THERE = "is not described", "is described, and not there"
REMOVED = object()
MEMBERS = ("components", "schemas", "TeamBody", "properties", "members")
LIMIT = ("components", "schemas", "ListRequest", "properties", "limit")
CUSTOM = ("components", "schemas", "StringIdsContact", "properties", "custom")
Place = tuple[str | int, ...]
PLANTED: list[tuple[Callable[[Json], Iterator[str]], Place, object, str]] = [
    (form, ("info", "title"), REMOVED, "title"),
    (form, (*ADD, "responses", "ok"), {"description": "Fine."}, "ok"),
    (routes, ADD, REMOVED, f"channel') {MISSING}"),
    (routes, ("paths", "/v2/contact/{contactID}/channel", "patch"), {}, THERE),
    (routes, ("paths", "/v2/ghost"), {"get": {}}, THERE),
    (fields, (*FORM, "properties", "info_channel"), REMOVED, f"info_channel {MISSING}"),
    (fields, (*FORM, "properties", "ghost"), {}, f"ghost {THERE}"),
    (fields, (*FORM, "required"), ["id"], f"updated {MISSING}"),
    (fields, ("components", "schemas", "ErrorBody"), REMOVED, f"type ErrorBody {MISSING}"),
    (reasons, (*TAKEN, "schema"), {}, f"status of [] 409 {THERE}"),
    (reasons, (*TAKEN, "examples"), {}, f"example address_taken {MISSING}"),
    (
        reasons,
        ("paths", "/v2/contact/{contactID}/channel/{channelType}", "delete", "responses", "409"),
        REMOVED,
        f"reason several {MISSING}",
    ),
    (
        reasons,
        (*TAKEN, "schema", "anyOf", 0, "properties", "error_code"),
        {"enum": ["address_taken", "read_only"]},
        f"status of ['address_taken', 'in_progress', 'read_only'] 403 {MISSING}",
    ),
    (
        examples,
        (*TAKEN, "examples", "address_taken"),
        {"value": {"error": "conflict"}},
        "the example address_taken is none",
    ),
    (
        examples,
        (*ADD, "requestBody", "content", "application/json", "examples", "a"),
        {"value": {"channel_type": "id", "channel_id": "1"}},
        "the example a is none",
    ),
    (references, ("components", "headers", "Ghost"), {}, f"headers/Ghost {THERE}"),
    (references, ("components", "headers", "Allow"), REMOVED, f"headers/Allow {MISSING}"),
    (lint, (*ADD, "tags"), ["Ghost"], f"tag Ghost {MISSING}"),
    (lint, ("tags", 0, "description"), "", f"tag Contact channel {MISSING}"),
    (lint, (*MEMBERS, "items"), REMOVED, "an array without items"),
    (lint, (*LIMIT, "default"), 30, "a default"),
    (lint, CUSTOM, {"type": "object"}, "an object that is empty"),
]


@pytest.mark.parametrize(("check", "where", "value", "complaint"), PLANTED)
def test_a_planted_fault_is_named(
    check: Callable[[Json], Iterator[str]], where: Place, value: object, complaint: str
) -> None:
    made = document()
    *outer, last = where
    place: Any = made
    for key in outer:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value

    told = "\n".join(check(made))

    assert complaint in told
