"""Architecture rules. A message names the line and says what to do.

A function is exempt if the line of its `def` ends with `# size exception: <reason>`. Each rule is
tested on a text that breaks it.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from reachbook.domain.errors import Reason
from reachbook.wire.errors import status

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "reachbook"

FUNCTION_LINES = 40
NESTING = 3
PARAMETERS = 5
ADVICE = "make it simpler, or say why not: # size exception: <reason>"

DOMAIN_MAY_USE = {
    *("msgspec", "phonenumbers", "email_validator", "idna", "cryptography", "argon2"),
    "reachbook",
}
WIRE_MAY_USE = {"msgspec", "reachbook"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Loop = ast.For | ast.AsyncFor | ast.While
Block = Loop | ast.If | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match
Check = Callable[[str, str], Iterator[str]]


# ── rules: each takes a path and a text, and yields messages ──


def sizes(path: str, text: str) -> Iterator[str]:
    """The length, nesting and parameters of a function are limited."""
    lines = text.splitlines()
    for function in (node for node in ast.walk(ast.parse(text)) if isinstance(node, FunctionNode)):
        if _is_exempt(lines[function.lineno - 1]):
            continue
        metrics = (
            ("lines", _length(function), FUNCTION_LINES),
            ("blocks inside one another", _nesting(function), NESTING),
            ("parameters", _parameters(function, path), PARAMETERS),
        )
        for what, found, most in metrics:
            if found > most:
                where = f"{path}:{function.lineno}: {function.name}"
                yield f"{where} has {found} {what}, {most} is the most; {ADVICE}"


def documented(path: str, text: str) -> Iterator[str]:
    """A public module, class or function says what its name does not."""
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        yield f"{path}: say in a docstring what this module is for"
    classes = [node for node in _public(tree) if isinstance(node, ast.ClassDef)]
    methods = [node for one in classes for node in _public(one) if isinstance(node, FunctionNode)]
    is_engine = path.endswith(("/postgres/engine.py", "/sqlite/engine.py"))
    said = _documented_by_protocol() if is_engine else set()
    for node in [*_public(tree), *(one for one in methods if one.name not in said)]:
        if ast.get_docstring(node) is None:
            yield f"{path}:{node.lineno}: {node.name} is public; say what its name does not"


def small_libraries(path: str, text: str) -> Iterator[str]:
    """domain/ and wire/ import only these libraries."""
    may_use = WIRE_MAY_USE if "/wire/" in path else DOMAIN_MAY_USE
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for one in {name.partition(".")[0] for name in names}:
            if one not in may_use | sys.stdlib_module_names:
                yield f"{path} imports {one}, which this package may not import"


def pins(path: str, text: str) -> Iterator[str]:
    """Requirements name versions and hashes, and no host to fetch them from."""
    for line in re.findall(r"^.*(?:://|@ |--(?:extra-)?index-url).*$", text, re.MULTILINE):
        yield f"{path}: {line}"


def statements(path: str, text: str) -> Iterator[str]:
    """A statement or list of columns has a line with its name, and a comment that explains it."""
    explained = r"\A(?:--.*\n|\s)*-- (?:name|columns): .+\n-- \S"
    for statement in re.split(r"(?<=;)\n", text):
        if statement.strip() and not re.match(explained, statement):
            yield f"{path}: name and explain: {statement.strip().splitlines()[0]}"


def _is_exempt(line: str) -> bool:
    return re.search(r"# size exception: \S", line) is not None


def _length(function: FunctionNode) -> int:
    """From the def to the last line; the docstring is not counted."""
    first = function.body[0]
    told = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    return (function.end_lineno or 0) - function.lineno + 1 - told


def _nesting(node: ast.AST) -> int:
    """How deep blocks stand inside one another; an elif is not inside its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        step = isinstance(child, Block) and not is_elif
        deepest = max(deepest, step + _nesting(child))
    return deepest


