"""Where a name leads: files of ours taken apart, and the imports between them followed. Nothing is executed."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
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
        spec = _spec_of(name)
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


def _spec_of(name: str) -> ModuleSpec | None:
    """Where a module lies. Python's own `find_spec` would import the packages above it."""
    above = name.rpartition(".")[0]
    try:
        return PathFinder.find_spec(name, _folders_of(above)) if above else importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError, KeyError):  # the last: of a folder in a folder without a file
        return None


def _folders_of(package: str) -> list[str]:
    """Where the modules of a package are looked for."""
    if package in sys.modules:
        return list(getattr(sys.modules[package], "__path__", ()))
    above, _, last = package.rpartition(".")
    if not above:
        spec = _spec_of(package)
        return list((spec and spec.submodule_search_locations) or ())
    return [str(place) for folder in _folders_of(above) if (place := Path(folder, last)).is_dir()]


@cache
def _is_namespace(name: str) -> bool:
    """Whether a module is a folder of modules without a file of its own."""
    if getattr(sys.modules.get(name), "__file__", None) is not None:
        return False
    spec = _spec_of(name)
    return (spec is None or spec.origin is None) and bool(_folders_of(name))


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
class ParsedModule:
    """A file, taken apart."""

    module: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    imports: dict[Alias, None] = field(default_factory=dict)
    """All that is imported at the top, in order; `*` for all names of a module."""
    effects: list[ast.stmt] = field(default_factory=list)
    """Statements at the top that do more than to bind names."""


