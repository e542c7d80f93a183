"""A digest of code that changes when a number could, and not when code moves, is renamed or is explained better.

The walk starts at definitions (functions, classes, constants) and follows every name in them to the definition that it
stands for, through the imports of the file. What is written down of a definition is its syntax tree without comments,
docstrings, formatting and type hints; names of ours are replaced by numbers in the order of the walk, names of other
packages by their full path. So neither the name of a module nor that of a definition counts, nor the file in which it
stands, nor an unused neighbour. Files are read and never executed.

What is found by its name at run time (`registry.get`) is not followed: whoever asks for a digest names it as a root of
its own (`bench.running.cell_code`). A module that is handed around whole counts as a whole, a text that is the name of
a module counts as that module, and an instance (`self`) that is handed around counts as its class. Statements at the
top of a file that do more than to define (`table["x"] = 1`) count wherever something of the file does, or of one that
imports it; so they do for the packages that a file stands in, except `bench` itself.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.digests import names
from bench.digests.names import Thing, effects_above, find, follow, follow_packages, members_of, source_of
from bench.digests.writing import Writer

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
def digest(roots: tuple[Root, ...], known: tuple[Root, ...] = (), also: tuple[Root, ...] = ()) -> Digest:
    """The digest of all that these definitions reach.

    Args:
        roots: where the walk starts.
        known: definitions that are mentioned and not followed, since something else vouches for what they give.
        also: further roots, of which those count that the others do not reach.

    Raises:
        KeyError: one of them is not defined where it is said to be.
    """
    follow_packages({module.partition(".")[0] for module, _ in roots})
    walk = _Walk(frozenset(_defined(*root) for root in known))
    for root in roots:
        walk.number(_defined(*root))
    texts = walk.texts()
    for root in also:
        walk.number(_defined(*root))
        texts += walk.texts()
    whole = hashlib.sha256("\x1e".join(text for _, text in texts).encode()).hexdigest()[:16]
    return Digest(whole, {name: _short(text) for name, text in texts})


def _short(text: str) -> str:
    """Of a definition by itself: the numbers of the walk, which an earlier definition shifts, are left out."""
    return hashlib.sha256(re.sub(r"§\d+", "§", text).encode()).hexdigest()[:8]


def of(*things: Callable[..., Any]) -> str:
    """The digest of functions and classes of ours, as its 16 hex digits."""
    return digest(tuple((thing.__module__, thing.__qualname__) for thing in things)).value


def forget() -> None:
    """Read all files anew: for a process that outlives an edit of a plug-in."""
    names.forget()
    digest.cache_clear()


def _defined(module: str, name: str) -> Thing:
    found = find(module, name)
    if not isinstance(found, Thing):
        raise KeyError(f"{module} does not define {name}")
    return found


class _Walk:
    """Definitions in the order in which they are met, each with its text."""

    def __init__(self, known: frozenset[Thing]) -> None:
        self._known = known
        self._numbers: dict[Thing, int] = {}
        self._queue: list[Thing] = []
        self._files: set[str] = set()
        self._effects: set[tuple[str, ast.stmt]] = set()

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
                found += self._done_by(thing.module)
        return found

    def _done_by(self, module: str) -> Iterator[tuple[str, str]]:
        """What the import of a file does."""
        source = source_of(module)
        own = [(module, effect) for effect in source.effects] if source else []
        new = [effect for effect in (*own, *effects_above(module)) if effect not in self._effects]
        self._effects.update(new)
        for where in dict.fromkeys(where for where, _ in new):
            writer = Writer(self.number, where)
            yield f"{where}:", " ".join(writer.write(effect) for place, effect in new if place == where)

    def _text(self, thing: Thing) -> str:
        source = source_of(thing.module)
        if source is None:
            return ""  # of a folder of modules
        if not thing.name:
            own = [self.number(Thing(thing.module, name)) for name in sorted(source.definitions)]
            brought = [found for found in map(follow, source.imports) if isinstance(found, Thing)]
            return " ".join([*own, *map(self.number, brought)])
        name, _, member = thing.name.partition(".")
        writer = Writer(self.number, thing.module)
        if member:
            return _member_text(writer, thing.module, name, member)
        return " ".join(writer.definition(node) for node in source.definitions[name])


FRAME = "<frame>"
"""As a member of a class: its bases, decorators, fields, and what is called unasked; none of its other methods."""


def _member_text(writer: Writer, module: str, name: str, member: str) -> str:
    members = members_of(module, name)
    if member == FRAME:
        source = source_of(module)
        node = source.definitions[name][0] if source else None
        assert isinstance(node, ast.ClassDef)
        fields = [s for s in node.body if not _is_asked_for(s)]
        methods = {m for m, (_, statements) in members.items() if all(map(_is_asked_for, statements))}
        inside = Writer(writer.number, module, own=(module, name), members=frozenset(methods))
        return writer.shell(node) + " ".join(inside.statements(fields, in_class=True))
    if member not in members:
        raise KeyError(f"{module}.{name} has no member {member!r}")
    where, statements = members[member]
    inside = Writer(writer.number, where, own=(module, name), members=frozenset(members))
    return " ".join(map(inside.member, statements))


PLAIN = ("property", "cached_property", "functools.cached_property", "classmethod", "staticmethod")


def _is_asked_for(statement: ast.stmt) -> bool:
    """Whether it is a method that runs where it is named only: not a validator, and none of Python's or pydantic's."""
    return (
        isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        and not statement.name.startswith(("__", "model_"))
        and all(ast.unparse(decorator) in PLAIN for decorator in statement.decorator_list)
    )
