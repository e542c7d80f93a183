"""A digest of source code that changes when a number could, and not when a comment does.

It covers a module and everything of ours that the module imports, read from the files (nothing is
executed). Comments, docstrings and white space do not count, so a better explanation keeps its records.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

PACKAGES = ("bench", "methods")

NO_NUMBER_DEPENDS_ON = frozenset(
    {"bench", "bench.errors", "bench.registry", "bench.settings", "bench.types", "bench.task", "bench.source"}
)
"""Modules that check, name or hand out, and never compute."""

PINNED_BY_FINGERPRINT = frozenset(
    f"bench.data.{name}"
    for name in (
        "catalogue",
        "cifar",
        "digits",
        "drawing",
        "holdings",
        "identity",
        "idx",
        "remote",
        "shapes",
        "unpickle",
    )
)
"""Readers and makers of data sets: the fingerprint in every key says what they gave."""


def digest_of(*things: object, leave_out: str | None = None) -> str:
    """16 hex digits over the modules that define `things` (modules, functions, classes) and all they import of ours.

    `leave_out` names a package that is not followed: a method imports its scenario's task type, and the
    scenario is in the key on its own account.
    """
    names = {thing.__name__ if isinstance(thing, ModuleType) else thing.__module__ for thing in things}
    return _digest(tuple(sorted(names)), leave_out)


@cache
def _digest(names: tuple[str, ...], leave_out: str | None) -> str:
    seen: dict[str, str] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in seen or (name not in names and (not_counted(name) or _within(name, leave_out))):
            continue
        path = _path(name)
        if path is None:
            continue
        seen[name] = _plain(path)
        queue += _imports(path, name)
    text = "\x1e".join(f"{name}\x1f{seen[name]}" for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def not_counted(name: str) -> bool:
    """Whether a module is outside of every digest."""
    return name in NO_NUMBER_DEPENDS_ON or name in PINNED_BY_FINGERPRINT


def _within(name: str, package: str | None) -> bool:
    return package is not None and (name == package or name.startswith(f"{package}."))


def _path(name: str) -> Path | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


@cache
def _plain(path: Path) -> str:
    """The token stream of a file without comments and free-standing strings (docstrings)."""
    source = path.read_text(encoding="utf-8")
    prose = {
        (node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    return " ".join(_tokens(source, prose))


def _tokens(source: str, prose: set[tuple[int, int]]) -> Iterator[str]:
    dropped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}
    start, end = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
    lines = source.splitlines(keepends=True)
    depth, opened = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if start is not None and token.type == start:  # Python 3.12 splits f-strings; 3.11 does not
            opened = token.start if depth == 0 else opened
            depth += 1
        elif end is not None and token.type == end:
            depth -= 1
            if depth == 0:
                yield _slice(lines, opened, token.end)
        elif depth or token.type in dropped or (token.type == tokenize.STRING and token.start in prose):
            continue
        elif token.type in (tokenize.INDENT, tokenize.DEDENT):
            yield "{" if token.type == tokenize.INDENT else "}"
        elif token.string == ",":
            continue  # a trailing comma is formatting; without it the neighbours still differ
        else:
            yield token.string


def _slice(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])


@cache
def _imports(path: Path, name: str) -> tuple[str, ...]:
    """Modules of ours that a file imports anywhere but under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}" if base else parent
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return tuple(sorted(f for f in found if f.partition(".")[0] in PACKAGES and _path(f) is not None))
