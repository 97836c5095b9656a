"""The reference of the Python client as a page of Markdown, made from its classes."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from reachbook import client
from scripts.tables import table

MAX_WIDTH = 70

INTRODUCTION = """\
# Client reference

The methods of `Client` and the structs of `reachbook.client`. `AsyncClient` has the same methods as
coroutines; its iterators are asynchronous, and `aclose` is its `close`.
This page is made from the code; [Python client](client.md) has examples.

- `on_conflict` says what happens to an address that another contact owns: with `None` or
  `OnConflict.REFUSE` the method raises `AddressTakenError`, with `OnConflict.MOVE` the address is
  [moved](contacts.md).
- `contact_id` is the UUID of a contact, as a text or a `UUID`.
- `channel_number` is the id of a channel, like `ch_001`.

"""


def page() -> str:
    """Returns the page."""
    parts = [INTRODUCTION, "## Methods\n"]
    parts += [_method(name, method) for name, method in methods()]
    parts.append("## Structs\n")
    parts += [_struct(struct) for struct in structs()]
    parts.append("## Enumerations\n")
    parts += [_enumeration(enumeration) for enumeration in enumerations()]
    return "\n".join(parts)


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yields the constructor and the public methods of `Client`, in the order of the class."""
    yield "Client", client.Client.__init__
    for name, method in vars(client.Client).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            yield name, method


def structs() -> Iterator[type[msgspec.Struct]]:
    """Yields the structs that `reachbook.client` exports, by name."""
    for name in sorted(client.__all__):
        exported = getattr(client, name)
        if isinstance(exported, type) and issubclass(exported, msgspec.Struct):
            yield exported


def enumerations() -> Iterator[type[enum.Enum]]:
    """Yields the enumerations that `reachbook.client` exports, by name."""
    for name in sorted(client.__all__):
        exported = getattr(client, name)
        if isinstance(exported, type) and issubclass(exported, enum.Enum):
            yield exported


def _method(name: str, method: Callable[..., Any]) -> str:
    text = inspect.getdoc(client.Client if name == "Client" else method)
    return f"### `{name}`\n\n```\n{name}{_signature(method)}\n```\n\n{text}\n"


def _signature(method: Callable[..., Any]) -> str:
    """Returns the signature without `self`; a long one has a parameter on each line."""
    signature = inspect.signature(method)
    _, *parameters = signature.parameters.values()
    shown = _unquoted(str(signature.replace(parameters=parameters)))
    if len(shown) <= MAX_WIDTH or not parameters:
        return shown
    _, separator, result = shown.rpartition(" -> ")
    by_kind = {each.kind: each for each in reversed(parameters)}
    keyword = by_kind.get(inspect.Parameter.KEYWORD_ONLY)
    lines = []
    for each in parameters:
        lines += ["    *,"] if each is keyword else []
        lines.append(f"    {_unquoted(str(each))},")
    return "\n".join(["(", *lines, f"){separator}{result}"])


def _struct(struct: type[msgspec.Struct]) -> str:
    hints = typing.get_type_hints(struct)
    rows = [
        (f"**{field.name}**", f"`{_type(hints[field.name])}`", _default(field))
        for field in msgspec.structs.fields(struct)
    ]
    return (
        f"### `{struct.__name__}`\n\n{inspect.getdoc(struct)}\n\n"
        f"{table(('field', 'type', 'default'), rows)}"
    )


def _enumeration(enumeration: type[enum.Enum]) -> str:
    rows = [(f"**{member.name}**", f"`{_value(member)}`") for member in enumeration]
    return f"### `{enumeration.__name__}`\n\n{table(('member', 'value'), rows)}"


def _value(member: enum.Enum) -> object:
    return member.code if isinstance(member, client.Reason) else member.value


def _type(hint: Any) -> str:
    """Returns a type as it is written; a value that is not set has no type of its own here."""
    arguments = [_type(each) for each in typing.get_args(hint) if each is not msgspec.UnsetType]
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(arguments)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(arguments)}]"
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.UNSET:
        return "not set"
    if field.default is not msgspec.NODEFAULT:
        return f"`{field.default!r}`"
    return "" if field.default_factory is msgspec.NODEFAULT else "empty"


def _unquoted(text: str) -> str:
    """Returns annotations without quotes: annotations are texts in these modules."""
    return text.replace("'", "")
