"""Every data-free method, whoever wrote it, keeps the budget it is given: of updates to the last, of seconds nearly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench import conformance, registry
from bench.data import noise_images
from bench.registry import METHODS, SCENARIOS
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.task.budget import Budget
from bench.task.monitor import CHECKS, Observations
from methods.datafree.student import StudentTraining

registry.discover()
KINDS = {name for name, kind in SCENARIOS.entries.items() if issubclass(kind.task, DataFreeTask)}
NAMES = sorted(name for name, method in METHODS.entries.items() if KINDS & set(method.scenarios))
WITHOUT = {"teacher", "scratch"}
"""References that do not train the student by `StudentTraining`: the one trains none, the other on labels, by the
suite's recipe."""

UPDATES = 12
STEP = 1 / 64
"""Seconds that pass on the clock of these tests with every step of any optimiser, the student's or a generator's."""
LOOK = 1 / 4096
"""Seconds that pass with every look at the clock, so that a loop that waits for it ends."""
SECONDS = 32 * STEP
LATEST = SECONDS + 8 * STEP
"""Seconds after which a method must have stopped: it may end the round of synthesis that it is in."""


@dataclass
class Seen:
    """What a run of a method did."""

    monitor: Observations
    updates: int = 0
    trainings: list[StudentTraining] = field(default_factory=list)
    seconds: float = 0.0


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Callable[[str], conformance.World]:
    """A prepared scenario of the conformance kit: made-up images of 8x8, and its teacher, trained once a kind.

    Noise is the unlabelled images from elsewhere: drawing those of the suites takes half a minute.
    """
    made: dict[str, conformance.World] = {}

    def prepared(kind: str) -> conformance.World:
        if kind not in made:
            folder: Path = tmp_path_factory.mktemp(kind)
            made[kind] = place = conformance.prepare(SCENARIOS.get(kind), conformance.VARIANTS[0], folder)
            place.situation.providers["proxy"] = lambda: noise_images(64, (1, 8, 8), torch.Generator().manual_seed(0))
        return made[kind]

    return prepared


@pytest.fixture
def working(clock, monkeypatch):
    """A clock that goes by the work done instead of by the machine, which may be busy."""
    read = time.process_time

    def look() -> float:
        clock.passes(LOOK)
        return read()

    monkeypatch.setattr(time, "process_time", look)
    hook = register_optimizer_step_post_hook(lambda *_: clock.passes(STEP))
    yield clock
    hook.remove()


@pytest.fixture
def run(world, working, monkeypatch) -> Callable[..., Seen]:
    """`run(name, steps, seconds)`: the method on the data of the kit, with its cap on whole hyperparameters."""

    def play(name: str, steps: int, seconds: float | None = None) -> Seen:
        method = METHODS.get(name)
        place = world(next(kind for kind in method.scenarios if kind in KINDS))
        seen = Seen(place.situation.judge["seen"])
        begin = StudentTraining.__init__

        def noted(training: StudentTraining, *args, **options) -> None:
            begin(training, *args, **options)
            seen.trainings.append(training)

            def count(*_) -> None:
                seen.updates += 1

            training._optimizer.register_step_post_hook(count)

        monkeypatch.setattr(StudentTraining, "__init__", noted)
        task = conformance.task_for(method, place)
        task.__dict__["budget"] = Budget(steps, seconds)
        torch.manual_seed(0)
        start = working.processor
        method.function(task, **conformance.capped(method))
        seen.seconds = working.processor - start
        return seen

    return play


def test_the_list_is_of_this_family():
    assert set(NAMES) >= WITHOUT | {"kd-noise", "dafl", "adv-bn", "deepinversion", "lra-dfkd"}


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_of_updates_is_kept_to_the_last(run, name):
    seen = run(name, UPDATES)
    if name in WITHOUT:
        assert seen.updates == 0
        return
    assert seen.updates == UPDATES
    assert [training.done for training in seen.trainings] == [UPDATES]
    shares = [spent for spent, _ in seen.monitor.accuracy]
    assert shares == pytest.approx([(i + 1) / UPDATES for i in range(UPDATES)], abs=1e-5)  # fewer than 20: each is seen
    assert seen.monitor.images is not None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT])
def test_a_budget_of_seconds_ends_a_run(run, name):
    """The budget's number of updates is far out of reach and must not be what a method goes by."""
    seen = run(name, 5000, SECONDS)
    assert 1 <= seen.updates < 5000
    assert seen.seconds < LATEST
    shares = [spent for spent, _ in seen.monitor.accuracy]
    assert 1 <= len(shares) <= CHECKS
    assert shares == sorted(shares)
