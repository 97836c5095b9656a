"""Builds the OpenAPI 3.1 document from the operations of the routes.

The declaration of an operation is at its handler. The parts that operations share are added here:
security, parameters and headers of every path, and shared errors (`openapi/shared.py`). The
document is served as bytes. `serve` builds it when it starts, other programs when it is first read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from starlette.routing import Route

from reachbook import __version__
from reachbook.domain.errors import Reason
from reachbook.http.openapi import examples, shared
from reachbook.http.operation import (
    JSON,
    BaseEndpoint,
    Endpoint,
    Header,
    Operation,
    Parameter,
    RequestBody,
    Success,
)
from reachbook.http.response import NOT_MODIFIED
from reachbook.wire.errors import SHAPES
from reachbook.wire.models.errors import ErrorBody
from reachbook.wire.models.x import OneOf

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/{name}"
OK = "200"

ABOUT = """\
How a team can reach its contacts: their phone numbers, email addresses and other channels.

Every path answers `OPTIONS` with 204 and `Allow`, without a credential, and `HEAD` where it
answers `GET`. A refusal has one form everywhere: `error` is its class, `error_code` the exact
reason, `message` a sentence to act on, `fields` the wrong fields. Unknown keys in a body and
unknown query parameters under `/v1` and `/v2` are ignored. `representation` chooses the form of
ids: `string_ids` is the default of API keys, `integer_ids` of JWTs.

In a body an empty array is accepted for an object that needs no key, because PHP writes `{}` as
`[]`, and null for each optional field: it clears a field that can be empty, and otherwise counts
as absent. A list of over 1 KiB is compressed if `Accept-Encoding` accepts gzip.
"""
BY_JWT = """\
A JWT signed with an API secret: HS256, `iss` is the secret's id, `iat` the time in Unix seconds,
and the signing secret is `SECRET_ID||SECRET_KEY`. It is valid for 300 seconds from `iat`.
"""
TAGS = {
    "channels": ("contact_channel", "The channels of a contact, by their type."),
    "contacts": ("contact", "One contact, the team and its inboxes."),
    "bulk": ("contacts", "Many contacts in one request."),
    "resolve": ("resolve", "Find the contact that owns an address, or create it."),
    "channel_detail": (
        "channel_detail",
        "One channel by its id, with its label, hold and consent.",
    ),
    "history": ("history", "History, event feed, export and erasure."),
    "probes": ("probes", "Health, readiness and metrics."),
    "docs": ("docs", "This description."),
}
"""The tag and its description, by the module of the operations.

