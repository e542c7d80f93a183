"""A digest of code that changes when a number could, and not when code moves, is renamed or is explained better.

The walk starts at definitions (functions, classes, constants) and follows every name in them to the definition that it
stands for, through the imports of the file. What is written down of a definition is its syntax tree without comments,
docstrings, formatting and type hints; names of ours are replaced by numbers in the order of the walk, names of other
packages by their full path. So neither the name of a module nor that of a definition counts, nor the file in which it
stands, nor an unused neighbour. Files are read and never executed.

What is found by its name at run time (`import_module`, `registry.get`) is not followed: whoever asks for a digest names
it as a root of its own (`bench.digests`). A module that is handed around whole counts as a whole, and statements at the
top of a file that define nothing (`table["x"] = 1`) count wherever something of the file does.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

OURS = ("bench", "methods")
"""Packages that are followed wherever they are installed; of others, modules that lie outside of site-packages are."""

Root = tuple[str, str]
"""(module, name): a definition to start from; `Class.member` for one member of a class."""


@dataclass(frozen=True)
class Digest:
    """What a number stands on in code."""

    value: str
    """16 hex digits over all of it."""
    parts: dict[str, str]
    """`module.name` of each definition -> 8 hex digits of its own text: to tell what moved."""


@cache
def digest(roots: tuple[Root, ...], known: tuple[Root, ...] = ()) -> Digest:
    """The digest of all that these definitions reach.

    Args:
        roots: where the walk starts.
        known: definitions that are mentioned and not followed, since something else vouches for what they give.

    Raises:
        KeyError: one of them is not defined where it is said to be.
    """
    walk = _Walk(tuple(module.partition(".")[0] for module, _ in roots), frozenset(_defined(*root) for root in known))
    for root in roots:
        walk.number(_defined(*root))
    texts = walk.texts()
    whole = hashlib.sha256("\x1e".join(text for _, text in texts).encode()).hexdigest()[:16]
    return Digest(whole, {name: _short(text) for name, text in texts})


def _short(text: str) -> str:
    """Of a definition by itself: the numbers of the walk, which an earlier definition shifts, are left out."""
    return hashlib.sha256(re.sub(r"§\d+", "§", text).encode()).hexdigest()[:8]


def of(*things: Callable[..., Any]) -> str:
    """The digest of functions and classes of ours, as its 16 hex digits."""
    return digest(tuple((thing.__module__, thing.__qualname__) for thing in things)).value


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


def forget() -> None:
    """Read all files anew: for a process that outlives an edit of a plug-in."""
    _read_at.clear()
    for remembered in (digest, source_of, members_of, _follow, _is_ours, _is_module):
        remembered.cache_clear()


def _defined(module: str, name: str) -> Thing:
    found = _find(module, name)
    if not isinstance(found, Thing):
        raise KeyError(f"{module} does not define {name}")
    return found


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
        if isinstance(node, ast.If) and _is_for_types(node):
            # Imports for type hints also say where the names are that a module hands out by `__getattr__`.
            found.aliases = {**_aliases(node.body, package), **found.aliases}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.aliases |= _aliases([node], package)
        elif names := sorted(_bound(node)):
            for name in names:
                found.definitions.setdefault(name, []).append(node)
            found.aliases |= {n: a for n, a in _aliases(ast.walk(node), package).items() if n in names}
        elif not _is_prose(node):
            found.effects.append(node)


def _aliases(nodes: Any, package: str) -> dict[str, Alias]:
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


def _is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def _is_prose(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement binds in the scope that it stands in."""
    names: set[str] = set()
    queue: list[ast.AST] = [node]
    while queue:
        item = queue.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(item.name)
            queue += [*item.decorator_list, *_outside(item)]  # evaluated in this scope; a walrus in them binds here
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


def _outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.expr]:
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(k.value for k in node.keywords)]
    return [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]


@dataclass
class Scope:
    """A function, comprehension or class that names are looked up in, from the inside to the outside."""

    names: set[str]
    aliases: dict[str, Alias]
    of_class: bool = False


