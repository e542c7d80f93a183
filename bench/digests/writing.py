"""The text of a definition: its syntax tree without prose, formatting and type hints, and with its names resolved."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.digests.names import (
    Alias,
    Thing,
    aliases_of,
    bases_of,
    bound_by,
    evaluated_outside,
    find,
    follow,
    is_for_types,
    is_module,
    is_ours,
    is_prose,
    module_file,
    own_nodes,
)

SHOWN = {Thing("bench.registry", "scenario"): frozenset({"metrics", "costs"})}
"""Decorator -> its keywords that say how numbers are shown, and not which they are: no digest reads them."""


@dataclass
class Scope:
    """A function, comprehension or class that names are looked up in, from the inside to the outside."""

    names: set[str]
    aliases: dict[str, Alias]
    of_class: bool = False


class Writer:
    """Writes the syntax tree of a definition, names resolved."""

    def __init__(
        self,
        number: Callable[[Thing | str | None], str],
        module: str,
        own: tuple[str, str] | None = None,
        members: frozenset[str] = frozenset(),
    ) -> None:
        self.number, self.module = number, module
        self.own, self.members = own, members
        self.itself = {"self", "cls"}
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
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.itself = {"self", "cls", *[a.arg for a in (*node.args.posonlyargs, *node.args.args)][:1]}
        self.scopes.append(Scope(set(), {}, of_class=True))
        text = self.write(node)
        self.scopes.pop()
        return text

    def shell(self, node: ast.ClassDef) -> str:
        """The decorators, bases and keywords of a class."""
        parts = [*map(self._without_shown, node.decorator_list), *node.bases, *node.keywords]
        return f"class({' '.join(map(self.write, parts))})"

    def _without_shown(self, decorator: ast.expr) -> ast.expr:
        """A decorator without the keywords of `SHOWN`."""
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name | ast.Attribute):
            return decorator
        thing = find(self.module, ast.unparse(decorator.func))
        shown = SHOWN.get(thing, frozenset()) if isinstance(thing, Thing) else frozenset()
        return ast.Call(decorator.func, decorator.args, [k for k in decorator.keywords if k.arg not in shown])

    def statements(self, body: Sequence[ast.stmt], in_class: bool = False) -> Iterator[str]:
        """The statements of a body, without prose."""
        for node in body:
            if is_prose(node):
                continue
            if isinstance(node, ast.If) and is_for_types(node):
                yield from self.statements(node.orelse, in_class)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from filter(None, [self._import(node)])
            elif isinstance(node, ast.AnnAssign):
                yield self._annotated(node, in_class)
            else:
                yield self.write(node)

    def write(self, node: ast.AST) -> str:
        """Any node."""
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Constant():
                return self._constant(node.value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._function(node, node.name)
            case ast.Lambda():
                outside = self.write(node.args)  # with the defaults, which are made where the lambda is
                return self._scoped(node, _parameters(node.args), outside, [node.body])
            case ast.ClassDef():
                return self._class(node, node.name)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                targets = set().union(*(bound_by(generator.target) for generator in node.generators))
                values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                text, first = self._scoped(node, targets, "", [*values, *node.generators]), node.generators[0].iter
                hidden = any(isinstance(part, ast.Name) and part.id in targets for part in ast.walk(first))
                return f"{text}{self.write(first)}" if hidden else text  # what is gone through is named outside
            case ast.AnnAssign():
                return self._annotated(node, in_class=False)
            case ast.arg():
                return node.arg
            case ast.Expr() if is_prose(node):
                return ""
            case ast.Import() | ast.ImportFrom():
                return self._import(node)
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

    def _import(self, node: ast.Import | ast.ImportFrom) -> str:
        """What an import brings that its names do not lead to, since something else may bind them as well."""
        brought = aliases_of([node], self._package())
        return " ".join(
            self.number(follow(alias)) for name, alias in brought.items() if self._resolved(name) != follow(alias)
        )

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
        outside = " ".join(map(self.write, [*node.decorator_list, *evaluated_outside(node)]))
        body = set().union(*map(bound_by, node.body)) - _declared_elsewhere(node)
        own, defaults = node.args, ast.arguments(**{**vars(node.args), "defaults": [], "kw_defaults": []})
        given = f"{len(own.defaults)}/{[d is None for d in own.kw_defaults]}"
        aliases = aliases_of(own_nodes(*ast.iter_child_nodes(node)), self._package())
        names = (_parameters(own) | body) - aliases.keys()
        self.scopes.append(Scope(names, aliases))
        text = " ".join([self._generic(defaults), *self.statements(node.body)])
        self.scopes.pop()
        return f"{type(node).__name__} {name}<{outside} {given}>({text})"

    def _class(self, node: ast.ClassDef, name: str) -> str:
        shell = self.shell(node)
        names = set().union(*map(bound_by, node.body)) if node.body else set()
        self.scopes.append(Scope(names, {}, of_class=True))
        text = " ".join(self.statements(node.body, in_class=True))
        self.scopes.pop()
        return f"{shell} {name}({text})"

    def _scoped(self, node: ast.AST, names: set[str], outside: str, parts: Sequence[ast.AST]) -> str:
        self.scopes.append(Scope(names, {}))
        text = " ".join([*filter(None, [outside]), *map(self.write, parts)])
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

    def _name(self, node: ast.Name) -> str:
        name, bound = node.id, not isinstance(node.ctx, ast.Load)
        if name in ("super", *self.itself) and self.own and not bound:
            # Who gets it may call whatever the class has: all of the class and of those above it counts.
            module, own = self.own
            above = [*bases_of(module, own), *(Thing(module, f"{own}.{member}") for member in sorted(self.members))]
            return " ".join([name, *map(self.number, above)])
        if name == "globals" and self._resolved(name) is None:
            return f"globals {self.number(Thing(self.module, ''))}"
        return self.number(self._resolved(name, bound)) or name

    def _resolved(self, name: str, bound: bool = False) -> Thing | str | None:
        """What a name stands for; `bound`: where it is bound."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.of_class and self.own and not depth and not bound and name in self.members:
                return Thing(self.own[0], f"{self.own[1]}.{name}")
            if scope.of_class and (depth or not bound):
                continue  # a method does not see the names of its class, and the class sees those around it too
            if name in scope.aliases:
                return follow(scope.aliases[name])
            if name in scope.names:
                return None
        return find(self.module, name)

    def _attribute(self, node: ast.Attribute) -> str:
        steps: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            steps.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            return ".".join([self.write(inner), *steps])
        found = self._resolved(inner.id)
        if self.own and inner.id in self.itself and steps[0] in self.members:
            found = Thing(self.own[0], f"{self.own[1]}.{steps.pop(0)}")
        while isinstance(found, Thing) and not found.name and steps:  # a module of ours: on to what it holds
            found = follow(Alias(found.module, steps.pop(0)))
        if isinstance(found, str):
            return f"«{'.'.join([found, *steps])}»"
        return ".".join([self.number(found) or inner.id, *steps])

    def _constant(self, value: object) -> str:
        if isinstance(value, str) and "." in value:
            named = f"{self._package()}{value}" if value.startswith(".") else value
            if is_module(named) and is_ours(named):
                return self.number(Thing(named, ""))  # to be imported by its name
        return f"{type(value).__name__}:{value!r}"

    def _package(self) -> str:
        path = module_file(self.module)
        return self.module if path and path.name == "__init__.py" else self.module.rpartition(".")[0]


def _parameters(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {a.arg for a in every if a is not None}


def _declared_elsewhere(function: ast.AST) -> set[str]:
    inside = own_nodes(*ast.iter_child_nodes(function))
    return {name for node in inside if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