def _parameters(function: FunctionNode, path: str) -> int:
    """Self and cls excepted; a click command is handed every flag, and a test asks for fixtures."""
    in_cli, in_tests = path.startswith("src/reachbook/cli/"), path.startswith("tests/")
    if (in_cli and _is_command(function)) or (in_tests and function.name.startswith("test_")):
        return 0
    given = function.args
    every = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(every) - (every[:1] in (["self"], ["cls"]))


def _is_command(function: FunctionNode) -> bool:
    calls = (one.func for one in function.decorator_list if isinstance(one, ast.Call))
    return any(isinstance(one, ast.Attribute) and one.attr == "command" for one in calls)


def _public(parent: ast.Module | ast.ClassDef) -> list[FunctionNode | ast.ClassDef]:
    named = [one for one in parent.body if isinstance(one, FunctionNode | ast.ClassDef)]
    return [one for one in named if not one.name.startswith("_")]


def _documented_by_protocol() -> set[str]:
    """What the engines' methods do is said once, in the protocol that both keep."""
    tree = ast.parse((PACKAGE / "storage/engine.py").read_text())
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    [engine] = [node for node in classes if node.name == "Engine"]
    return {one.name for one in _public(engine) if ast.get_docstring(one)}


RULES: list[tuple[Check, list[str]]] = [
    (sizes, ["src/**/*.py", "tests/**/*.py", "bench/**/*.py"]),
    (documented, ["src/**/*.py"]),
    (small_libraries, ["src/reachbook/domain/**/*.py", "src/reachbook/wire/*.py"]),
    (pins, ["requirements/*.txt"]),
    (statements, ["src/reachbook/storage/sql/*.sql"]),
]


@pytest.mark.parametrize(("rule", "patterns"), RULES)
def test_the_rule_holds(rule: Check, patterns: list[str]) -> None:
    files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]

    assert files
    _assert_none(
        said for file in files for said in rule(str(file.relative_to(ROOT)), file.read_text())
    )


def _assert_none(messages: Iterable[str]) -> None:
    found = list(messages)
    assert not found, "\n".join(["", *found])


IN_SRC = "src/reachbook/planted.py"
LONG = "def f() -> None:\n" + "    g()\n" * FUNCTION_LINES
DEEP = "def f():\n for a in b:\n  if a:\n   with a:\n    try: g()\n    finally: h()\n"
SIX = "(a, b, c, /, d, e, *, g): ..."
METHOD = '"""A."""\nclass A:\n "B."\n def {}(self): ...'
PLANTED: list[tuple[Check, str, str, str]] = [
    (sizes, IN_SRC, LONG, "planted.py:1: f has 41 lines, 40 is the most"),
    (sizes, IN_SRC, DEEP, "f has 4 blocks inside one another, 3 is the most"),
    (sizes, IN_SRC, f"async def f{SIX}", "f has 6 parameters, 5 is the most"),
    (sizes, IN_SRC, f"@click.command()\ndef f{SIX}", "f has 6 parameters, 5 is the most"),
    (sizes, "src/reachbook/cli/a.py", f"@known.to_all()\ndef f{SIX}", "f has 6 parameters"),
    (documented, IN_SRC, "a = 1", "planted.py: say in a docstring"),
    (documented, IN_SRC, '"""A."""\nasync def f(): ...', "planted.py:2: f is public"),
    (documented, IN_SRC, '"""A."""\nclass A: ...', "planted.py:2: A is public"),
    (documented, IN_SRC, METHOD.format("commit"), "planted.py:4: commit is public"),
    (documented, "storage/sqlite/engine.py", METHOD.format("g"), "engine.py:4: g is public"),
    (small_libraries, IN_SRC, "import json\nimport requests.auth", "imports requests,"),
    (small_libraries, IN_SRC, "def f():\n  from click import x", "imports click,"),
    (small_libraries, "src/reachbook/wire/a.py", "import phonenumbers", "imports phonenumbers,"),
    (pins, "run.txt", "--index-url https://pypi.example/simple", "--index-url https"),
    (pins, "run.txt", "a==1\nb @ ../b", "run.txt: b @ ../b"),
    (statements, "a.sql", "-- name: bare\nSELECT 2;\n", "explain: -- name: bare"),
    (statements, "a.sql", "-- name: a\n-- Why.\nSELECT 2;\n\nSELECT 3;\n", "explain: SELECT 3;"),
]
ACCEPTED: list[tuple[Check, str, str]] = [
    (sizes, IN_SRC, LONG.replace(":\n", ":  # size exception: a table reads best whole\n", 1)),
    (sizes, IN_SRC, LONG.replace("    g()\n", '    """One.\n\n    Two."""\n', 1)),
    (sizes, IN_SRC, "class A:\n def f(self, a, b, c, d, e): ..."),
    (sizes, IN_SRC, "def f():\n if a: g()\n elif b: g()\n elif c: g()\n elif d: g()\n else: g()"),
    (sizes, "src/reachbook/cli/a.py", f"@team.command()\ndef f{SIX}"),
    (sizes, "tests/a.py", f"def test_it_works{SIX}"),
    (documented, IN_SRC, '"""A."""\ndef _f(): ...\nclass _A: ...'),
    (documented, "storage/sqlite/engine.py", METHOD.format("commit")),
    (small_libraries, IN_SRC, "import json\nfrom msgspec import Struct\nimport reachbook.errors"),
    (pins, "run.txt", "anyio==4.16.0 \\\n    --hash=sha256:59bb\n"),
    (statements, "a.sql", "-- Page.\n\n-- name: a\n-- Why.\nSELECT 1;\n"),
]