def _find(module: str, name: str) -> Thing | str | None:
    """What `name` in a module stands for: a definition or module of ours, the full path of what is not, or None."""
    source = source_of(module)
    if source is None:
        return None
    first, _, member = name.partition(".")
    if first in source.definitions:
        return Thing(module, name)
    if first in source.aliases:
        found = _follow(source.aliases[first])
        return Thing(found.module, f"{found.name}.{member}") if member and isinstance(found, Thing) else found
    return None


@cache
def _follow(alias: Alias) -> Thing | str | None:
    if not _is_ours(alias.module):
        return alias.module if alias.name is None else f"{alias.module}.{alias.name}"
    if alias.name is None:
        return Thing(alias.module, "")
    found = _find(alias.module, alias.name)
    if found is None and module_file(f"{alias.module}.{alias.name}") is not None:
        return Thing(f"{alias.module}.{alias.name}", "")
    return Thing(alias.module, "") if found is None else found  # a name made at run time: all of the module counts


_followed: set[str] = set(OURS)
"""Top packages that are ours: those of `OURS`, and of every root that was ever asked for."""


@cache
def _is_ours(module: str) -> bool:
    if module.partition(".")[0] in _followed:
        return module_file(module) is not None
    path = module_file(module)
    if path is None:
        return False
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.is_relative_to(place) or path.resolve().is_relative_to(place) for place in places)


class _Walk:
    """Definitions in the order in which they are met, each with its text."""

    def __init__(self, packages: tuple[str, ...], known: frozenset[Thing]) -> None:
        self._known = known
        if not set(packages) <= _followed:
            _followed.update(packages)
            _is_ours.cache_clear()
            _follow.cache_clear()
        self._numbers: dict[Thing, int] = {}
        self._queue: list[Thing] = []
        self._files: set[str] = set()

    def number(self, thing: Thing | str | None) -> str:
        """How a definition is written where it is mentioned; "" where there is none."""
        if not isinstance(thing, Thing):
            return f"«{thing}»" if thing else ""
        if thing in self._known:
            return "<known>"
        if thing not in self._numbers:
            self._numbers[thing] = len(self._numbers)
            self._queue.append(thing)
        return f"§{self._numbers[thing]}"

    def texts(self) -> list[tuple[str, str]]:
        """(full name, text) of every definition that is reached, in order."""
        found = []
        while self._queue:
            thing = self._queue.pop(0)
            found.append((f"{thing.module}.{thing.name}".rstrip("."), self._text(thing)))
            if thing.module not in self._files:
                self._files.add(thing.module)
                source = source_of(thing.module)
                effects = source.effects if source else []
                if effects:
                    found.append((f"{thing.module}:", " ".join(_Writer(self, thing.module).write(e) for e in effects)))
        return found

    def _text(self, thing: Thing) -> str:
        source = source_of(thing.module)
        assert source is not None
        if not thing.name:
            return " ".join(self.number(Thing(thing.module, name)) for name in sorted(source.definitions))
        name, _, member = thing.name.partition(".")
        writer = _Writer(self, thing.module)
        if member:
            return _member_text(writer, thing.module, name, member)
        return " ".join(writer.definition(node) for node in source.definitions[name])


@cache
def members_of(module: str, name: str) -> dict[str, tuple[str, ast.stmt]]:
    """Member -> (module, statement) of a class of ours and of the classes of ours that it inherits from."""
    source = source_of(module)
    found: dict[str, tuple[str, ast.stmt]] = {}
    for base in reversed(_bases(module, name)):
        found |= members_of(base.module, base.name)
    for node in source.definitions.get(name, []) if source else []:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                found |= dict.fromkeys(_bound(statement), (module, statement))
    return found


