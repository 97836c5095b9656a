"""The API reference as a page of Markdown, made from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from reachbook.http import app
from reachbook.http.openapi.document import document
from scripts.tables import table

Json = dict[str, Any]

INTRODUCTION = """\
# API reference

Every route with its parameters, its request body, its responses and its errors.
This page is made from the OpenAPI document, which a server returns at `/openapi.json`.
[Errors](errors.md#error-codes) says what each `error_code` means.
[Credentials](credentials.md) says what to send as `Authorization`.
"""
TYPES = """\
## Types

The JSON objects of the requests and responses.
"""


def openapi_document() -> Json:
    """Returns the OpenAPI document of a server that has all its routes."""
    found: Json = msgspec.json.decode(document([*app.ROUTES, app.METRICS]))
    return found


def page(openapi: Json) -> str:
    """Returns the page for an OpenAPI document."""
    parts = [INTRODUCTION]
    for tag in openapi["tags"]:
        parts.append(f"## {tag['name']}\n\n{tag['description']}\n")
        parts += [
            _operation(f"{method.upper()} {path}", operation)
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
            if operation["tags"] == [tag["name"]]
        ]
    parts.append(TYPES)
    parts += [_type(name, schema) for name, schema in openapi["components"]["schemas"].items()]
    return "\n".join(parts)


def _operation(title: str, operation: Json) -> str:
    summary, more = operation["summary"], operation["description"]
    parts = [f"### `{title}`\n", f"{summary}.\n"]
    if more.rstrip(".") != summary:
        parts.append(f"{more}\n")
    if not operation["security"]:
        parts.append("Needs no credential.\n")
    if operation["parameters"]:
        parts.append(table(("parameter", "in", "type", "meaning"), _parameters(operation)))
    if "requestBody" in operation:
        parts.append(f"Request body: {_content(operation['requestBody'])}\n")
    parts.append(table(("status", "body", "meaning"), _responses(operation)))
    return "\n".join(parts)


def _parameters(operation: Json) -> Iterator[tuple[str, ...]]:
    for each in operation["parameters"]:
        # Bold and not code: the theme breaks code in the middle of a word to keep a column narrow.
        yield f"**{each['name']}**", each["in"], _name(each["schema"]), each["description"]


def _responses(operation: Json) -> Iterator[tuple[str, ...]]:
    for status, response in operation["responses"].items():
        codes = response["content"]["application/json"]["examples"] if status >= "400" else ()
        meaning = ", ".join(f"`{code}`" for code in codes) or response["description"]
        yield status, _content(response), meaning


def _content(part: Json) -> str:
    """Returns the types of a body, each once."""
    found = {
        _name(content["schema"]) if kind == "application/json" else f"`{kind}`": None
        for kind, content in part.get("content", {}).items()
    }
    return ", ".join(found)


def _type(name: str, schema: Json) -> str:
    parts = [f"### {name}\n"]
    if "description" in schema:
        parts.append(f"{' '.join(schema['description'].split())}\n")
    properties = schema.get("properties", {})
    if properties:
        required = set(schema.get("required", ()))
        rows = [
            (f"**{field}**", _name(each), "yes" if field in required else "", _meaning(each))
            for field, each in properties.items()
        ]
        parts.append(table(("field", "type", "required", "meaning"), rows))
    else:
        parts.append(f"{_name(schema)}\n")
    return "\n".join(parts)


def _name(schema: Mapping[str, Any]) -> str:
    """Returns the name of a type in Markdown, with a link if the page describes it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_name(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"array of {_name(schema.get('items', {}))}"
    kind = schema.get("type", "any value")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _meaning(schema: Json) -> str:
    bounds = {
        "at least": schema.get("minimum", schema.get("minItems")),
        "at most": schema.get("maximum", schema.get("maxItems")),
    }
    limits = [f"{word} {value}" for word, value in bounds.items() if value is not None]
    return " ".join(filter(None, (schema.get("description", ""), "; ".join(limits))))