@pytest.mark.parametrize(("rule", "path", "text", "message"), PLANTED)
def test_a_planted_fault_is_named(rule: Check, path: str, text: str, message: str) -> None:
    assert message in "\n".join(rule(path, text))


@pytest.mark.parametrize(("rule", "path", "text"), ACCEPTED)
def test_a_text_that_keeps_the_rule_is_accepted(rule: Check, path: str, text: str) -> None:
    assert list(rule(path, text)) == []


def given_reasons(text: str) -> set[str]:
    """The reasons that a text gives; one that it only compares with is not given."""
    nodes = list(ast.walk(ast.parse(text)))
    compares = (node for node in nodes if isinstance(node, ast.Compare))
    compared = {part for node in compares for part in ast.walk(node)}
    named = {node for node in nodes if isinstance(node, ast.Attribute)} - compared
    return {
        one.attr for one in named if isinstance(one.value, ast.Name) and one.value.id == "Reason"
    }


def test_every_reason_is_given_somewhere() -> None:
    given = {one for file in PACKAGE.rglob("*.py") for one in given_reasons(file.read_text())}

    _assert_none(f"nobody gives Reason.{one.name}" for one in Reason if one.name not in given)


def test_a_reason_that_is_only_compared_with_is_not_given() -> None:
    assert given_reasons("if no.reason is Reason.A: raise Refusal(Reason.B, '')") == {"B"}


def test_the_documentation_lists_every_reason() -> None:
    row = re.compile(r"^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| (.+) \|$", re.MULTILINE)

    listed = row.findall((ROOT / "docs" / "errors.md").read_text())

    assert listed == [(one.code, str(status(one)), one.kind, one.meaning) for one in Reason]


@pytest.mark.parametrize(
    ("planted", "kept"), [("", True), ("from reachbook import storage", False)]
)
def test_the_import_contracts(tmp_path: Path, planted: str, kept: bool) -> None:
    """The contracts in pyproject.toml hold, and break when the wire reaches for the store."""
    shutil.copytree(PACKAGE, tmp_path / "src" / "reachbook")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "src/reachbook/wire/parse.py").open("a") as file:
        file.write(f"\n{planted}\n")

    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    told = subprocess.run(lint, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)

    assert (told.returncode == 0) is kept, told.stdout.decode()
