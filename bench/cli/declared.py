"""What our own methods and scenarios declare, read from their files: importing them all means importing torch.

Only what is written out can be read so; `declared` says None where a file needs to be imported to know.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import registry

Entry = tuple[str, str, dict[str, Any]]
"""("method" or "scenario", its name, what `list` tells of it)."""


def declared() -> list[Entry] | None:
    """Every method and scenario of ours; None where one is declared in a way that has to be executed."""
    found: list[Entry] = []
    for path in _files():
        text = path.read_text(encoding="utf-8")
        if "method(" in text or "scenario(" in text:
            entries = _of_file(ast.parse(text))
            if entries is None:
                return None
            found += entries
    return found


def _files() -> Iterator[Path]:
    for package in (registry.SCENARIOS_PACKAGE, registry.METHODS_PACKAGE):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            yield from sorted(Path(folder).rglob("*.py"))


def _of_file(tree: ast.Module) -> list[Entry] | None:
    calls = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and _kind(node) is not None}
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if id(decorator) in calls:
                calls.remove(id(decorator))
                entry = _entry(decorator, node, ast.get_docstring(tree))  # type: ignore[arg-type]
                if entry is None:
                    return None
                found.append(entry)
    return None if calls else found  # called, but not as a decorator at the top


def _kind(call: ast.Call) -> str | None:
    name = call.func.id if isinstance(call.func, ast.Name) else None
    return name if name in ("method", "scenario") else None


def _entry(call: ast.Call, node: ast.FunctionDef | ast.ClassDef, about: str | None) -> Entry | None:
    """What a decorator says; values that no row of `list` shows need not be plain."""
    kind = str(_kind(call))
    parameters = inspect.signature(getattr(registry, kind)).parameters
    said = {name: p.default for name, p in parameters.items()}
    shown = (
        ("name", "family", "scenario", "access", "paper")
        if kind == "method"
        else ("kind", "headline", "lower", "upper", "takes")
    )
    try:
        said |= {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg and word.arg in shown}
    except ValueError:
        return None
    if any(word.arg is None for word in call.keywords):
        return None
    doc = ast.get_docstring(node)
    if kind == "method":
        kinds = said["scenario"]
        return (
            kind,
            said["name"] or node.name.replace("_", "-"),
            {
                "family": said["family"],
                "scenarios": [kinds] if isinstance(kinds, str) else list(kinds),
                "access": sorted(said["access"]),
                "paper": said["paper"],
                "summary": (doc or about or "").strip().partition("\n")[0],
            },
        )
    if doc is None:
        return None  # it has that of the class above
    told = {name: said[name] for name in ("headline", "lower", "upper")} | {"takes": list(said["takes"])}
    return kind, said["kind"], told | {"summary": doc.partition("\n")[0]}
