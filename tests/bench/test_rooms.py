"""The rooms of `bench/`, as docs/design.md draws them: every import goes down, and modules form no circle.

Imports at the top of a module, inside of functions and under TYPE_CHECKING count alike.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACE = "bench"
"""The package itself: it hands out names of all rooms when they are first used."""


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package in ("bench", "methods"):
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported(module: str, text: str, known: set[str]) -> Iterator[tuple[str, int]]:
    """The modules of ours that a module imports, and in which line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names if name.name in known)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: say where from, in full"
            for name in node.names:
                full = f"{node.module}.{name.name}"
                if full in known or node.module in known:
                    yield (full if full in known else str(node.module)), node.lineno


@cache
def arrows() -> list[tuple[str, str, int]]:
    """(module, what it imports, line), but for those of the package's face."""
    known = set(modules())
    return [
        (module, other, line)
        for module, path in modules().items()
        if module != FACE
        for other, line in imported(module, path.read_text(encoding="utf-8"), known)
        if other != module
    ]


def room(module: str) -> str:
    package, _, rest = module.partition(".")
    return "methods" if package == "methods" else rest.partition(".")[0]


@cache
def picture() -> dict[str, int]:
    """Room -> its line in the picture of docs/design.md, the topmost being 0."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    drawn = re.search(r"This is their order:\n\n((?:    .+\n)+)", text)
    assert drawn is not None
    lines = [re.split(r" {2,}", line.strip())[0] for line in drawn[1].splitlines()]
    return {name: number for number, line in enumerate(lines) for name in line.split(" · ")}


def test_the_picture_shows_every_room_once():
    there = {room(module) for module in modules() if module != FACE}
    assert set(picture()) == there


def test_no_room_reaches_up_or_beside_itself():
    below = picture()
    wrong = [
        f"{module}:{line} imports {other}"
        for module, other, line in arrows()
        if other != FACE and room(module) != room(other) and below[room(module)] >= below[room(other)]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_form_no_circle():
    graph = {module: set() for module in modules()}
    for module, other, _ in arrows():
        graph[module].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_bench_knows_no_particular_method_and_does_not_use_its_own_face():
    wrong = [
        f"{module}:{line} imports {other}"
        for module, other, line in arrows()
        if room(module) != "methods" and (other == FACE or room(other) == "methods")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_kind_of_scenario_knows_another():
    kinds = {f"bench.scenarios.{path.parent.name}" for path in (ROOT / "bench" / "scenarios").glob("*/scenario.py")}
    wrong = [
        f"{module}:{line} imports {other}"
        for module, other, line in arrows()
        for kind in kinds
        if (other == kind or other.startswith(f"{kind}."))
        and room(module) == "scenarios"
        and module != kind
        and not module.startswith(f"{kind}.")
    ]
    assert kinds
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "import bench.running.cell",
        "from bench.running import cell",
        "def f():\n    from bench.running.cell import run_cell",
        "if TYPE_CHECKING:\n    from bench.running.cell import Job",
    ],
)
def test_every_way_to_import_counts(text):
    assert [name for name, _ in imported("bench.data.rows", text, {"bench.running", "bench.running.cell"})] == [
        "bench.running.cell"
    ]
