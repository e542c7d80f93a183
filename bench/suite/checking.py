"""`check`: a suite in all its profiles, without data and without running."""

from __future__ import annotations

from typing import Any

from bench import models
from bench.data import identity
from bench.data.catalogue import SOURCES, Source
from bench.errors import BenchError, DataError, SuiteError, near_miss
from bench.lab import Setup
from bench.metrics.metric import names
from bench.registry import SCENARIOS
from bench.schema.recipe import Recipe
from bench.schema.tables import OF_BOARD
from bench.suite import suite as suites
from bench.suite.claims import Claim
from bench.suite.faults import shown
from bench.suite.kinds import refuse_kind, refuse_models
from bench.suite.scenarios import SuiteScenario
from bench.suite.stand_ins import on_stand_in


def check(name: str) -> dict[str, Any]:
    """Validate every profile of a suite, each scenario on its own data set and on what may stand in for it.

    Raises:
        SuiteError: the first profile that is not sound, with all its faults.
    """
    path = suites.find(name)
    profiles = [_profile(suites.load(path, profile)) for profile in suites.profiles(path)]
    return {"path": str(path), "profiles": profiles}


def _profile(suite: suites.Suite) -> dict[str, Any]:
    from bench.data import DATASETS

    at = f"{suite.path} (profile {suite.profile})"
    tables = {"data": suite.data} | {f"datasets.{name}": data for name, data in suite.datasets.items()}
    for table, data in tables.items():
        for name in (data.name, data.offline):
            if name is not None and name not in DATASETS:
                raise SuiteError(f"{at}: [{table}] unknown data set {name!r}{near_miss(name, DATASETS)}")
    for name, model in suite.models.items():
        try:
            models.check(model.arch, model.options)
        except BenchError as error:
            raise SuiteError(f"{at}: [models.{name}] {error}") from None
    for scenario in suite.scenarios.values():
        data = suite.data_of(scenario)
        _refuse_large_batches(suite, scenario, f"{at}: ")
        table = "data" if scenario.data is None else f"datasets.{scenario.data}"
        try:
            other = identity.stand_in(data)
            _named(suite, scenario, SOURCES[data.name])
            if other is not None:
                _named(suite, on_stand_in(scenario, other.name, suite.models), other)
        except DataError as error:
            said = str(error).removeprefix("[data] ")
            raise SuiteError(f"{at}: [{table}] {said}") from None
    for claim in suite.claims:
        _refuse_unknown_metric(claim, suite.scenarios[claim.scenario], f"{at}: claim {claim.id!r}")
    rows = sum(len(s.rows) for s in suite.scenarios.values())
    return {
        "profile": suite.profile,
        "scenarios": len(suite.scenarios),
        "rows": rows,
        "seeds": len(suite.seeds),
        "cells": rows * len(suite.seeds),
        "claims": len(suite.claims),
    }


def _named(suite: suites.Suite, scenario: suites.SuiteScenario, source: Source) -> None:
    """Name the standard models of a scenario on this data set, its own or the one that may stand in for it."""
    data = suite.data_of(scenario)
    identity.sized(source, data.size)
    on = data.model_copy(update={"name": source.name, "offline": None})
    setup = Setup(on, "0" * 16, len(source.classes), suite.models, suite.recipe, suite.seeds[0])
    try:
        refuse_kind(scenario, source)
        refuse_models(scenario.settings.zoo(setup).values(), source)
    except SuiteError as error:
        told = f" (where {source.name} stands in for {data.name})" if source.name != data.name else ""
        where = f"{suite.path} (profile {suite.profile}): [scenarios.{scenario.name}]"
        raise SuiteError(f"{where} {error}{told}") from None


def _refuse_large_batches(suite: suites.Suite, scenario: suites.SuiteScenario, at: str) -> None:
    """A batch size that a suite asks for and its data set cannot fill is a slip of one of the two numbers."""
    rows = suite.data_of(scenario).train
    if rows is None:
        return
    set_here = scenario.settings.model_fields_set
    own = {key: value for key, value in scenario.settings if key in set_here and isinstance(value, Recipe)}
    asked = {"recipe": suite.recipe} | {f"scenarios.{scenario.name}.{key}": recipe for key, recipe in own.items()}
    asked |= {
        f"models.{name}.recipe": m.recipe for name, m in suite.models.items() if m.recipe and _uses(scenario, name)
    }
    for table, recipe in asked.items():
        if "batch_size" in recipe.model_fields_set and recipe.batch_size > rows:
            raise SuiteError(
                f"{at}[{table}] batch_size = {recipe.batch_size} is more than the {rows} training rows that scenario "
                f"{scenario.name} has in all"
            )


def _uses(scenario: suites.SuiteScenario, model: str) -> bool:
    """Whether a setting of the scenario names the model."""
    return any(value == model for _, value in scenario.settings)


def _refuse_unknown_metric(claim: Claim, scenario: SuiteScenario, at: str) -> None:
    """A claim may be about what the kind of its scenario declares, and so may what it requires."""
    entry = SCENARIOS.get(scenario.kind)
    required = claim.requires.metric if claim.requires is not None else None
    for key, name in (("metric", claim.metric), ("requires.metric", required)):
        if name is not None and not entry.declares(name):
            hint = near_miss(name, names(entry.metrics, entry.costs))
            raise SuiteError(f"{at}: {key}: unknown metric {shown(name)} of {scenario.kind} scenarios{hint}")
    if claim.effort is None or entry.declares(claim.effort.of):
        return
    row = next(row for row in scenario.rows if row.label == (claim.effort.row or claim.better))
    settings = [OF_BOARD + name for name in type(scenario.settings).model_fields]
    numbers = [*names(entry.metrics, entry.costs), *row.params, *settings]
    if claim.effort.of not in numbers:
        raise SuiteError(
            f"{at}: effort.of: {shown(claim.effort.of)} is no metric or cost of {scenario.kind} scenarios, no "
            f"parameter of {row.label} and no setting of {scenario.name}{near_miss(claim.effort.of, numbers)}"
        )
