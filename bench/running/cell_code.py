"""Which code a cell stands on: four digests, beside its key and in its record (see `bench.digests.walk`).

`harness` covers what a worker does before and around a cell, the making of its standard models and its trials, where it
has any; `prepare` and `score` the two sides of its scenario; `method` the method. Each starts from definitions that are
named here or that the registries hold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bench.digests.names import is_ours, members_of, module_file
from bench.digests.walk import FRAME, Digest, Root, digest
from bench.errors import BenchError
from bench.models.keys import archs_of, factory_root
from bench.paths import cache_root
from bench.records.record import PARTS
from bench.registry import parameters

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bench.models.spec import ModelSpec
    from bench.registry import Method, Scenario

WORKER = (
    ("bench.running.workers", "_start_worker"),
    ("bench.running.cell", "compute"),
    ("bench.method_process.server", "main"),
    ("bench.running.cell", "train_standard_model"),
    ("bench.running.plan", "Cell.draws"),
    ("bench.lab", "Setup"),
    ("bench.device", "Device"),
    ("bench.models.spec", "ModelSpec"),
    ("bench.environment", "pinned"),
)
"""Where the code of the harness starts: what a worker and its server of methods call, the classes of what a job
brings along, and what is set before a worker starts. No call inside a worker leads to the latter two."""
TRIALS = (("bench.running.cell", "tune"),)
"""For rows that have a search as well."""
KNOWN = (
    ("bench.data.identity", "identify"),
    ("bench.data.identity", "read"),
    ("bench.data.catalogue", "SOURCES"),
    ("bench.models", "ARCHITECTURES"),
    ("bench.models.keys", "place"),
    ("bench.digests.walk", "of"),
    ("bench.registry", "METHODS"),
    ("bench.registry", "SCENARIOS"),
    ("bench.registry", "discover"),
    ("bench.registry", "discover_scenarios"),
    ("bench.registry", "load_plugin"),
    ("bench.errors", "near_miss"),
    ("bench.registry", "method"),
    ("bench.registry", "scenario"),
)
"""What is looked up by name: data sets, which the fingerprint in the key tells apart, and architectures, methods and
scenarios, which are roots of their own. Adding one to its table is nobody else's business."""


def digests(
    kind: Scenario, method: Method, specs: Iterable[ModelSpec], archs: Iterable[str], tuned: bool
) -> dict[str, Digest]:
    """Part -> digest, of a method's cell in a scenario.

    Args:
        kind: the scenario's kind.
        method: what runs.
        specs: the standard models of the cell.
        archs: architectures that the scenario builds untrained.
        tuned: whether the row has a search.
    """
    named = sorted({arch for spec in specs for arch in archs_of(spec)} | set(archs))
    factories = tuple(factory_root(arch) for arch in named)
    settings = (kind.settings.__module__, kind.settings.__qualname__)
    members = members_of(*settings)
    prepare, score = (
        [name for name in names if name in members]
        for names in (("zoo", "prepare", "training_data"), ("score", "choice")[: 1 + tuned])
    )
    return {
        "harness": digest((*WORKER, *TRIALS * tuned, *factories), KNOWN),
        "prepare": digest(_members(settings, [*prepare, FRAME]), KNOWN, classes_in(kind.settings)),
        "score": digest(_members(settings, score), KNOWN),
        "method": digest((_root_of(method),), KNOWN, (*_bound_to(method), *classes_in(parameters(method)))),
    }


def _root_of(method: Method) -> Root:
    """Where a method is defined: of one that a function makes, that function.

    Raises:
        BenchError: its source cannot be read (an interactive session).
    """
    module, name = method.function.__module__, method.function.__qualname__.partition(".<locals>")[0]
    if module_file(module) is None:
        raise BenchError(f"the source of method {method.name!r} cannot be read: put it into a file of its own")
    return module, name


def _bound_to(method: Method) -> tuple[Root, ...]:
    """The names that files of ours give to a method that a function makes: what it was made with stands there."""
    if "<locals>" not in method.function.__qualname__:
        return ()
    files = {name: module for name, module in list(sys.modules.items()) if is_ours(name)}
    return tuple(
        (file, name)
        for file, module in sorted(files.items())
        for name, thing in sorted(vars(module).items())
        if thing is method.function
    )


def classes_in(model: type[BaseModel]) -> tuple[Root, ...]:
    """The classes of ours that its fields may hold: pydantic makes them from type hints, which no digest follows."""
    found: dict[type, None] = {}
    queue: list[Any] = [field.annotation for field in model.model_fields.values()]
    while queue:
        hint = queue.pop(0)
        queue += get_args(hint)
        if isinstance(hint, type) and hint not in found and is_ours(hint.__module__):
            found[hint] = None
            queue += [field.annotation for field in getattr(hint, "model_fields", {}).values()]
    return tuple((hint.__module__, hint.__qualname__) for hint in found)


def _members(of: Root, names: Iterable[str]) -> tuple[Root, ...]:
    return tuple((of[0], f"{of[1]}.{name}") for name in names)


def values(found: Mapping[str, Digest]) -> dict[str, str]:
    """Part -> its 16 hex digits."""
    return {part: one.value for part, one in found.items()}


def remember(found: Mapping[str, Digest]) -> None:
    """Keep what a digest was made of in the cache, so that it can be told later what moved."""
    for one in found.values():
        path = _memory(one.value)
        if not path.is_file():
            with suppress(OSError):  # it only makes messages better
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(one.parts, indent=0, sort_keys=True), encoding="utf-8")


def moved(old: Mapping[str, str], new: Mapping[str, Digest]) -> list[str]:
    """The parts that are not what they were, each with the definitions that differ, as far as these are remembered."""
    told = []
    for part in PARTS:
        if old.get(part) != new[part].value:
            before = _recall(old.get(part, ""))
            names = [] if before is None else _changed(before, new[part].parts)
            told.append(f"{part} ({', '.join(names)})" if names else part)
    return told


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The definitions that are in one only, or differ."""
    names = sorted({name for name in {*before, *after} if before.get(name) != after.get(name)})
    return names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]


def _memory(value: str) -> Path:
    return cache_root() / "digests" / f"{value}.json"


def _recall(value: str) -> dict[str, str] | None:
    try:
        found = json.loads(_memory(value).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