The id of an operation begins with its tag. Generated clients name their methods after it, so it
must not change when a module does.
"""

BEARER_SCHEME = {"type": "http", "scheme": "bearer"}
SECURITY = {
    "jwt": {**BEARER_SCHEME, "bearerFormat": "JWT", "description": BY_JWT},
    "api_key": {**BEARER_SCHEME, "description": "An API key, as it is."},
}


def document(routes: Sequence[Route], base_path: str = "") -> bytes:
    """Returns the document of the routes, as JSON; a proxy serves them under `base_path`."""
    writer = _Writer()
    paths = {
        route.path: {
            method.lower(): writer.operation(route, operation)
            for method, operation in route.endpoint.operations.items()
            # HEAD is left out: a generated client would get two methods for one operation.
            if method != "HEAD"
        }
        for route in routes
        if isinstance(route.endpoint, BaseEndpoint)
    }
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Reachbook",
                "version": __version__,
                "description": ABOUT,
                "contact": {"name": "The operator of this server"},
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": base_path or "/"}],
            "tags": writer.tags(),
            "paths": paths,
            "components": {**writer.components(), "securitySchemes": SECURITY},
        }
    )


class _Writer:
    """Writes operations, and collects the components that they name, each once."""

    def __init__(self) -> None:
        self._types: Json = {}
        self._headers: Json = {}
        self._examples: Json = {}
        self._modules: set[str] = set()

    def tags(self) -> list[Json]:
        """Returns the tags of the operations, in a fixed order."""
        return [
            {"name": _tag(tag), "description": meaning}
            for module, (tag, meaning) in TAGS.items()
            if module in self._modules
        ]

    def components(self) -> Json:
        """Returns the components: types, headers, and examples of errors."""
        named = {"schemas": self._types, "headers": self._headers, "examples": self._examples}
        return {kind: dict(sorted(members.items())) for kind, members in named.items()}

    def operation(self, route: Route, operation: Operation[Any]) -> Json:
        """Returns the description of one method of a path."""
        spec, handle = operation.spec, operation.handle
        summary, _, more = (inspect.getdoc(handle) or "").partition("\n")
        module = handle.__module__.rpartition(".")[2]
        self._modules.add(module)
        tag, _ = TAGS[module]
        needs_credential = isinstance(route.endpoint, Endpoint)
        written: Json = {
            "operationId": f"{tag}_{handle.__name__}",
            "tags": [_tag(tag)],
            "summary": summary.rstrip("."),
            "description": " ".join(more.split()) or summary,
            "security": [{"jwt": []}, {"api_key": []}] if needs_credential else [],
            "parameters": [
                self._parameter(parameter) for parameter in shared.parameters(route, operation)
            ],
        }
        if spec.request_body:
            written["requestBody"] = self._body(spec.request_body)
        written["responses"] = self._responses(route, operation)
        return written

    def _responses(self, route: Route, operation: Operation[Any]) -> Json:
        spec = operation.spec
        found = {OK: self._success(spec.success, shared.headers_of_success(route, spec))}
        if spec.etag and not spec.writes:
            found[str(NOT_MODIFIED)] = {
                "description": "The ETag in If-None-Match is still true.",
                "headers": self._written(shared.headers_of_304()),
            }
        for status, reasons in shared.refusals(route, operation).items():
            headers = shared.headers_of_refusal(route, status, spec)
            found[str(status)] = self._refusal(reasons, headers)
        return found

    def _parameter(self, parameter: Parameter) -> Json:
        return {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.where == "path",
            "description": parameter.meaning,
            "schema": self._schema(parameter.type),
        }

    def _body(self, request_body: RequestBody) -> Json:
        shown = {"schema": self._schema(request_body.type), **_shown(request_body.examples)}
        return {"required": True, "content": {JSON: shown}}

    def _success(self, success: Success, headers: Iterable[Header]) -> Json:
        schema = _any_of([self._schema(shape) for shape in success.types])
        shown = {"schema": schema, **_shown(success.examples)}
        return {
            "description": success.meaning,
            "headers": self._written(headers),
            "content": dict.fromkeys(success.content_types, shown),
        }

    def _refusal(self, reasons: list[Reason], headers: Iterable[Header]) -> Json:
        by_shape: dict[type[ErrorBody], list[Reason]] = {}
        for reason in reasons:
            for shape in SHAPES.get(reason, (ErrorBody,)):
                by_shape.setdefault(shape, []).append(reason)
        shapes = [
            {
                **self._schema(shape),
                "properties": {
                    "error": {"const": reasons[0].kind},
                    "error_code": {"enum": [reason.code for reason in sharing]},
                },
            }
            for shape, sharing in by_shape.items()
        ]
        shown = {reason.code: self._example(reason) for reason in reasons}
        return {
            "description": "\n".join(f"- `{reason.code}`: {reason.meaning}" for reason in reasons),
            "headers": self._written(headers),
            "content": {JSON: {"schema": _any_of(shapes), "examples": shown}},
        }

    def _example(self, reason: Reason) -> Json:
        if reason.code not in self._examples:
            value = examples.error_body(reason)
            self._examples[reason.code] = {"summary": reason.meaning, "value": value}
        return {"$ref": f"#/components/examples/{reason.code}"}

    def _written(self, headers: Iterable[Header]) -> Json:
        return {header.name: self._header(header) for header in headers}

    def _header(self, header: Header) -> Json:
        written = {
            "description": header.meaning,
            "required": header.always,
            "schema": self._schema(header.type),
        }
        if self._headers.setdefault(header.name, written) != written:
            return written  # another operation has a different header of this name
        return {"$ref": f"#/components/headers/{header.name}"}

    def _schema(self, kind: Any) -> Json:
        schema, named = _described(kind)
        self._types.update(named)
        return schema


@cache
def _described(kind: Any) -> tuple[Json, Json]:
    also: Json = {}

    def any_of(several: type[OneOf]) -> Json:
        described = [_described(form) for form in several.forms]
        for _, named in described:
            also.update(named)
        return _any_of([schema for schema, _ in described])

    [schema], named = msgspec.json.schema_components(
        [kind], schema_hook=any_of, ref_template=SCHEMAS
    )
    for form in (schema, *named.values()):
        # msgspec omits the type of an enum, and some generators then make it `any`.
        if "enum" in form:
            form["type"] = "string"
        _prepare_for_generators(form)
    return schema, {**named, **also}


def _prepare_for_generators(schema: Json) -> None:
    """Change a schema, without changing its meaning, so that client generators read it correctly.

    openapi-typescript makes a property with a `default` required, in requests too, so the default
    moves to the description. It also takes an object without `additionalProperties` to be empty.
    """
    if "default" in schema:
        default = schema.pop("default")
        if default not in (None, ""):
            note = f"Default: `{msgspec.json.encode(default).decode()}`."
            schema["description"] = f"{schema.get('description', '')} {note}".strip()
    if schema.get("type") == "object" and "properties" not in schema:
        schema.setdefault("additionalProperties", True)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for child in inner:
        if isinstance(child, dict):
            _prepare_for_generators(child)


def _tag(module: str) -> str:
    return module.replace("_", " ").capitalize()


def _any_of(schemas: list[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _shown(named: Mapping[str, object]) -> Json:
    return {"examples": {name: {"value": value} for name, value in named.items()}} if named else {}
