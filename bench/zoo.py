"""Standard models for use elsewhere: `bench.zoo.load("digits", "squeeze", "teacher")` gives a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import registry
from bench.device import resolve
from bench.errors import DataError, SuiteError, ZooError, near_miss
from bench.paths import zoo_root
from bench.running import arguments
from bench.running.plan import Cell, Plan, plan
from bench.suite import suite as suites

if TYPE_CHECKING:
    from torch import nn

    from bench.models.zoo import Zoo


def load(
    suite: str | Path,
    scenario: str,
    role: str,
    seed: int = 0,
    *,
    profile: str | None = None,
    device: str = "auto",
    plugins: Sequence[str | Path] = (),
) -> nn.Module:
    """A standard model of a suite: the very network that the suite's methods are given.

        model = bench.zoo.load("cifar", "squeeze", "teacher", seed=1)
        logits = model(images)          # float32 [N, 3, 32, 32] in [0, 1] -> float32 [N, 10]

    A model of images normalises inside: its first layer holds mean and deviation of its training data, so it takes
    pixels in [0, 1] as they are. A text classifier takes int64 tokens [N, L], a network of tables float32 [N, D].

    A model that the cache lacks is trained first, in a process of its own, with a line on standard error. That takes
    from seconds to minutes; the next call only reads it. `bench zoo SUITE` trains all of them ahead.

    Args:
        suite: path of a suite, or the name of one that ships.
        scenario: name of one of its scenarios.
        role: what the model is there, as `roles` lists them: "teacher", "parents[0]" and so on.
        seed: any whole number from 0 on; the suite need not list it.
        profile: smoke, cpu or gpu; by default what suits this machine.
        device: where it is trained if need be, as that of `bench.run`.
        plugins: files with scenarios of your own.

    Returns:
        A fresh copy on the CPU, in eval mode.

    Raises:
        SuiteError: there is no such suite, profile, scenario or role; the message names the nearest.
        DataError: the data of the scenario are neither here nor to be had.
        ZooError: the model can be neither loaded nor trained.
    """
    from bench.data.loading import load as load_data

    planned, cell = _cell(suite, scenario, seed, profile, device, plugins)
    if role not in cell.specs:
        near = near_miss(str(role), cell.specs)
        raise SuiteError(f"scenario {scenario!r} of {planned.suite.name} has no model {role!r}{near}")
    spec, models = cell.specs[role], the_zoo(device)
    if not models.has(spec):
        _train(replace(planned, cells=(replace(cell, specs={role: spec}),)), role, device, plugins)
    return models.load(spec, load_data(cell.data.spec))


def roles(
    suite: str | Path,
    scenario: str,
    *,
    profile: str | None = None,
    plugins: Sequence[str | Path] = (),
) -> dict[str, str]:
    """The standard models of a scenario: role -> what it is, such as "resnet8 teacher seed 0".

    Arguments and errors are those of `load`.
    """
    _, cell = _cell(suite, scenario, 0, profile, "auto", plugins)
    return {role: spec.describe() for role, spec in cell.specs.items()}


def the_zoo(device: str) -> Zoo:
    """The zoo of a device of this machine: each kind of environment has its own."""
    from bench.models.zoo import Zoo

    where = resolve(device, "fp32", 1)
    return Zoo(zoo_root(where.name), where)


def _cell(
    suite: str | Path,
    scenario: str,
    seed: int,
    profile: str | None,
    device: str,
    plugins: Sequence[str | Path],
) -> tuple[Plan, Cell]:
    """A cell of the scenario at a seed: all its rows stand on the same standard models."""
    registry.load_plugins(arguments.plugins(plugins))
    loaded = suites.load(arguments.path(suite, "suite"), arguments.text(profile, "profile"))
    if scenario not in loaded.scenarios:
        raise SuiteError(f"{loaded.path} has no scenario {scenario!r}{near_miss(str(scenario), loaded.scenarios)}")
    planned = plan(loaded, arguments.seeds([seed]), f"{scenario}/*", arguments.device(device))
    cells = [cell for cell in planned.cells if cell.scenario.name == scenario]
    if not cells:
        raise DataError(planned.faults[scenario])
    return planned, cells[0]


def _train(planned: Plan, role: str, device: str, plugins: Sequence[str | Path]) -> None:
    from rich.console import Console

    from bench.running.progress import Terminal
    from bench.running.runner import train_standard_models

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    (cell,) = planned.cells
    what = cell.specs[role].describe()
    console.print(f"training {what} of {planned.suite.name} ({planned.suite.profile}), once", markup=False)
    files = arguments.plugins(plugins)
    broken = train_standard_models(planned, jobs=1, device=device, plugins=files, report=Terminal(console, 1))
    if broken:
        raise ZooError("\n".join(broken.values()))
