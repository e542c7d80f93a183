"""Plug-ins of an older contract are refused: what is gone, what it is called now, and the page that says so."""

import importlib
import importlib.util
from importlib.metadata import EntryPoint

import pytest

import bench
from bench import contracts, registry
from bench.errors import BenchError
from bench.task.task import needs

OLD = {
    "from bench.meter import Costs": "bench.meter.Costs is bench.task.meter.Costs now",
    "import bench.meter": "bench.meter is bench.task.meter now",
    "import bench.meter as m": "bench.meter is bench.task.meter now",
    "from bench import settings": "bench.settings is bench.schema.settings now",
    "from bench.settings import Settings": "bench.settings.Settings is bench.schema.settings.Settings now",
    "from bench.lab import Lab, Bench": "bench.lab.Bench is bench.lab.Setup now",
    "from bench.task import Access": "bench.task.Access is bench.task.task.Access now",
    "from bench.task import BlackBox": "bench.task.BlackBox is bench.task.black_box.BlackBox now",
    "from bench.scenarios.fuse import FuseTask": "bench.scenarios.fuse.FuseTask is bench.scenarios.fuse.scenario.",
    "def f(task):\n    from bench.statistics import gram_matrices": "line 2: bench.statistics.gram_matrices is ",
    "def prepare(self, lab):\n    return lab.bench.seed": "line 2: lab.bench is lab.setup now",
    "def f(task):\n    return task.retain_images": "line 2: task.retain_images is task.retain_inputs now",
    "def f(self, task):\n    return self.task.images": "line 2: task.images is task.inputs now",
    "def f(self, lab):\n    return lab.dataset.test.images": "line 2: split.images is split.inputs now",
    "def f(task):\n    return task.validation_source.images": "line 2: split.images is split.inputs now",
    "def f(self, situation):\n    return situation.judge['repeated']": 'judge["repeated"] is situation.repeated now',
    "x = Situation(providers, {'test': 1, 'repeats': []})": 'judge["repeats"] is Situation(repeats=...) now',
    "judge = {'monitor': 1}": 'line 1: judge["monitor"] is Situation(observers=...) now',
    "BENCH_CONTRACT = 1": "is written for contract 1 of bench, and this is contract 2",
    "BENCH_CONTRACT = 3": "is written for contract 3 of bench, and this is contract 2",
}
TODAY = """
BENCH_CONTRACT = 2
import bench
from bench import Task, method
from bench.lab import Lab, Setup
from bench.scenarios import Score, Situation, fuse
from bench.scenarios.fuse.scenario import FuseTask
from bench.task import task, meter
from bench.task.task import Access
from mine.lab import bench
import nothing_of_ours
pictures = task.images
judge = {"monitor": "a key of its own"}
"""


@pytest.mark.parametrize("text", OLD)
def test_what_is_gone_is_told_before_a_plugin_is_imported(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text + "\nraise SystemExit('executed')\n")
    with pytest.raises(BenchError) as told:
        registry.load_plugin(path)
    assert OLD[text] in str(told.value)
    assert str(path) in str(told.value)
    assert str(contracts.page()) in str(told.value)


def test_everything_that_is_gone_is_told_at_once():
    with pytest.raises(BenchError) as told:
        contracts.hold("mine.py", "import bench.meter\nfrom bench.lab import Bench\n")
    assert str(told.value).splitlines()[1:] == [
        "  line 1: bench.meter is bench.task.meter now",
        "  line 2: bench.lab.Bench is bench.lab.Setup now",
    ]


def test_a_plugin_of_this_contract_is_taken():
    contracts.hold("mine.py", TODAY)
    assert bench.CONTRACT == contracts.CONTRACT == 2
    assert f"contract {bench.CONTRACT}" in contracts.page().read_text(encoding="utf-8")


def test_attributes_of_tasks_may_be_named_as_once_where_the_plugin_declares_them():
    own = "class MineTask(Task):\n    images: Annotated[Tensor, Access('labels')]\n"
    contracts.hold("mine.py", own + "def f(task):\n    return task.images\n")
    with pytest.raises(BenchError, match=r"line 4: task\.forget_images is task\.forget_inputs now"):
        contracts.hold("mine.py", own + "def f(task):\n    return task.forget_images\n")


def test_every_attribute_of_a_task_that_has_another_name_is_there():
    registry.discover()
    ours = [kind.task for kind in registry.SCENARIOS.entries.values() if kind.task.__module__.startswith("bench.")]
    there = {name for task in ours for name in needs(task)}
    for old, new in contracts.MOVED.items():
        if old.startswith("task."):
            assert new.removeprefix("task.") in there, new
            assert old.removeprefix("task.") not in there, old


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_old_name_is_refused_and_every_new_one_is_there():
    for old, new in contracts.MOVED.items():
        if old.startswith(("lab.", "judge[", "split.", "task.")):
            continue
        parent, _, name = old.rpartition(".")
        if not is_module(old):  # a room may have the name of an old module
            with pytest.raises(BenchError, match="is written for an older contract"):
                contracts.hold("mine.py", f"from {parent} import {name}")
        parent, _, name = new.rpartition(".")
        assert is_module(new) or hasattr(importlib.import_module(parent), name), new


def test_an_installed_plugin_is_held_against_the_contract_too(tmp_path, monkeypatch):
    (tmp_path / "older_plugin.py").write_text("from bench.lab import Bench\n")
    (tmp_path / "broken_plugin.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module, told in (
        ("older_plugin", r"plug-in mine \(older_plugin\) .*\n  line 1: bench.lab.Bench is bench.lab.Setup now"),
        ("broken_plugin", r"plug-in mine \(broken_plugin\) cannot be imported: ModuleNotFoundError: .*contracts.md"),
    ):
        point = EntryPoint(name="mine", value=module, group="bench.methods")
        monkeypatch.setattr(registry, "entry_points", lambda group, point=point: [point])
        with pytest.raises(BenchError, match=told):
            registry.load_installed.__wrapped__()
