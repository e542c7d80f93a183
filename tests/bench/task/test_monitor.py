"""The monitor: what it sees, when, at whose cost, and that nothing of it comes back to a method."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BadResult
from bench.task.meter import Costs, counted, metered
from bench.task.monitor import CHECKS, LOOKS, SHOWN, SYNTHESIS, Observations

NOBODY = nn.Identity()
X = torch.zeros(2, 1, 4, 4)


def trace(accuracies: list[float]) -> dict[str, float]:
    """Metrics of a trace that is given at equal steps of the budget."""
    given = iter(accuracies)
    seen = Observations(lambda _: next(given))
    monitor = seen.monitor()
    for i in range(1, len(accuracies) + 1):
        monitor.look(NOBODY, i / len(accuracies), X)
    return seen.metrics()


def test_metrics_of_a_curve_made_by_hand():
    """The second half is 0.5, 0.9, 0.6, 0.8: mean 0.7, squares 0.04, 0.04, 0.01, 0.01, deepest fall from 0.9 to 0.6."""
    metrics = trace([0.1, 0.95, 0.2, 0.3, 0.5, 0.9, 0.6, 0.8])
    assert metrics == pytest.approx(
        {"accuracy_best": 0.95, "trace_mean": 0.7, "trace_std": 0.025**0.5, "worst_drop": 0.3}
    )


def test_a_curve_that_only_rises_has_no_drop():
    assert trace([0.1, 0.2, 0.3, 0.4])["worst_drop"] == 0


def test_a_student_looked_at_too_early_only_is_judged_by_its_last_look():
    seen = Observations(lambda _: 0.25)
    seen.monitor().look(NOBODY, 0.3, X)
    assert seen.metrics() == {"accuracy_best": 0.25, "trace_mean": 0.25, "trace_std": 0, "worst_drop": 0}


def test_a_student_never_looked_at_has_no_trace():
    seen = Observations(lambda _: 1.0)
    seen.monitor()
    assert seen.metrics() == seen.curves() == seen.pictures() == seen.costs({"seconds": 1.0}) == {}


@pytest.mark.parametrize("updates", [20, 1000, 1013])
def test_looks_are_at_every_twentieth(updates):
    seen = Observations(lambda _: 0.0)
    monitor = seen.monitor()
    for done in range(1, updates + 1):
        if monitor.due(done / updates):
            monitor.look(NOBODY, done / updates, X)
    shares = [share for share, _ in seen.accuracy]
    assert shares == pytest.approx([-(-i * updates // CHECKS) / updates for i in range(1, CHECKS + 1)], abs=1e-6)
    assert shares[-1] == 1


def test_a_budget_of_few_updates_is_looked_at_after_each_and_never_twice():
    monitor = Observations(lambda _: 0.0).monitor()
    assert not monitor.due(0.0)
    assert monitor.due(1 / 3)
    monitor.look(NOBODY, 1 / 3, X)  # six twentieths at once
    assert not monitor.due(1 / 3)
    assert monitor.due(2 / 3)


def test_a_look_costs_nobody_anything(clock):
    layer, costs = nn.Linear(3, 4), Costs()

    def judge(_: object) -> float:
        clock.passes(2)
        layer(torch.ones(5, 3))
        return 0.5

    monitor = Observations(judge).monitor()
    with counted(costs, {}), metered(costs, torch.device("cpu")):
        layer(torch.ones(1, 3))
        monitor.look(NOBODY, 1.0, X)
    assert costs.seconds == 0
    assert costs.flops == pytest.approx(3 * 2 * 12, abs=2 * 12)  # of one row, with its backward pass or without


def test_pictures_are_few_valid_and_of_eight_bits():
    seen = Observations(lambda _: 0.0)
    images = torch.linspace(-1, 2, SHOWN + 5).view(-1, 1, 1, 1).requires_grad_()
    seen.monitor().look(NOBODY, 1.0, images)
    kept = seen.pictures()["images"]
    assert kept.shape == (SHOWN, 1, 1, 1)
    assert kept.dtype == torch.uint8
    assert kept.flatten()[0] == 0
    assert torch.equal(kept, images[:SHOWN].detach().clamp(0, 1).mul(255).round().byte())


def test_seconds_of_distilling_and_the_most_images_kept(clock):
    seen = Observations(lambda _: 0.0)
    monitor = seen.monitor()
    for count in (10, 30, 20):
        monitor.kept(count)
    for _ in range(2):
        with monitor.distilling():
            clock.passes(0.25)
    clock.passes(1)
    costs = seen.costs({"seconds": 1.5})
    assert costs == {"synthesis_seconds": 1.0, "distillation_seconds": 0.5, "images_kept": 30}
    assert seen.costs({"seconds": 0.4})["synthesis_seconds"] == 0.0, "never less than no time"


def test_seconds_of_an_image_are_those_of_images_that_are_kept():
    [each] = [cost for cost in SYNTHESIS if cost.derived]
    assert each.derived({"synthesis_seconds": 3.0, "images_kept": 60}) == 0.05
    assert each.derived({"synthesis_seconds": 3.0, "images_kept": 0}) is None
    assert each.derived({}) is None


def test_a_second_run_starts_on_a_clean_sheet():
    seen = Observations(lambda _: 0.7)
    first = seen.monitor()
    first.look(NOBODY, 0.5, X)
    first.kept(5)
    second = seen.monitor()
    assert seen.metrics() == {}
    assert seen.images_kept == 0
    assert second.due(0.05)


def reachable(thing: Any, seen: dict[int, Any]) -> dict[int, Any]:
    """Whatever can be had of an object by its attributes and by what containers hold."""
    if id(thing) in seen or isinstance(thing, ModuleType | type | Tensor):
        return seen
    seen[id(thing)] = thing
    inside = list(getattr(thing, "__dict__", {}).values())
    inside += [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
    if isinstance(thing, dict):
        inside += [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inside += list(thing)
    for cell in getattr(thing, "__closure__", None) or ():
        inside.append(cell.cell_contents)
    for item in inside:
        reachable(item, seen)
    return seen


def test_no_accuracy_can_be_reached_from_a_monitor():
    seen = Observations(lambda _: 0.123456)
    monitor = seen.monitor()
    assert monitor.look(NOBODY, 1.0, X) is None
    things = reachable(monitor, {}).values()
    assert not any(isinstance(thing, Observations) for thing in things)
    assert 0.123456 not in [thing for thing in things if isinstance(thing, float)]
    assert any(thing is seen for thing in reachable({"judge": [seen]}, {}).values())  # the walk does find such things
    assert [name for name in dir(monitor) if not name.startswith("_")] == ["distilling", "due", "kept", "look"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_writes_into_the_same_record(copied):
    seen = Observations(lambda _: 0.5)
    monitor = seen.monitor()
    copied(monitor).look(NOBODY, 0.5, X)
    monitor.look(NOBODY, 1.0, X)
    assert len(seen.accuracy) == 2


@pytest.mark.parametrize("spent", [-0.1, 1.5, float("nan"), "all", None])
def test_a_look_is_at_a_share_of_the_budget(spent):
    seen = Observations(lambda _: 0.5)
    seen.monitor()
    with pytest.raises(BadResult, match=r"at a share of the budget in \[0, 1\]"):
        seen.looked({}, spent, X.byte())
    assert seen.accuracy == []


@pytest.mark.parametrize("images", [X, X[0].byte(), torch.zeros(SHOWN + 1, 1, 2, 2, dtype=torch.uint8), "images", None])
def test_a_look_shows_a_few_images_of_eight_bits(images):
    with pytest.raises(BadResult, match="a look shows up to 20 images"):
        Observations(lambda _: 0.5).looked({}, 0.5, images)


def test_nobody_is_looked_at_without_end():
    seen = Observations(lambda _: 0.5)
    with pytest.raises(BadResult, match=f"at most {LOOKS} times"):
        for _ in range(LOOKS + 1):
            seen.looked({}, 0.5, X.byte())
    assert len(seen.accuracy) == LOOKS
