"""The kit passes every method of ours, and catches the faults that it is there for."""

from pathlib import Path

import psutil
import pytest
import torch

from bench import conformance, registry
from bench.conformance import check_method
from bench.errors import BenchError
from bench.method_process.launcher import Server
from bench.registry import METHODS

KIT = Path(__file__).parents[1] / "kit.py"
registry.discover()
registry.load_plugin(KIT)
OURS = sorted((name, kind) for name, m in METHODS.entries.items() for kind in m.scenarios if m.family != "toy")


@pytest.fixture
def zoo(common_cache):
    """Standard models of the kit, which are trained once for all methods."""
    return common_cache / "kit"


@pytest.fixture(scope="module")
def server():
    """One for all methods."""
    made = Server([KIT])
    yield made
    made.stop()


@pytest.mark.parametrize(("name", "kind"), OURS)
def test_every_method_conforms(name, kind, zoo, server):
    results = list(check_method(name, server, only=kind, zoo=zoo))
    assert results
    assert not [f"{r.check}: {r.detail}" for r in results if not r.ok]
    if METHODS.get(name).family != "reference":
        assert not [f"{r.check}: {r.detail}" for r in results if "its result is marked" in r.detail]


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("kit-good", set()),
        ("kit-random", {"deterministic"}),
        ("kit-writes", {"inputs untouched"}),
        ("kit-greedy", {"access is used"}),
        ("kit-usual", {"runs: 6 classes, 3x12x12"}),
    ],
)
def test_the_kit_catches(name, failing, zoo, server):
    assert {r.check for r in check_method(name, server, zoo=zoo) if not r.ok} == failing


def test_a_method_runs_inline_once_and_what_it_raises_goes_through(monkeypatch):
    runs = []
    monkeypatch.setattr(conformance, "prepare", lambda *a, made=conformance.prepare: runs.append(a) or made(*a))
    ((kind, told),) = conformance.run_inline("kit-good")
    assert (kind, len(runs)) == ("kit", 1)
    assert told.startswith("accuracy ")
    with pytest.raises(ZeroDivisionError):
        list(conformance.run_inline("kit-divides"))
    with pytest.raises(RuntimeError, match=r"kit: AccessDenied: .*images"):
        list(conformance.run_inline("kit-curious"))
    with pytest.raises(BenchError, match="unknown method 'kit-god'; did you mean 'kit-good'"):
        list(conformance.run_inline("kit-god"))


def test_the_kit_finds_what_hides_in_a_task(monkeypatch, zoo, server):
    monkeypatch.setattr(registry.SCENARIOS.get("kit").settings, "tiny", {"leak": True})
    world_results = {r.check: r for r in check_method("kit-good", server, zoo=zoo)}
    assert not world_results["nothing hides in the task"].ok
    assert "images" in world_results["nothing hides in the task"].detail


def test_made_up_data_can_be_learnt():
    dataset = conformance.made_up(conformance.VARIANTS[0], per_class=50)
    x, y = dataset.train.inputs.flatten(1).double(), dataset.train.labels
    means = torch.stack([x[y == c].mean(0) for c in range(4)])
    right = torch.cdist(dataset.test.inputs.flatten(1).double(), means).argmin(1) == dataset.test.labels
    assert right.double().mean() > 0.9


THIEVES = sorted(name for name in METHODS.entries if name.startswith("steals-"))


@pytest.mark.parametrize("name", THIEVES)
def test_there_is_nothing_to_steal(name, zoo, server):
    found = next(check_method(name, server, zoo=zoo))
    assert found.detail.startswith("does not apply: "), found.detail


def test_a_patched_scorer_scores_nothing(zoo, server):
    honest, patched = (next(check_method(name, server, zoo=zoo)) for name in ("kit-good", "kit-patches"))
    assert patched.detail == honest.detail


def test_what_a_method_started_ends_with_it(zoo, server):
    assert next(check_method("kit-leaves-a-child", server, zoo=zoo)).ok
    living = psutil.process_iter(["status", "cmdline"])
    assert not [p for p in living if "time.sleep(1000)" in " ".join(p.info["cmdline"] or [])]
