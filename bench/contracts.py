"""The contract between bench and the methods and scenarios of others: its number, and what names of the last became.

`docs/contracts.md` says in words what each contract changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError
from bench.paths import PACKAGE

CONTRACT = 2
"""What this bench offers. A plug-in may say `BENCH_CONTRACT = 2` at the top of its module."""

MOVED = {
    "bench.budget": "bench.task.budget",
    "bench.code_digest": "bench.digests.walk",
    "bench.lab.Bench": "bench.lab.Setup",
    "bench.lab.seed_of": "bench.draws.seed_of",
    "bench.meter": "bench.task.meter",
    "bench.monitor": "bench.task.monitor",
    "bench.onednn": "bench.models",
    "bench.records": "bench.records.record",
    "bench.records.as_frame": "bench.records.frame.as_frame",
    "bench.records.load_results": "bench.load_results",
    "bench.recipe": "bench.schema.recipe",
    "bench.registry.near_miss": "bench.errors.near_miss",
    "bench.scenarios.datafree": "bench.scenarios.datafree.scenario",
    "bench.scenarios.dispose": "bench.scenarios.dispose.scenario",
    "bench.scenarios.fuse": "bench.scenarios.fuse.scenario",
    "bench.scenarios.fuse_path": "bench.scenarios.fuse.path",
    "bench.scenarios.merge": "bench.scenarios.merge.scenario",
    "bench.scenarios.merge_damage": "bench.scenarios.merge.damage",
    "bench.scenarios.merge_judging": "bench.scenarios.merge.judging",
    "bench.scenarios.piggyback": "bench.scenarios.dispose.piggyback",
    "bench.scenarios.poisoned": "bench.scenarios.datafree.poisoned",
    "bench.scenarios.relearning": "bench.scenarios.unlearn.relearning",
    "bench.scenarios.unlearn": "bench.scenarios.unlearn.scenario",
    "bench.scenarios.unlearn.UnlearnTask": "bench.scenarios.unlearn.task.UnlearnTask",
    "bench.scenarios.unlearn_attacks": "bench.scenarios.unlearn.attacks",
    "bench.scenarios.unlearn_judging": "bench.scenarios.unlearn.judging",
    "bench.scenarios.unlearn_keys": "bench.scenarios.unlearn.keys",
    "bench.scenarios.unlearn_measures": "bench.scenarios.unlearn.measures",
    "bench.scenarios.unlearn_poison": "bench.scenarios.unlearn.poison",
    "bench.scenarios.unlearn_requests": "bench.scenarios.unlearn.requests",
    "bench.scenarios.unlearn_shadows": "bench.scenarios.unlearn.shadows",
    "bench.scenarios.unlearn_task": "bench.scenarios.unlearn.task",
    "bench.scenarios.unlearn_triggered": "bench.scenarios.unlearn.triggered",
    "bench.settings": "bench.schema.settings",
    "bench.statistics": "bench.task.statistics",
    "bench.store": "bench.records.store",
    "bench.task": "bench.task.task",
    "bench.task.BlackBox": "bench.task.black_box.BlackBox",
    "bench.task.sealed": "bench.task.black_box.sealed",
    "bench.tuning": "bench.running.tuning",
    "bench.tuning.Range": "bench.schema.search.Range",
    "lab.bench": "lab.setup",
    "split.images": "split.inputs",
    "task.all_images": "task.all_inputs",
    "task.clean_images": "task.clean_inputs",
    "task.forget_images": "task.forget_inputs",
    "task.images": "task.inputs",
    "task.retain_images": "task.retain_inputs",
    "task.source_images": "task.source_inputs",
    "task.target_images": "task.target_inputs",
    "task.validation_images": "task.validation_inputs",
    'judge["costs"]': "Situation(costs=...)",
    'judge["monitor"]': "Situation(observers=...)",
    'judge["repeated"]': "situation.repeated",
    'judge["repeats"]': "Situation(repeats=...)",
}
"""What plug-ins of contract 1 could name -> what it is called now: modules, names in them, attributes of a lab, of a
split and of a task, keys of what a situation keeps for its judge. Attributes of tasks and splits, and such keys, may be
a plug-in's own today: one that says its contract may have them."""

SPLITS = ("train", "validation", "test", "validation_source", "validation_target")
"""What splits are called where a data set or a task holds them."""


def page() -> Path:
    """The page that says what changed, in the clone or in the installed package."""
    inside = PACKAGE / "contracts.md"
    return inside if inside.is_file() else PACKAGE.parent / "docs" / "contracts.md"


def hold(plugin: str, text: str) -> None:
    """Hold the text of a plug-in against this contract; none of it is executed.

    Args:
        plugin: what messages call it.

    Raises:
        BenchError: it says that it is for another contract, or names what this one calls otherwise.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # told by who imports it
    said = _said(tree)
    gone = [*_gone(tree), *([*_held(tree), *_judged(tree)] if said is None else ())]
    faults = [f"line {line}: {old + rest} is {MOVED[old] + rest} now" for line, old, rest in sorted(gone)]
    if said in (None, CONTRACT) and not faults:
        return
    older = "an older contract" if said in (None, CONTRACT) else f"contract {said}"
    told = (
        f"plug-in {plugin} is written for {older} of bench, and this is contract {CONTRACT}; {page()} says what changed"
    )
    raise BenchError("\n  ".join([told, *faults]))


def _said(tree: ast.Module) -> object:
    """The contract that a module says it is for, if it says so."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(name) == "BENCH_CONTRACT" for name in node.targets):
            return node.value.value if isinstance(node.value, ast.Constant) else ast.unparse(node.value)
    return None


def _gone(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, name in `MOVED`, what stands behind it) of all that a module names and this contract calls otherwise."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if (found := _old_module(name.name)) is not None:
                    yield node.lineno, *found
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found = (full, "") if full in MOVED and not _is_module(full) else _old_module(full)
                if found is not None:
                    yield node.lineno, *found
        elif isinstance(node, ast.Attribute) and node.attr == "bench" and ast.unparse(node.value).endswith("lab"):
            yield node.lineno, "lab.bench", ""


def _held(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Like `_gone`, of attributes of a task or a split, but for those that a class of the module itself declares."""
    own = {
        ast.unparse(part.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr in own:
            continue
        holder = ast.unparse(node.value).rpartition(".")[2]
        of_split = holder in SPLITS and isinstance(node.value, ast.Attribute)
        name = f"{'split' if of_split else holder}.{node.attr}"
        if name.startswith(("task.", "split.")) and name in MOVED:
            yield node.lineno, name, ""


def _judged(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Like `_gone`, of keys that the harness once read of a judge: read, written, or given to a `Situation`."""
    for node in ast.walk(tree):
        keys: list[ast.expr | None] = []
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("judge"):
            keys = [node.slice]
        elif isinstance(node, ast.Assign | ast.AugAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            keys = node.value.keys if any(ast.unparse(target) == "judge" for target in targets) else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Situation"):
            given = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "judge")]
            keys = [key for value in given if isinstance(value, ast.Dict) for key in value.keys]
        for key in keys:
            if isinstance(key, ast.Constant) and (name := f'judge["{key.value!s}"]') in MOVED:
                yield key.lineno, name, ""


def _old_module(name: str) -> tuple[str, str] | None:
    """The moved module that a dotted name leads to, and the rest of the name; None where it leads somewhere today."""
    if _is_module(name):
        return None
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        module = ".".join(parts[:length])
        if module in MOVED:
            return module, name.removeprefix(module)
        if _is_module(module):
            return None
    return None


def _is_module(name: str) -> bool:
    if not name.startswith("bench."):
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