@cache
def source_of(module: str) -> ParsedModule | None:
    """The parsed file of a module of ours; None where there is no file."""
    path = module_file(module)
    if path is None:
        return None
    _read_at[path] = path.stat().st_mtime_ns
    found = ParsedModule(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    _take_apart(ast.parse(path.read_bytes()).body, found, package)
    for name, nodes in list(found.definitions.items()):
        if all(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes):
            del found.definitions[name]
    return found


def _take_apart(body: Sequence[ast.stmt], found: ParsedModule, package: str) -> None:
    for node in body:
        if isinstance(node, ast.If) and is_for_types(node):
            # Imports for type hints also say where the names are that a module hands out by `__getattr__`.
            found.aliases = {**aliases_of(node.body, package), **found.aliases}
            _take_apart(node.orelse, found, package)
            continue
        found.imports |= dict.fromkeys(imported_by(own_nodes(node), package))
        names = sorted(bound_by(node) - {"*"})
        for name in names:  # also by an import: something else may bind the name as well
            found.definitions.setdefault(name, []).append(node)
        found.aliases |= {n: a for n, a in aliases_of(own_nodes(node), package).items() if n in names}
        if does_more(node):
            found.effects.append(node)


def aliases_of(nodes: Any, package: str) -> dict[str, Alias]:
    """What the imports among these nodes bind: name -> where it leads."""
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


def imported_by(nodes: Any, package: str) -> list[Alias]:
    """All that these imports name, in order, whether or not one of them hides another."""
    found: list[Alias] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [Alias(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                one = ast.ImportFrom(node.module, [ast.alias(alias.name)], node.level)
                found += aliases_of([one], package).values()
    return found


def own_nodes(*nodes: ast.AST) -> Iterator[ast.AST]:
    """These nodes and what stands in them, without the bodies of functions and classes inside."""
    queue = list(nodes)
    while queue:
        item = queue.pop(0)
        yield item
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            queue += ast.iter_child_nodes(item)


def does_more(node: ast.stmt) -> bool:
    """Whether a statement at the top does more than to bind names: it calls, or writes into things."""
    if isinstance(node, ast.Import | ast.ImportFrom) or is_prose(node):
        return False
    if not bound_by(node):
        return True
    return any(
        (isinstance(item, ast.Expr) and not is_prose(item))
        or (isinstance(item, ast.Attribute | ast.Subscript) and not isinstance(item.ctx, ast.Load))
        for item in own_nodes(node)
    )


def is_for_types(node: ast.If) -> bool:
    """Whether an `if` asks for `TYPE_CHECKING`: what stands in it is for type checkers alone."""
    return getattr(node.test, "attr", getattr(node.test, "id", None)) == "TYPE_CHECKING"


def is_prose(node: ast.stmt) -> bool:
    """Whether a statement does nothing: `pass`, or a text by itself."""
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
    """The parts of a definition that are evaluated where it stands: defaults, bases, keywords."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(k.value for k in node.keywords)]
    return [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]


def find(module: str, name: str) -> Thing | str | None:
    """What `name` in a module stands for: a definition or module of ours, the full path of what is not, or None."""
    return _find(module, name, frozenset())


def _find(module: str, name: str, asked: frozenset[str]) -> Thing | str | None:
    source = source_of(module)
    if source is None or module in asked:
        return None
    first, *steps = name.split(".")
    if first in source.definitions:
        return Thing(module, ".".join([first, *steps[:1]]))  # what stands in a class in a class counts with that class
    if first in source.aliases:
        found = follow(source.aliases[first])
        while isinstance(found, Thing) and not found.name and steps:
            found = follow(Alias(found.module, steps.pop(0)))
        return Thing(found.module, f"{found.name}.{steps[0]}") if steps and isinstance(found, Thing) else found
    for alias in reversed(source.imports):
        if alias.name == "*" and is_ours(alias.module) and (found := _find(alias.module, name, asked | {module})):
            return found
    return None


@cache
def follow(alias: Alias) -> Thing | str | None:
    """Where an import leads: a definition or module of ours, or the full path of what is not."""
    if not is_ours(alias.module):
        return alias.module if alias.name is None else f"{alias.module}.{alias.name}"
    if alias.name == "*":
        return Thing(alias.module, "")
    if alias.name is None:
        return Thing(alias.module, "")
    found = find(alias.module, alias.name)
    if found is None and is_ours(f"{alias.module}.{alias.name}"):
        return Thing(f"{alias.module}.{alias.name}", "")
    return Thing(alias.module, "") if found is None else found  # a name made at run time: all of the module counts


_followed: set[str] = set(OURS)
"""Top packages that are ours: those of `OURS`, and of the roots that are asked for."""


@cache
def is_ours(module: str) -> bool:
    """Whether a module is followed: ours, of a package that was asked for, or installed nowhere."""
    top = module.partition(".")[0]
    path = module_file(module)
    if path is None:
        return top not in sys.stdlib_module_names and _is_namespace(module)
    if top in _followed:
        return True
    installed = {"site-packages", "dist-packages"}  # of this environment, of the user or of the system
    return top not in sys.stdlib_module_names and not installed & {*path.parts, *path.resolve().parts}


@cache
def members_of(module: str, name: str) -> dict[str, tuple[str, tuple[ast.stmt, ...]]]:
    """Member -> (module, its statements) of a class of ours and of the classes of ours that it inherits from."""
    found: dict[str, tuple[str, tuple[ast.stmt, ...]]] = {}
    for one in reversed(_lineage(Thing(module, name))):
        own: dict[str, tuple[ast.stmt, ...]] = {}
        for node in _definitions(one):
            for statement in node.body if isinstance(node, ast.ClassDef) else ():
                for member in bound_by(statement):
                    own[member] = (*own.get(member, ()), statement)
        found |= {member: (one.module, statements) for member, statements in own.items()}
    return found


def _lineage(of: Thing) -> list[Thing]:
    """A class and all that it inherits from, in the order in which Python looks a member up."""
    every = [of, *(above for base in bases_of(of.module, of.name) for above in _lineage(base))]
    return [one for number, one in enumerate(every) if one not in every[number + 1 :]]


def bases_of(module: str, name: str) -> list[Thing]:
    """The classes of ours that a class of ours inherits from directly."""
    named = [base for n in _definitions(Thing(module, name)) if isinstance(n, ast.ClassDef) for base in n.bases]
    found = [_class_of(module, base) for base in named]
    return [base for base in found if base is not None]


def _class_of(module: str, named: ast.expr) -> Thing | None:
    """The class of ours that `Base`, `module.Base`, `Base[int]` or `Other`, where `Other = Base`, stands for."""
    if isinstance(named, ast.Subscript):
        return _class_of(module, named.value)
    found = find(module, ast.unparse(named)) if isinstance(named, ast.Name | ast.Attribute) else None
    if not isinstance(found, Thing) or not found.name:
        return None
    last = _definitions(found)[-1:]
    return _class_of(found.module, last[0].value) if last and isinstance(last[0], ast.Assign) else found


def _definitions(thing: Thing) -> list[ast.stmt]:
    source = source_of(thing.module)
    return source.definitions.get(thing.name, []) if source else []


@cache
def effects_above(module: str) -> tuple[tuple[str, ast.stmt], ...]:
    """(module, statement) of what is done before a file of ours is executed: by its imports and packages."""
    found: list[tuple[str, ast.stmt]] = []
    seen, queue = {module}, _executed(module)
    while queue:
        here = queue.pop(0)
        source = source_of(here) if here not in seen and is_ours(here) else None
        seen.add(here)
        if source is not None:
            found += [(here, effect) for effect in source.effects]
            queue += _executed(here)
    return tuple(found)


def _executed(module: str) -> list[str]:
    """The modules that a file of ours imports at its top, and the packages that it stands in."""
    source = source_of(module)
    found: list[str] = []
    for alias in source.imports if source else ():
        inner = [f"{alias.module}.{alias.name}"] if alias.name and is_ours(alias.module) else []
        found += [alias.module, *inner]
    parts = module.split(".")
    above = [".".join(parts[:number]) for number in range(1, len(parts))]
    return [name for name in (*found, *above) if name != "bench"]  # it says where Numba keeps what it compiles


@cache
def is_module(name: str) -> bool:
    """Whether a text is the name of a module of ours."""
    top, *inner = name.split(".")
    if not all(part.isidentifier() for part in (top, *inner)) or not (is_ours(top) or _is_namespace(top)):
        return False
    return module_file(name) is not None


def follow_packages(packages: set[str]) -> None:
    """Count these packages as ours, wherever they are installed, and no others that are installed."""
    if _followed != {*OURS, *packages}:
        _followed.clear()
        _followed.update(OURS, packages)
        for remembered in (is_ours, follow, members_of, effects_above):
            remembered.cache_clear()


def forget() -> None:
    """Read all files anew: for a process that outlives an edit of a plug-in."""
    _read_at.clear()
    for remembered in (source_of, members_of, follow, is_ours, is_module, effects_above, _is_namespace):
        remembered.cache_clear()
