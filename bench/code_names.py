"""Where a name leads: files of ours taken apart, and the imports between them followed. Nothing is executed."""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

OURS = ("bench", "methods")
"""Packages that are followed wherever they are installed; of others, modules that lie outside of site-packages are."""


_read_at: dict[Path, int] = {}
"""File -> when it was last changed, as of when it was read."""


def changed() -> Path | None:
    """A file that was changed since a digest was taken of it."""
    for path, then in _read_at.items():
        try:
            now = path.stat().st_mtime_ns
        except OSError:
            return path
        if now != then:
            return path
    return None


def module_file(name: str) -> Path | None:
    """The file of a module, loaded or not; None where it is not written in Python, or there is none."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


@dataclass(frozen=True)
class Alias:
    """A name that an import binds: a module, or a name in one."""

    module: str
    name: str | None = None


@dataclass(frozen=True)
class Thing:
    """A definition of ours: a top-level name of a module, or `Class.member`; the whole module where `name` is ""."""

    module: str
    name: str


@dataclass
class Source:
    """A file, taken apart."""

    module: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    """Statements at the top that bind no name, and are executed all the same."""


@cache
def source_of(module: str) -> Source | None:
    """The parsed file of a module of ours; None where there is no file."""
    path = module_file(module)
    if path is None:
        return None
    _read_at[path] = path.stat().st_mtime_ns
    found = Source(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    _take_apart(ast.parse(path.read_text(encoding="utf-8")).body, found, package)
    return found


def _take_apart(body: Sequence[ast.stmt], found: Source, package: str) -> None:
    for node in body:
        if isinstance(node, ast.If) and is_for_types(node):
            # Imports for type hints also say where the names are that a module hands out by `__getattr__`.
            found.aliases = {**aliases_of(node.body, package), **found.aliases}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.aliases |= aliases_of([node], package)
        elif names := sorted(bound_by(node)):
            for name in names:
                found.definitions.setdefault(name, []).append(node)
            found.aliases |= {n: a for n, a in aliases_of(ast.walk(node), package).items() if n in names}
        elif not is_prose(node):
            found.effects.append(node)


def aliases_of(nodes: Any, package: str) -> dict[str, Alias]:
    found: dict[str, Alias] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    found[alias.asname] = Alias(alias.name)
                else:
                    top = alias.name.partition(".")[0]
                    found[top] = Alias(top)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}" if base else parent
            found |= {alias.asname or alias.name: Alias(base, alias.name) for alias in node.names}
    return found


def is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def is_prose(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def bound_by(node: ast.AST) -> set[str]:
    """The names that a statement binds in the scope that it stands in."""
    names: set[str] = set()
    queue: list[ast.AST] = [node]
    while queue:
        item = queue.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(item.name)
            queue += [
                *item.decorator_list,
                *evaluated_outside(item),
            ]  # where a walrus binds here
        elif isinstance(item, ast.Lambda):
            queue += [d for d in (*item.args.defaults, *item.args.kw_defaults) if d is not None]
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store | ast.Del):
            names.add(item.id)
        elif isinstance(item, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            names |= {w.target.id for w in ast.walk(item) if isinstance(w, ast.NamedExpr)}
        elif isinstance(item, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in item.names}
        else:
            named = getattr(item, "name", None) or getattr(item, "rest", None)  # except ... as, match patterns
            if isinstance(item, ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping) and named:
                names.add(named)
            queue += ast.iter_child_nodes(item)
    return names


def evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.expr]:
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(k.value for k in node.keywords)]
    return [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]


def find(module: str, name: str) -> Thing | str | None:
    """What `name` in a module stands for: a definition or module of ours, the full path of what is not, or None."""
    source = source_of(module)
    if source is None:
        return None
    first, _, member = name.partition(".")
    if first in source.definitions:
        return Thing(module, name)
    if first in source.aliases:
        found = follow(source.aliases[first])
        return Thing(found.module, f"{found.name}.{member}") if member and isinstance(found, Thing) else found
    return None


@cache
def follow(alias: Alias) -> Thing | str | None:
    if not is_ours(alias.module):
        return alias.module if alias.name is None else f"{alias.module}.{alias.name}"
    if alias.name is None:
        return Thing(alias.module, "")
    found = find(alias.module, alias.name)
    if found is None and module_file(f"{alias.module}.{alias.name}") is not None:
        return Thing(f"{alias.module}.{alias.name}", "")
    return Thing(alias.module, "") if found is None else found  # a name made at run time: all of the module counts


_followed: set[str] = set(OURS)
"""Top packages that are ours: those of `OURS`, and of every root that was ever asked for."""


@cache
def is_ours(module: str) -> bool:
    if module.partition(".")[0] in _followed:
        return module_file(module) is not None
    path = module_file(module)
    if path is None:
        return False
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.is_relative_to(place) or path.resolve().is_relative_to(place) for place in places)


@cache
def members_of(module: str, name: str) -> dict[str, tuple[str, ast.stmt]]:
    """Member -> (module, statement) of a class of ours and of the classes of ours that it inherits from."""
    source = source_of(module)
    found: dict[str, tuple[str, ast.stmt]] = {}
    for base in reversed(bases_of(module, name)):
        found |= members_of(base.module, base.name)
    for node in source.definitions.get(name, []) if source else []:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                found |= dict.fromkeys(bound_by(statement), (module, statement))
    return found


def bases_of(module: str, name: str) -> list[Thing]:
    """The classes of ours that a class of ours inherits from directly."""
    source = source_of(module)
    nodes = source.definitions.get(name, []) if source else []
    named = [base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    found = [find(module, ast.unparse(base)) for base in named if isinstance(base, ast.Name)]
    return [base for base in found if isinstance(base, Thing) and base.name]


@cache
def is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and module_file(name) is not None


def follow_package(package: str) -> None:
    """Count a package as ours from now on, wherever it is installed."""
    if package not in _followed:
        _followed.add(package)
        is_ours.cache_clear()
        follow.cache_clear()


def forget() -> None:
    """Read all files anew: for a process that outlives an edit of a plug-in."""
    _read_at.clear()
    for remembered in (source_of, members_of, follow, is_ours, is_module):
        remembered.cache_clear()
