"""Architecture rules. Each message has the line and the correction.

A function is exempt if the line of its `def` ends with `# size exception: <reason>`. Each rule is
also tested on code that violates it.
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


# ── rules: each takes a path and its text, and yields messages ──


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
        for unit, found, most in metrics:
            if found > most:
                where = f"{path}:{function.lineno}: {function.name}"
                yield f"{where} has {found} {unit}, {most} is the most; {ADVICE}"


def documented(path: str, text: str) -> Iterator[str]:
    """A public module, class or function has a docstring."""
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        yield f"{path}: say in a docstring what this module is for"
    classes = [node for node in _public(tree) if isinstance(node, ast.ClassDef)]
    methods = [
        node for class_ in classes for node in _public(class_) if isinstance(node, FunctionNode)
    ]
    is_engine = path.endswith(("/postgres/engine.py", "/sqlite/engine.py"))
    documented_methods = _documented_by_protocol() if is_engine else set()
    for node in [
        *_public(tree),
        *(method for method in methods if method.name not in documented_methods),
    ]:
        if ast.get_docstring(node) is None:
            yield f"{path}:{node.lineno}: {node.name} is public; say what its name does not"


def allowed_libraries(path: str, text: str) -> Iterator[str]:
    """domain/ and wire/ import only these libraries."""
    may_use = WIRE_MAY_USE if "/wire/" in path else DOMAIN_MAY_USE
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for library in {name.partition(".")[0] for name in names}:
            if library not in may_use | sys.stdlib_module_names:
                yield f"{path} imports {library}, which this package may not import"


def pins(path: str, text: str) -> Iterator[str]:
    """Requirements have versions and hashes, and no URL."""
    for line in re.findall(r"^.*(?:://|@ |--(?:extra-)?index-url).*$", text, re.MULTILINE):
        yield f"{path}: {line}"


def statements(path: str, text: str) -> Iterator[str]:
    """A statement or list of columns has a line with its name, and a comment."""
    explained = r"\A(?:--.*\n|\s)*-- (?:name|columns): .+\n-- \S"
    for statement in re.split(r"(?<=;)\n", text):
        if statement.strip() and not re.match(explained, statement):
            yield f"{path}: name and explain: {statement.strip().splitlines()[0]}"


def _is_exempt(line: str) -> bool:
    return re.search(r"# size exception: \S", line) is not None


def _length(function: FunctionNode) -> int:
    """Return the number of lines from the def to the end, without the docstring."""
    first = function.body[0]
    docstring_lines = (
        (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    )
    return (function.end_lineno or 0) - function.lineno + 1 - docstring_lines


def _nesting(node: ast.AST) -> int:
    """Return the depth of nested blocks; an elif is not inside its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        step = isinstance(child, Block) and not is_elif
        deepest = max(deepest, step + _nesting(child))
    return deepest


def _parameters(function: FunctionNode, path: str) -> int:
    """Return the number of parameters, without self and cls.

    Click commands and tests return 0: theirs are options and fixtures.
    """
    in_cli, in_tests = path.startswith("src/reachbook/cli/"), path.startswith("tests/")
    if (in_cli and _is_command(function)) or (in_tests and function.name.startswith("test_")):
        return 0
    given = function.args
    names = [parameter.arg for parameter in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _is_command(function: FunctionNode) -> bool:
    calls = (
        decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call)
    )
    return any(
        isinstance(decorator, ast.Attribute) and decorator.attr == "command" for decorator in calls
    )


def _public(parent: ast.Module | ast.ClassDef) -> list[FunctionNode | ast.ClassDef]:
    named = [node for node in parent.body if isinstance(node, FunctionNode | ast.ClassDef)]
    return [node for node in named if not node.name.startswith("_")]


def _documented_by_protocol() -> set[str]:
    """Return the methods that the protocol `Engine` documents for both engines."""
    tree = ast.parse((PACKAGE / "storage/engine.py").read_text())
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    [engine] = [node for node in classes if node.name == "Engine"]
    return {method.name for method in _public(engine) if ast.get_docstring(method)}


def merged(path: str, text: str) -> Iterator[str]:
    """No file has the markers of a merge conflict."""
    for marker in re.findall(r"^(?:<{7}|>{7}) .*", text, re.MULTILINE):
        yield f"{path}: resolve the merge conflict: {marker}"


