"""The description as a test reads it: what it promises of each answer, and what breaks a promise.

The published schemas are open, so that a release may add a field. Here they are closed: a field
that is not described is a fault.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
from starlette.routing import Route

from reachbook.http import app
from reachbook.http.openapi import document as openapi
from reachbook.http.ops import docs
from tests.support.personas import Api

Json = dict[str, Any]

# What HTTP itself sends, and what depends on the server in front of us.
USUAL = {"content-type", "content-length", "vary", "connection"}


Body = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A request to an operation; `path` is its template, `uuid`, `kind` and `ident` its parts."""

    method: str
    path: str
    operation: Json
    uuid: str
    by: dict[str, str]
    kind: str = "email"
    ident: str = "ch_001"
    query: str = ""
    body: Body | bytes | None = None

    @property
    def request_body(self) -> bool:
        return "requestBody" in self.operation

    @property
    def name(self) -> str:
        return str(self.operation["operationId"])

    @property
    def parameters(self) -> set[str]:
        """The names of what it reads beside its body."""
        return {one["name"] for one in self.operation["parameters"]}

    def of(self, kind: str, value: str) -> Call | None:
        """The same about another address, where it is about one."""
        if (self.method, self.path) in ABOUT:
            one = {"channel_type": kind, "channel_id": value}
            return replace(self, body=ABOUT[self.method, self.path](one))
        if "{channelType}" in self.path:
            return replace(self, kind=kind, query=f"?channel_id={value}")
        return None

    async def send(self, api: Api) -> httpx.Response:
        asset = next(iter(docs._assets()))
        parts = {"contactID": self.uuid, "channelType": self.kind, "id": self.ident, "name": asset}
        path = self.path.format(**parts)
        if self.path == SUPPRESSION and isinstance(self.body, dict):
            await _suppress(api, str(self.body.get("channel_id")))
        return await api.request(self.method, path + self.query, self.body, by=self.by)


async def _suppress(api: Api, address: str) -> None:
    """Opt out an email that no contact owns, and delete its owner; does nothing otherwise."""
    if "@" not in address:
        return
    made = await api.request("POST", "/v2/contact", {"email": address})
    if made.status_code == 200:
        uuid = made.json()["uuid"]
        [one] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
        path = f"/x/contact/{uuid}/channel/{one['id']}"
        await api.request("PATCH", path, {"consent": "opted_out"})
        await api.request("DELETE", f"/v2/contact/{uuid}")


def _resolve(one: Body) -> Body:
    return {**one, "create": {"first": "Alice"}}


SUPPRESSION = "/x/suppression"
CHANNEL, CONTACT = "/v2/contact/{contactID}/channel", "/v2/contact/{contactID}"
ABOUT: dict[tuple[str, str], Callable[[Body], Body]] = {
    ("POST", CHANNEL): lambda one: one,
    ("PUT", CHANNEL): lambda one: one,
    ("POST", "/v2/contact"): lambda one: {"contact_channels": [one]},
    ("PUT", CONTACT): lambda one: {"contact_channels": [one]},
    ("POST", "/v2/contacts"): lambda one: {"contacts": [{"contact_channels": [one]}]},
    ("POST", "/v2/contacts/search"): lambda one: {
        "contact_channels": [{**one, "channel_ids": [one["channel_id"]]}]
    },
    ("POST", "/x/resolve"): _resolve,
    ("POST", "/x/resolve/batch"): lambda one: {"addresses": [one]},
    ("DELETE", SUPPRESSION): lambda one: {**one, "reason": "opted_out"},
}
"""The body of each operation that is about an address; the others are in `OTHERWISE`."""

BULK_DELETE = ("DELETE", "/v2/contacts")
OTHERWISE: dict[tuple[str, str], Body] = {
    ("POST", "/v2/contacts/list"): {"limit": 1},
    ("PATCH", "/x/contact/{contactID}/channel/{id}"): {"label": "work", "held": True},
}


def about_contacts(uuid: str) -> Body:
    """The body of a bulk delete."""
    return {"contact_channels": [{"channel_type": "id", "channel_ids": [uuid]}]}


class Description:
    """An OpenAPI document, with its schemas closed."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.components = copy.deepcopy(document["components"])
        for schema in self.components["schemas"].values():
            if "properties" in schema:
                schema["additionalProperties"] = False

    def operations(self) -> Iterator[tuple[str, str, Json]]:
        """Each method (upper case) and path, with what is said of it."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def operation(self, method: str, path: str) -> Json:
        found: Json = self.document["paths"][path][method.lower()]
        return found

    def reasons(self) -> set[tuple[str, str]]:
        """Every operation with each reason that it says it can refuse for."""
        return {
            (operation["operationId"], code)
            for _, _, operation in self.operations()
            for response in operation["responses"].values()
            for code in self.codes(response)
        }

    def codes(self, response: Json) -> set[str]:
        """The reasons of a refusal; a success has none."""
        content = response.get("content")
        if content is None:
            return set()
        schema = next(iter(content.values()))["schema"]
        parts = [one.get("properties", {}) for one in schema.get("anyOf", [schema])]
        return {code for part in parts for code in part.get("error_code", {}).get("enum", ())}

    def faults_of_value(self, schema: Json, value: object) -> list[str]:
        """What of a value its schema does not allow."""
        judge = self._judge(json.dumps(schema))
        return [
            f"{error.instance_path}: {error.message[-200:]}" for error in judge.iter_errors(value)
        ]

    def faults_of_answer(self, operation: Json, answer: httpx.Response) -> Iterator[str]:
        """What of an answer the operation does not describe."""
        described = operation["responses"].get(str(answer.status_code))
        if described is None:
            yield f"status {answer.status_code} is not described"
            return
        yield from self._faults_of_headers(described, answer)
        if "content" not in described:
            yield from ("a body is not described" for _ in answer.content[:1])
            return
        kind = answer.headers["content-type"].partition(";")[0]
        if kind not in described["content"]:
            yield f"{kind} is not described"
            return
        value = answer.json() if kind == "application/json" else answer.text
        yield from self.faults_of_value(described["content"][kind]["schema"], value)

    def _faults_of_headers(self, described: Json, answer: httpx.Response) -> Iterator[str]:
        known = {name.lower(): self._resolved(one) for name, one in described["headers"].items()}
        for name in set(answer.headers) - USUAL - set(known):
            yield f"the header {name} is not described"
        for name, one in known.items():
            if name not in answer.headers:
                if one["required"]:
                    yield f"the header {name} is missing"
                continue
            sent: str | int = answer.headers[name]
            if one["schema"].get("type") == "integer":
                sent = int(sent)
            yield from self.faults_of_value(one["schema"], sent)

    def _resolved(self, header: Json) -> Json:
        name = header.get("$ref", "").rpartition("/")[2]
        found: Json = self.components["headers"][name] if name else header
        return found

    @cache  # noqa: B019 - a description lives as long as its test
    def _judge(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        whole = {**json.loads(schema), "components": self.components}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def document(routes: Sequence[Route] = (*app.ROUTES, app.METRICS), base_path: str = "") -> Json:
    """The document as a client reads it."""
    made: Json = json.loads(openapi.document(routes, base_path))
    return made


def contents_of(operation: Json) -> Iterator[Json]:
    bodies = [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]
    yield from (content for body in bodies for content in body.get("content", {}).values())
