"""The OpenAPI description matches the code. Each check is tested on a document with a fault."""

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
CODES = {reason.code: reason for reason in Reason}


# ── the checks: each yields the faults of a document ─────────────────────────────────────────


def valid_openapi(spec: Json) -> Iterator[str]:
    """The document is OpenAPI 3.1, and its schemas are JSON Schema."""
    yield from (error.message for error in OPENAPI_31_VALIDATOR.iter_errors(spec))


def routes(spec: Json) -> Iterator[str]:
    """Each route is described with its methods; HEAD and OPTIONS are described once, for all."""
    described = {(method, path) for method, path, _ in Description(spec).operations()}
    served = {
        (method, route.path)
        for route in ROUTES
        if isinstance(route.endpoint, BaseEndpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }
    yield from differences("route", described, served)


def fields(spec: Json) -> Iterator[str]:
    """Each type of a body is described with its fields, and with the required ones."""
    schemas = spec["components"]["schemas"]
    known = {struct.__name__: struct for module in MODELS for struct in structs(module)}
    for name, schema in schemas.items():
        if name in known:
            struct_fields = msgspec.structs.fields(known[name])
            yield from differences(
                f"field of {name}",
                set(schema["properties"]),
                {field.encode_name for field in struct_fields},
            )
            required = {field.encode_name for field in struct_fields if field.required}
            yield from differences(f"required of {name}", set(schema["required"]), required)
    yield from differences("type", set(known) & set(schemas), set(known) - NOT_DESCRIBED)


MODELS = (v2, x, errors)
NOT_DESCRIBED = {
    *("ContactBody", "EventBody", "FeedEventBody"),  # base classes
    "MayCreate",  # decodes a part of a body
    *("HistoryBody", "FeedBody", "ExportBody"),  # described as HistoryPage, FeedPage, Export
    *("BulkRequest", "BulkBody", "BatchRequest", "BatchBody"),  # described row by row
}


def structs(module: ModuleType) -> list[type[msgspec.Struct]]:
    types = [struct for struct in vars(module).values() if isinstance(struct, type)]
    return [
        struct
        for struct in types
        if issubclass(struct, msgspec.Struct) and struct.__module__ == module.__name__
    ]


def reasons(spec: Json) -> Iterator[str]:
    """Each reason has its status and an example, except those that only other programs return."""
    description = Description(spec)
    found = set()
    for _, _, operation in description.operations():
        for status, response in operation["responses"].items():
            codes = description.codes(response)
            found |= codes
            expected = {str(status_of(CODES[code])) for code in codes} or {"200", "304"} & {status}
            yield from differences(f"status of {sorted(codes)}", {status}, expected)
            if codes:
                [content] = response["content"].values()
                yield from differences("example", set(content["examples"]), codes)
    elsewhere = "Only the command line, the sandbox and the web console return"
    [sentence] = re.findall(rf"^{elsewhere} (.*)\.$", ERRORS, re.MULTILINE)
    yield from differences("reason", found, set(CODES) - set(re.findall(r"`(\w+)`", sentence)))


def examples(spec: Json) -> Iterator[str]:
    """Each example is valid for its schema."""
    description = Description(spec)
    contents = (
        content
        for _, _, operation in description.operations()
        for content in contents_of(operation)
    )
    for content in contents:
        for name, example in content.get("examples", {}).items():
            component = example.get("$ref", "").rpartition("/")[2]
            value = (spec["components"]["examples"][component] if component else example)["value"]
            if component and value["error_code"] != name:
                yield f"the example {name} shows {value['error_code']}"
            for fault in description.faults_of_value(content["schema"], value):
                yield f"the example {name} is none: {fault}"


def references(spec: Json) -> Iterator[str]:
    """Each reference has a component, and each component a reference."""
    referred = set(re.findall(r'"#/components/(\w+/[^"]+)"', json.dumps(spec)))
    kinds = set(spec["components"]) - {"securitySchemes"}
    defined = {f"{kind}/{name}" for kind in kinds for name in spec["components"][kind]}
    yield from differences("component", defined, referred)


def lint(spec: Json) -> Iterator[str]:
    """Yields problems that linters and client generators report."""
    declared = {tag["name"] for tag in spec["tags"] if tag["description"]}
    used = {tag for _, _, operation in Description(spec).operations() for tag in operation["tags"]}
    yield from differences("tag", declared, used)
    for schema in schemas_within(spec):
        if schema.get("type") == "array" and "items" not in schema:
            yield f"an array without items: {schema}"
        if "default" in schema:
            yield f"a default, which makes a key required in TypeScript: {schema}"
        if schema == {"type": "object"}:
            yield "an object that is empty in TypeScript"


def schemas_within(part: Any) -> Iterator[Json]:
    """Yields every object of a document that has the form of a schema, without examples."""
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part
        for name, inner in part.items():
            if name != "examples":
                yield from schemas_within(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from schemas_within(inner)


def differences(noun: str, described: set[Any], implemented: set[Any]) -> Iterator[str]:
    yield from (f"{noun} {item} is not described" for item in sorted(implemented - described))
    yield from (
        f"{noun} {item} is described, and not there" for item in sorted(described - implemented)
    )


CHECKS = [valid_openapi, routes, fields, reasons, examples, references, lint]


@pytest.mark.parametrize("check", CHECKS)
def test_the_description_has_no_faults(check: Callable[[Json], Iterator[str]]) -> None:
    assert list(check(document())) == []


CURSORS = [
    ("ListRequest", "date"),
    ("StringIdsContact", "updated"),
    ("IntegerIdsContact", "updated"),
]


@pytest.mark.parametrize(("schema", "name"), CURSORS)
def test_the_date_of_a_list_is_described_as_a_plain_string(schema: str, name: str) -> None:
    field = document()["components"]["schemas"][schema]["properties"][name]
    assert '"type": "string"' in json.dumps(field)
    assert "format" not in json.dumps(field)
    assert "unchanged" in json.dumps(field)


ADD = ("paths", "/v2/contact/{contactID}/channel", "post")
TAKEN = (*ADD, "responses", "409", "content", "application/json")
CHANNEL = ("components", "schemas", "StringIdsChannel")
MISSING, THERE = "is not described", "is described, and not there"
REMOVED = object()
MEMBERS = ("components", "schemas", "TeamBody", "properties", "members")
LIMIT = ("components", "schemas", "ListRequest", "properties", "limit")
CUSTOM = ("components", "schemas", "StringIdsContact", "properties", "custom")
JsonPath = tuple[str | int, ...]
FAULTS: list[tuple[Callable[[Json], Iterator[str]], JsonPath, object, str]] = [
    (valid_openapi, ("info", "title"), REMOVED, "title"),
    (valid_openapi, (*ADD, "responses", "ok"), {"description": "Fine."}, "ok"),
    (routes, ADD, REMOVED, f"channel') {MISSING}"),
    (routes, ("paths", "/v2/contact/{contactID}/channel", "patch"), {}, THERE),
    (routes, ("paths", "/v2/ghost"), {"get": {}}, THERE),
    (fields, (*CHANNEL, "properties", "info_channel"), REMOVED, f"info_channel {MISSING}"),
    (fields, (*CHANNEL, "properties", "ghost"), {}, f"ghost {THERE}"),
    (fields, (*CHANNEL, "required"), ["id"], f"updated {MISSING}"),
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


@pytest.mark.parametrize(("check", "path", "value", "complaint"), FAULTS)
def test_each_check_reports_its_faults(
    check: Callable[[Json], Iterator[str]], path: JsonPath, value: object, complaint: str
) -> None:
    spec = document()
    *outer, last = path
    parent: Any = spec
    for key in outer:
        parent = parent[key]
    if value is REMOVED:
        del parent[last]
    else:
        parent[last] = value

    faults = "\n".join(check(spec))

    assert complaint in faults
