"""An edit moves the digests of exactly the cells that can reach it: tried on a copy of the real tree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import Task, registry
from bench.running.cell_code import digests
from bench.schema.settings import Settings

ROOT = Path(__file__).parents[3]
CELLS = {
    "fuse/average": ["fuse", "average", ["mlp"], False],
    "fuse/regmean": ["fuse", "regmean", ["resnet8"], False],
    "merge/ties": ["merge", "ties", ["resnet8"], False],
    "merge/ties tuned": ["merge", "ties", ["resnet8"], True],
    "unlearn/scrub": ["unlearn", "scrub", ["vgg"], False],
}
EVERY = {f"{cell}: harness" for cell in CELLS}
MODELS = {"standard models: making"}
EDITS = {
    "an unused function": ("bench/task/meter.py", "", "\n\ndef unused():\n    return 1\n", set()),
    "prose": ("bench/task/meter.py", '"""', '"""Better explained. ', set()),
    "seeding": ("bench/running/cell.py", "random.seed(seed)", "random.seed(seed + 1)", EVERY),
    "threads": (
        "bench/running/workers.py",
        "torch.set_num_threads(threads)",
        "torch.set_num_threads(2 * threads)",
        EVERY,
    ),
    "the zoo": ("bench/models/zoo.py", 'seed_of("zoo", "train"', 'seed_of("zoo", "fit"', EVERY | MODELS),
    "training": ("bench/models/make.py", "torch.manual_seed(seed)", "torch.manual_seed(seed + 1)", EVERY | MODELS),
    "a method's own draws": ("bench/running/plan.py", 'return seed_of("method"', 'return seed_of("methods"', EVERY),
    "a device": ("bench/device.py", "dtype=torch.bfloat16", "dtype=torch.float16", EVERY | MODELS),
    "the specs of models": ("bench/lab.py", "def spec(", "more = 1\n\n    def spec(", EVERY),
    "the meter": ("bench/task/meter.py", "/ 2**20", "/ 2**10", EVERY),
    "an architecture": (
        "bench/models/vgg.py",
        "nn.ReLU",
        "nn.GELU",
        {"unlearn/scrub: harness"},
    ),
    "trials": (
        "bench/running/tuning.py",
        "round(number / trials, 6)",
        "round(number / trials, 5)",
        {"merge/ties tuned: harness"},
    ),
    "a scenario's preparing": (
        "bench/scenarios/fuse/scenario.py",
        '"fuse", "unlabeled"',
        '"fuse", "unlabelled"',
        {"fuse/average: prepare", "fuse/regmean: prepare"},
    ),
    "a scenario's scoring": (
        "bench/scenarios/fuse/scenario.py",
        'metrics["agreement"] = sum(shares) / len(shares)',
        'metrics["agreement"] = min(shares)',
        # Its settings are handed around while it prepares: all of their class counts there too.
        {f"{cell}: {part}" for cell in ("fuse/average", "fuse/regmean") for part in ("prepare", "score")},
    ),
    "a constant of a family": (
        "methods/merging/task_vectors.py",
        'NORMALIZER = "normalize."',
        'NORMALIZER = "norm."',
        {"merge/ties: method", "merge/ties tuned: method"},
    ),
    "a method's default": (
        "methods/fusion/regmean.py",
        "off_diagonal: Fraction = 0.9",
        "off_diagonal: Fraction = 0.8",
        {"fuse/regmean: method"},
    ),
    "a title of a metric": (
        "bench/scenarios/unlearn/attacks.py",
        'title="strong attack AUC"',
        'title="AUC of the strong attack"',
        set(),
    ),
    "a metric more": (
        "bench/scenarios/fuse/scenario.py",
        "    PARAMETERS,\n    *BARRIERS",
        '    PARAMETERS,\n    Metric("more", "", higher_is_better=True),\n    *BARRIERS',
        set(),
    ),
    "the headline": (
        "bench/scenarios/unlearn/scenario.py",
        'headline="average_gap"',
        'headline="tug_of_war"',
        {"unlearn/scrub: prepare"},
    ),
    "how digests are taken": ("bench/digests/walk.py", "PLAIN = (", 'PLAIN = ("more", ', set()),
    "a registry": ("bench/registry.py", "class Registry:", "class Registry:\n    more = 1\n", set()),
    "a data set more": ("bench/data/catalogue.py", "_TEXTURES = (", "_MORE = 1\n_TEXTURES = (", set()),
}
ASK = """
import json, sys
from pathlib import Path
from bench import registry
from bench.digests import walk
from bench.models.keys import KNOWN, MAKING
from bench.running.cell_code import digests, values
cells, edits = json.loads(sys.stdin.read())
registry.discover()

def found():
    walk.forget()
    return {"standard models: making": walk.digest(MAKING, KNOWN).value} | {
        f"{name}: {part}": value
        for name, (kind, method, archs, tuned) in cells.items()
        for part, value in values(
            digests(registry.SCENARIOS.get(kind), registry.METHODS.get(method), [], archs, tuned)
        ).items()
    }

before, told = found(), {}
for name, (file, old, new) in edits.items():
    path = Path(file)
    text = path.read_text()
    assert old in text, (name, old)
    path.write_text(text.replace(old, new, 1) if old else text + new)
    after = found()
    path.write_text(text)
    told[name] = sorted(part for part in before if before[part] != after[part])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for package in ("bench", "methods"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    edits = {name: edit[:3] for name, edit in EDITS.items()}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps([CELLS, edits]),
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_moves_the_cells_that_can_reach_it_and_no_others(moved, name):
    assert set(moved[name]) == EDITS[name][3]


NESTED = """
from pydantic import BaseModel

from bench import method


class Inner(BaseModel):
    def go(self):
        return 1


class Options(BaseModel):
    inner: list[Inner] = []


def make(share):
    def made(task, *, options: Options | None = None):
        return options.inner[0].go() * share
    return made


half = make(0.5)
method(family="toy", scenario="fuse", access=set(), name="digests-half")(half)
"""


@pytest.mark.parametrize(("old", "new"), [("return 1", "return 2"), ("make(0.5)", "make(0.6)"), ("* share", "+ share")])
def test_a_method_stands_on_what_pydantic_makes_for_it_and_on_what_it_was_made_with(tmp_path, monkeypatch, old, new):
    monkeypatch.setattr(registry.METHODS, "entries", dict(registry.METHODS.entries))
    kind = registry.Scenario("toy", Toy, Task, "accuracy", "lower", "upper")
    found = []
    for text in (NESTED, NESTED.replace(old, new)):
        path = tmp_path / "digests_nested.py"
        path.write_text(text)
        registry.load_plugin(path)
        found.append(digests(kind, registry.METHODS.get("digests-half"), [], [], tuned=False)["method"].value)
    registry.parameters.cache_clear()
    assert found[0] != found[1]


class Toy(Settings):
    """Nothing."""

    def prepare(self, lab):
        return lab

    def score(self, situation, result, lab):
        return result
