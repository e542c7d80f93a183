"""Suite -> cells and their keys, and the standard models they stand on. Nothing is trained or run here."""

from __future__ import annotations

import fnmatch
import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import environment, registry, source, tuning
from bench.data import Identity, identify
from bench.device import resolve
from bench.errors import DataError, SuiteError
from bench.lab import Bench, seed_of
from bench.models.spec import ModelSpec, as_data
from bench.records import SCHEMA
from bench.registry import near_miss
from bench.stand_ins import on_stand_in
from bench.suite import Suite, SuiteScenario
from bench.suite_rows import Row


@dataclass(frozen=True)
class Cell:
    """The unit of work, of caching and of failure."""

    scenario: SuiteScenario
    row: Row
    seed: int
    bench: Bench
    data: Identity
    """The data set that is really used."""
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
        return _name(self.scenario, self.row, self.seed)

    @property
    def draws(self) -> int:
        """Seed of the method's random draws: by scenario, method and seed, so that variants of a method share them."""
        return seed_of("method", self.scenario.name, self.row.method, self.seed)

    @property
    def data_identity(self) -> dict[str, Any]:
        """What the record keeps of the data set that is really used: name, variant, fingerprint."""
        return {"name": self.data.spec.name, "variant": self.data.variant, "fingerprint": self.data.fingerprint}


@dataclass(frozen=True)
class StandardModel:
    """A standard model to be trained, and who knows on what."""

    spec: ModelSpec
    settings: Any | None = None
    """The scenario's settings, whose `training_data` makes the data, where those are not the suite's."""


@dataclass(frozen=True)
class Plan:
    """All cells of a suite in order. Each knows the data set that it stands on."""

    suite: Suite
    cells: tuple[Cell, ...]
    faults: dict[str, str] = field(default_factory=dict)
    """Scenario -> why it cannot be run here, its data set being missing or damaged; it has no cells."""

    def data(self) -> dict[Identity, tuple[str, ...]]:
        """The data sets that are really used -> the scenarios that stand on each, in the suite's order."""
        found: dict[Identity, list[str]] = {}
        for cell in self.cells:
            names = found.setdefault(cell.data, [])
            if cell.scenario.name not in names:
                names.append(cell.scenario.name)
        return {data: tuple(names) for data, names in found.items()}

    def models(self, cells: Sequence[Cell] | None = None) -> dict[str, StandardModel]:
        """Zoo key -> every standard model of these cells, what others start from first."""
        ordered: dict[str, StandardModel] = {}
        for cell in self.cells if cells is None else cells:
            for spec in cell.specs.values():
                for one in _chain(spec):
                    own = one.fingerprint != cell.data.fingerprint and hasattr(cell.scenario.settings, "training_data")
                    model = StandardModel(one, cell.scenario.settings if own else None)
                    ordered.setdefault(model_key(one), model)
        return ordered


def _chain(spec: ModelSpec) -> Iterator[ModelSpec]:
    if spec.init is not None:
        yield from _chain(spec.init)
    yield spec


def model_key(spec: ModelSpec) -> str:
    """The zoo's key of a standard model, wherever the zoo lies."""
    from bench.device import Device
    from bench.models.zoo import Zoo
    from bench.paths import zoo_root

    return Zoo(zoo_root("cpu"), Device()).key(spec)


def plan(suite: Suite, seeds: tuple[int, ...] | None = None, only: str | None = None, device: str = "auto") -> Plan:
    """Name every cell.

    Args:
        seeds: in place of the suite's.
        only: a shell pattern, or a part, of `scenario/label/seed`.
        device: where the cells are to be computed; it decides the kind of environment in their keys.

    Raises:
        SuiteError: `only` matches no cell, or a scenario names a model that the suite does not have.
        DataError: none of these cells can be run, since their data sets are neither here nor to be had, and no
            stand-in is named. Where some can, those that cannot are the plan's `faults`.
    """
    kind = environment.kind(resolve(device, suite.precision, suite.threads).name)
    identities: dict[str | None, Identity | DataError] = {}
    cells: list[Cell] = []
    faults: dict[str, str] = {}
    names: list[str] = []
    for scenario in suite.scenarios.values():
        for seed in seeds or suite.seeds:
            named = {_name(scenario, row, seed): row for row in scenario.rows}
            names += named
            rows = [row for name, row in named.items() if only is None or only in name or fnmatch.fnmatch(name, only)]
            if not rows:
                continue  # nor is its data set looked for
            if scenario.data not in identities:
                identities[scenario.data] = _identify(suite, scenario)
            try:
                cells += _cells(suite, scenario, rows, _had(identities[scenario.data]), seed, kind)
            except DataError as error:
                faults[scenario.name] = str(error)
    if not cells and faults:
        raise DataError("\n".join(dict.fromkeys(faults.values())))
    if not cells:
        raise SuiteError(f"--only {only!r} matches no cell{near_miss(str(only), names)}")
    return Plan(suite, tuple(cells), faults)


def _name(scenario: SuiteScenario, row: Row, seed: int) -> str:
    return f"{scenario.name}/{row.label}/{seed}"


def _identify(suite: Suite, scenario: SuiteScenario) -> Identity | DataError:
    """The data set of a scenario, or what keeps it from being had: asked once for all that stand on it."""
    try:
        return identify(suite.data_of(scenario))
    except DataError as error:
        return error if scenario.data is None else DataError(f"[datasets.{scenario.data}] {error}")


def _had(found: Identity | DataError) -> Identity:
    if isinstance(found, DataError):
        raise found
    return found


def _cells(
    suite: Suite, scenario: SuiteScenario, rows: Sequence[Row], data: Identity, seed: int, numeric: str
) -> Iterator[Cell]:
    bench = Bench(data.spec, data.fingerprint, len(data.classes), suite.models, suite.recipe, seed)
    if data.stand_in_for is not None:
        scenario = on_stand_in(scenario, data.spec.name, suite.models)
    try:
        specs = scenario.settings.zoo(bench)
    except SuiteError as error:
        message = f"{suite.path} (profile {suite.profile}): [scenarios.{scenario.name}] {error}"
        if data.stand_in_for is None:
            raise SuiteError(message) from None
        raise DataError(f"{message} (where {data.spec.name} stands in for {data.stand_in_for})") from None
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
        "threads": suite.threads,
        "environment": numeric,
        "zoo": {role: model_key(spec) for role, spec in sorted(specs.items())},
        "scenario_source": source.digest_of(kind.settings, Bench),
    }
    for row in rows:
        method = registry.METHODS.get(row.method)
        module = inspect.getmodule(method.function)
        own: dict[str, Any] = {
            "label": row.label,
            "method": row.method,
            "params": row.params,
            "access": sorted(method.access),
            "method_source": source.digest_of(module, leave_out="bench.scenarios"),
        }
        if row.search:
            own |= {
                "search": {name: _as_told(place) for name, place in row.search.items()},
                "trials": scenario.trials,
                "tuning_source": source.digest_of(tuning),
            }
        yield Cell(scenario, row, seed, bench, data, specs, shared | own)


def _as_told(place: tuning.Range | tuning.Choices) -> Any:
    return place.model_dump() if isinstance(place, tuning.Range) else list(place)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
