"""Suite -> cells and their keys, and the standard models they stand on. Nothing is trained or run here."""

from __future__ import annotations

import fnmatch
import hashlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench import registry, source
from bench.data import identify
from bench.data.spec import DataSpec
from bench.errors import SuiteError
from bench.lab import Bench, seed_of
from bench.models.spec import ModelSpec, as_data
from bench.records import SCHEMA
from bench.registry import near_miss
from bench.suite import Row, Suite, SuiteScenario


@dataclass(frozen=True)
class Cell:
    """The unit of work, of caching and of failure."""

    scenario: SuiteScenario
    row: Row
    seed: int
    bench: Bench
    specs: dict[str, ModelSpec]
    """Standard models by role, trained before the cell runs."""
    recipe: dict[str, Any]
    """Everything that can change a number, by name; `key` is its digest."""

    @property
    def key(self) -> str:
        """20 hex digits over `recipe`."""
        return hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def name(self) -> str:
        """`scenario/label/seed`: what `--only` matches and the terminal shows."""
        return f"{self.scenario.name}/{self.row.label}/{self.seed}"

    @property
    def draws(self) -> int:
        """Seed of the method's random draws: by scenario, method and seed, so that variants of a method share them."""
        return seed_of("method", self.scenario.name, self.row.method, self.seed)


@dataclass(frozen=True)
class Plan:
    """All cells of a suite in order, and what data they stand on."""

    suite: Suite
    data: DataSpec
    """The data set that is really used."""
    data_identity: dict[str, Any]
    stand_in_for: str | None
    cells: tuple[Cell, ...]

    def specs(self, cells: tuple[Cell, ...] | None = None) -> dict[str, ModelSpec]:
        """Zoo key -> spec of every standard model of these cells, what others start from first."""
        ordered: dict[str, ModelSpec] = {}
        for cell in self.cells if cells is None else cells:
            for spec in cell.specs.values():
                for one in _chain(spec):
                    ordered.setdefault(model_key(one), one)
        return ordered


def _chain(spec: ModelSpec) -> Iterator[ModelSpec]:
    if spec.init is not None:
        yield from _chain(spec.init)
    yield spec


def model_key(spec: ModelSpec) -> str:
    """The zoo's key of a standard model, wherever the zoo lies."""
    from bench.device import Device
    from bench.models.zoo import Zoo
    from bench.paths import cache_root

    return Zoo(cache_root() / "zoo", Device()).key(spec)


def plan(suite: Suite, seeds: tuple[int, ...] | None = None, only: str | None = None) -> Plan:
    """Name every cell.

    Args:
        seeds: in place of the suite's.
        only: a shell pattern, or a part, of `scenario/label/seed`.

    Raises:
        SuiteError: `only` matches no cell, or a scenario names a model that the suite does not have.
        DataError: the data set is neither here nor to be had, and no stand-in is named.
    """
    identity = identify(suite.data)
    cells = []
    for scenario in suite.scenarios.values():
        for seed in seeds or suite.seeds:
            bench = Bench(
                data=identity.spec,
                fingerprint=identity.fingerprint,
                num_classes=len(identity.classes),
                models=suite.models,
                recipe=suite.recipe,
                seed=seed,
            )
            cells += list(_cells(suite, scenario, bench))
    kept = tuple(c for c in cells if only is None or only in c.name or fnmatch.fnmatch(c.name, only))
    if not kept:
        raise SuiteError(f"--only {only!r} matches no cell{near_miss(str(only), [c.name for c in cells])}")
    shown = {"name": identity.spec.name, "variant": identity.variant, "fingerprint": identity.fingerprint}
    return Plan(suite, identity.spec, shown, identity.stand_in_for, kept)


def _cells(suite: Suite, scenario: SuiteScenario, bench: Bench) -> Iterator[Cell]:
    try:
        specs = scenario.settings.zoo(bench)
    except SuiteError as error:
        raise SuiteError(f"{suite.path} (profile {suite.profile}): [scenarios.{scenario.name}] {error}") from None
    kind = registry.SCENARIOS.get(scenario.kind)
    named = sorted(set(_strings(scenario.settings.model_dump(mode="json"))) & set(suite.models))
    shared = {
        "schema": SCHEMA,
        "profile": suite.profile,
        "scenario": scenario.name,
        "kind": scenario.kind,
        "settings": scenario.settings.model_dump(mode="json"),
        "seed": bench.seed,
        "data": as_data(bench.data),
        "fingerprint": bench.fingerprint,
        "recipe": suite.recipe.model_dump(mode="json"),
        "models": {name: as_data(suite.models[name]) for name in named},
        "precision": suite.precision,
        "zoo": {role: model_key(spec) for role, spec in sorted(specs.items())},
        "scenario_source": source.digest_of(kind.settings, Bench),
    }
    for row in scenario.rows:
        method = registry.METHODS.get(row.method)
        module = inspect.getmodule(method.function)
        own = {
            "label": row.label,
            "method": row.method,
            "params": row.params,
            "access": sorted(method.access),
            "method_source": source.digest_of(module, leave_out="bench.scenarios"),
        }
        yield Cell(scenario, row, bench.seed, bench, specs, shared | own)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
