"""The kit passes every method of ours, and catches the faults that it is there for."""

import copy
from typing import Annotated, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench import Access, Task, conformance, method, registry, scenario
from bench.conformance import check_method
from bench.errors import BenchError
from bench.registry import METHODS
from bench.scenarios import Score, Situation
from bench.scenarios.judging import CLASSIFIER, judge_classifier, logits
from bench.schema.settings import Settings

registry.discover()
OURS = sorted((name, kind) for name, m in METHODS.entries.items() for kind in m.scenarios if m.family != "toy")


@pytest.fixture
def zoo(common_cache):
    """Standard models of the kit, which are trained once for all methods."""
    return common_cache / "kit"


@pytest.mark.parametrize(("name", "kind"), OURS)
def test_every_method_conforms(name, kind, zoo):
    results = list(check_method(name, only=kind, zoo=zoo))
    assert results
    assert not [f"{r.check}: {r.detail}" for r in results if not r.ok]


class KitTask(Task):
    net: Annotated[nn.Module, Access("weights")]
    images: Annotated[Tensor, Access("labels")]


@scenario(kind="kit", task=KitTask, metrics=CLASSIFIER, lower="kit-good", upper="kit-good")
class Kit(Settings):
    """A trained network."""

    tiny: ClassVar[dict[str, object]] = {}

    def zoo(self, setup):
        return {"net": setup.spec("net", "net")}

    def prepare(self, lab):
        net = lab.model(self.zoo(lab.setup)["net"])
        providers = {"net": lambda: copy.deepcopy(net), "images": lambda: lab.dataset.train.inputs}
        if self.leak:
            providers["progress"] = lambda: lab.dataset.train.inputs.__getitem__
        return Situation(providers, {"test": lab.dataset.test})

    leak: bool = False

    def score(self, situation, result, lab):
        test = situation.judge["test"]
        metrics, correct = judge_classifier(logits(result, test.inputs, lab.setup.num_classes), test)
        return Score(metrics, {"test": correct})


@method(family="toy", scenario="kit", access={"weights"})
def kit_good(task):
    """Returns what it was given."""
    return task.net


@method(family="toy", scenario="kit", access={"weights"})
def kit_random(task):
    """Draws from a source that nobody seeds."""
    noise = torch.randn(1, generator=torch.Generator().manual_seed(torch.seed())).item()
    return lambda x: task.net(x) * (1 + noise)


@method(family="toy", scenario="kit", access={"weights"})
def kit_writes(task):
    """Changes what it was given."""
    nn.init.zeros_(task.net.head.weight)
    return task.net


@method(family="toy", scenario="kit", access={"weights", "labels"})
def kit_greedy(task):
    """Declares labels for nothing."""
    return task.net


@method(family="toy", scenario="kit", access={"weights"})
def kit_usual(task):
    """Works for four classes only."""
    return lambda x: task.net(x)[:, :4]


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
def test_the_kit_catches(name, failing, zoo):
    assert {r.check for r in check_method(name, zoo=zoo) if not r.ok} == failing


@method(family="toy", scenario="kit", access={"weights"})
def kit_curious(task):
    """Touches images that it did not declare."""
    return task.images


@method(family="toy", scenario="kit", access={"weights"})
def kit_divides(task):
    """Divides by zero."""
    return 1 / 0


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


def test_the_kit_finds_what_hides_in_a_task(monkeypatch, zoo):
    monkeypatch.setattr(Kit, "tiny", {"leak": True})
    world_results = {r.check: r for r in check_method("kit-good", zoo=zoo)}
    assert not world_results["nothing hides in the task"].ok
    assert "images" in world_results["nothing hides in the task"].detail


def test_made_up_data_can_be_learnt():
    dataset = conformance.made_up(conformance.VARIANTS[0], per_class=50)
    x, y = dataset.train.inputs.flatten(1).double(), dataset.train.labels
    means = torch.stack([x[y == c].mean(0) for c in range(4)])
    right = torch.cdist(dataset.test.inputs.flatten(1).double(), means).argmin(1) == dataset.test.labels
    assert right.double().mean() > 0.9