def _bases(module: str, name: str) -> list[Thing]:
    """The classes of ours that a class of ours inherits from directly."""
    source = source_of(module)
    nodes = source.definitions.get(name, []) if source else []
    named = [base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    found = [_find(module, ast.unparse(base)) for base in named if isinstance(base, ast.Name)]
    return [base for base in found if isinstance(base, Thing) and base.name]


def _member_text(writer: _Writer, module: str, name: str, member: str) -> str:
    members = members_of(module, name)
    if member == FRAME:
        source = source_of(module)
        node = source.definitions[name][0] if source else None
        assert isinstance(node, ast.ClassDef)
        fields = [s for s in node.body if not isinstance(s, ast.FunctionDef) or _is_checked(s)]
        return writer.shell(node) + " ".join(writer.statements(fields, in_class=True))
    if member not in members:
        raise KeyError(f"{module}.{name} has no member {member!r}")
    where, statement = members[member]
    return _Writer(writer.walk, where, own=(module, name), members=frozenset(members)).member(statement)


FRAME = "<frame>"
"""As a member of a class: its bases, decorators, fields and validators, and none of its methods."""


def _is_checked(function: ast.FunctionDef) -> bool:
    return any("validator" in ast.unparse(decorator) for decorator in function.decorator_list)


class _Writer:
    """Writes the syntax tree of a definition, names resolved."""

    def __init__(
        self,
        walk: _Walk,
        module: str,
        own: tuple[str, str] | None = None,
        members: frozenset[str] = frozenset(),
    ) -> None:
        self.walk, self.module = walk, module
        self.own, self.members = own, members
        self.scopes: list[Scope] = []

    def definition(self, node: ast.stmt) -> str:
        """A top-level statement, without the name that it defines: that is how others refer to it."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self._function(node, "")
        if isinstance(node, ast.ClassDef):
            return self._class(node, "")
        return self.write(node)

    def member(self, node: ast.stmt) -> str:
        """A member of a class on its own."""
        self.scopes.append(Scope(set(), {}, of_class=True))
        text = self.write(node)
        self.scopes.pop()
        return text

    def shell(self, node: ast.ClassDef) -> str:
        """The decorators, bases and keywords of a class."""
        parts = [*node.decorator_list, *node.bases, *node.keywords]
        return f"class({' '.join(map(self.write, parts))})"

    def statements(self, body: Sequence[ast.stmt], in_class: bool = False) -> Iterator[str]:
        """The statements of a body, without prose and imports."""
        for node in body:
            if _is_prose(node) or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.If) and _is_for_types(node):
                continue
            if isinstance(node, ast.AnnAssign):
                yield self._annotated(node, in_class)
            else:
                yield self.write(node)

    def write(self, node: ast.AST) -> str:
        """Any node."""
        match node:
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Constant():
                return self._constant(node.value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._function(node, node.name)
            case ast.Lambda():
                return self._scoped(node, _parameters(node.args), {}, [node.args, node.body])
            case ast.ClassDef():
                return self._class(node, node.name)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                targets = set().union(*(_bound(generator.target) for generator in node.generators))
                values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return self._scoped(node, targets, {}, [*values, *node.generators])
            case ast.AnnAssign():
                return self._annotated(node, in_class=False)
            case ast.arg():
                return node.arg
            case ast.Expr() if _is_prose(node):
                return ""
            case ast.Import() | ast.ImportFrom():
                return ""
        return self._generic(node)

    def _generic(self, node: ast.AST) -> str:
        parts = [type(node).__name__]
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "type_comment", "kind", "returns") or value is None or value == []:
                continue
            if isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    parts.append(f"{name}[{' '.join(self.statements(value))}]")
                else:
                    told = [self.write(v) if isinstance(v, ast.AST) else repr(v) for v in value]
                    parts.append(f"{name}[{' '.join(told)}]")
            elif isinstance(value, ast.AST):
                parts.append(f"{name}={self.write(value)}")
            else:
                parts.append(f"{name}={value!r}")
        return f"({' '.join(parts)})"

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
        outside = " ".join(map(self.write, [*node.decorator_list, *_outside(node)]))
        body = set().union(*map(_bound, node.body)) - _declared_elsewhere(node)
        own, defaults = node.args, ast.arguments(**{**vars(node.args), "defaults": [], "kw_defaults": []})
        given = f"{len(own.defaults)}/{[d is None for d in own.kw_defaults]}"
        aliases = _aliases(_own_statements(node), self._package())
        names = (_parameters(own) | body) - aliases.keys()
        self.scopes.append(Scope(names, aliases))
        text = " ".join([self._generic(defaults), *self.statements(node.body)])
        self.scopes.pop()
        return f"{type(node).__name__} {name}<{outside} {given}>({text})"

    def _class(self, node: ast.ClassDef, name: str) -> str:
        shell = self.shell(node)
        names = set().union(*map(_bound, node.body)) if node.body else set()
        self.scopes.append(Scope(names, {}, of_class=True))
        text = " ".join(self.statements(node.body, in_class=True))
        self.scopes.pop()
        return f"{shell} {name}({text})"

    def _scoped(self, node: ast.AST, names: set[str], aliases: dict[str, Alias], parts: Sequence[ast.AST]) -> str:
        self.scopes.append(Scope(names, aliases))
        text = " ".join(map(self.write, parts))
        self.scopes.pop()
        return f"{type(node).__name__}({text})"

    def _annotated(self, node: ast.AnnAssign, in_class: bool) -> str:
        """`x: int = 1`: a hint counts in a class only, and there only where it calls something of ours (`Access()`)."""
        parts = [self.write(node.target)]
        calls = [part.func for part in ast.walk(node.annotation) if isinstance(part, ast.Call)]
        if in_class and any(isinstance(f, ast.Name) and isinstance(self._resolved(f.id), Thing) for f in calls):
            parts.append(f": {self.write(node.annotation)}")
        if node.value is not None:
            parts.append(f"= {self.write(node.value)}")
        return f"({' '.join(parts)})" if in_class or node.value is not None else ""

    def _name(self, name: str) -> str:
        if name == "super" and self.own:
            # What it leads to may call whatever the class overrides: all of the class and of those above it counts.
            module, own = self.own
            above = [*_bases(module, own), *(Thing(module, f"{own}.{member}") for member in sorted(self.members))]
            return " ".join(["super", *map(self.walk.number, above)])
        return self.walk.number(self._resolved(name)) or name

    def _resolved(self, name: str) -> Thing | str | None:
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.of_class and depth:
                continue  # a method does not see the names of its class
            if name in scope.aliases:
                return _follow(scope.aliases[name])
            if name in scope.names:
                return None
        return _find(self.module, name)

    def _attribute(self, node: ast.Attribute) -> str:
        steps: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            steps.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            return ".".join([self.write(inner), *steps])
        found = self._resolved(inner.id)
        if self.own and inner.id in ("self", "cls") and steps[0] in self.members:
            found = Thing(self.own[0], f"{self.own[1]}.{steps.pop(0)}")
        while isinstance(found, Thing) and not found.name and steps:  # a module of ours: on to what it holds
            found = _follow(Alias(found.module, steps.pop(0)))
        if isinstance(found, str):
            return f"«{'.'.join([found, *steps])}»"
        return ".".join([self.walk.number(found) or inner.id, *steps])

    def _constant(self, value: object) -> str:
        if isinstance(value, str) and value.partition(".")[0] in OURS and "." in value and _is_module(value):
            return "<module>"  # where it leads is a root of its own
        return f"{type(value).__name__}:{value!r}"

    def _package(self) -> str:
        path = module_file(self.module)
        return self.module if path and path.name == "__init__.py" else self.module.rpartition(".")[0]


@cache
def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and module_file(name) is not None


def _parameters(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {a.arg for a in every if a is not None}


def _own_statements(function: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function but those of functions and classes inside it."""
    queue = list(ast.iter_child_nodes(function))
    while queue:
        node = queue.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            queue += ast.iter_child_nodes(node)


def _declared_elsewhere(function: ast.AST) -> set[str]:
    return {
        name for node in _own_statements(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