RULES: list[tuple[Check, list[str]]] = [
    (merged, ["*.md", "*.yml", "*.toml", "Makefile", "docs/**/*.md", "deploy/*", "src/**/*.sql"]),
    (sizes, ["src/**/*.py", "tests/**/*.py", "bench/**/*.py"]),
    (documented, ["src/**/*.py"]),
    (allowed_libraries, ["src/reachbook/domain/**/*.py", "src/reachbook/wire/*.py"]),
    (pins, ["requirements/*.txt"]),
    (statements, ["src/reachbook/storage/sql/*.sql"]),
]


@pytest.mark.parametrize(("rule", "patterns"), RULES)
def test_no_file_violates_the_rule(rule: Check, patterns: list[str]) -> None:
    files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]

    assert files
    _assert_none(
        message for file in files for message in rule(str(file.relative_to(ROOT)), file.read_text())
    )


def _assert_none(messages: Iterable[str]) -> None:
    found = list(messages)
    assert not found, "\n".join(["", *found])


IN_SRC = "src/reachbook/planted.py"
LONG = "def f() -> None:\n" + "    g()\n" * FUNCTION_LINES
DEEP = "def f():\n for a in b:\n  if a:\n   with a:\n    try: g()\n    finally: h()\n"
SIX = "(a, b, c, /, d, e, *, g): ..."
METHOD = '"""A."""\nclass A:\n "B."\n def {}(self): ...'
VIOLATIONS: list[tuple[Check, str, str, str]] = [
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
    (allowed_libraries, IN_SRC, "import json\nimport requests.auth", "imports requests,"),
    (allowed_libraries, IN_SRC, "def f():\n  from click import x", "imports click,"),
    (allowed_libraries, "src/reachbook/wire/a.py", "import phonenumbers", "imports phonenumbers,"),
    (pins, "run.txt", "--index-url https://pypi.example/simple", "--index-url https"),
    (pins, "run.txt", "a==1\nb @ ../b", "run.txt: b @ ../b"),
    (merged, "a.md", f"# A\n{'<' * 7} HEAD\n", "a.md: resolve the merge conflict"),
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
    (allowed_libraries, IN_SRC, "import json\nfrom msgspec import Struct\nimport reachbook.errors"),
    (pins, "run.txt", "anyio==4.16.0 \\\n    --hash=sha256:59bb\n"),
    (merged, "a.md", "A table\n=======\n"),
    (statements, "a.sql", "-- Page.\n\n-- name: a\n-- Why.\nSELECT 1;\n"),
]


@pytest.mark.parametrize(("rule", "path", "text", "message"), VIOLATIONS)
def test_a_violation_is_reported(rule: Check, path: str, text: str, message: str) -> None:
    assert message in "\n".join(rule(path, text))


@pytest.mark.parametrize(("rule", "path", "text"), ACCEPTED)
def test_correct_code_is_accepted(rule: Check, path: str, text: str) -> None:
    assert list(rule(path, text)) == []


def raised_reasons(text: str) -> set[str]:
    """Return the reasons that a module uses, except in comparisons."""
    nodes = list(ast.walk(ast.parse(text)))
    compares = (node for node in nodes if isinstance(node, ast.Compare))
    compared = {part for node in compares for part in ast.walk(node)}
    named = {node for node in nodes if isinstance(node, ast.Attribute)} - compared
    return {
        attribute.attr
        for attribute in named
        if isinstance(attribute.value, ast.Name) and attribute.value.id == "Reason"
    }


def test_every_reason_is_used() -> None:
    used = {name for file in PACKAGE.rglob("*.py") for name in raised_reasons(file.read_text())}

    _assert_none(
        f"Reason.{reason.name} is not used" for reason in Reason if reason.name not in used
    )


def test_a_reason_in_a_comparison_is_not_used() -> None:
    assert raised_reasons("if no.reason is Reason.A: raise Refusal(Reason.B, '')") == {"B"}


def test_the_documentation_lists_every_reason() -> None:
    row = re.compile(r"^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| (.+) \|$", re.MULTILINE)

    listed = row.findall((ROOT / "docs" / "errors.md").read_text())

    assert listed == [
        (reason.code, str(status(reason)), reason.kind, reason.meaning) for reason in Reason
    ]


@pytest.mark.parametrize(
    ("added", "is_kept"), [("", True), ("from reachbook import storage", False)]
)
def test_the_import_contracts_hold_and_detect_a_violation(
    tmp_path: Path, added: str, is_kept: bool
) -> None:
    """They fail if a module of wire/ imports the storage."""
    shutil.copytree(PACKAGE, tmp_path / "src" / "reachbook")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "src/reachbook/wire/parse.py").open("a") as file:
        file.write(f"\n{added}\n")

    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(lint, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)

    assert (done.returncode == 0) is is_kept, done.stdout.decode()
