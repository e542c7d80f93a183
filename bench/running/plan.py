"""Suite -> cells and their keys, and the standard models they stand on. Nothing is trained or run here."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench import environment, registry
from bench.data import Identity, identify
from bench.data.catalogue import SOURCES
from bench.data.spec import DataSpec
from bench.device import resolve
from bench.digests.walk import Digest
from bench.draws import seed_of
from bench.errors import DataError, SuiteError, near_miss
from bench.lab import Setup
from bench.models.keys import asked, place
from bench.models.spec import ModelSpec, as_data
from bench.records.record import Record, key_of
from bench.running.cell_code import digests
from bench.schema.search import Choices, Range
from bench.suite.kinds import refuse_kind, refuse_models
from bench.suite.rows import SuiteRow
from bench.suite.scenarios import SuiteScenario
from bench.suite.stand_ins import on_stand_in
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Cell:
    """The unit of work, of caching and of failure."""

    scenario: SuiteScenario
    row: SuiteRow
    seed: int
    setup: Setup
    data: Identity
    """The data set that is really used."""
    specs: dict[str, ModelSpec]
    """Standard models by role, trained before the cell runs."""
    access: frozenset[str]
    """What its method declares."""
    asked: dict[str, Any]
    """Everything that is asked of the cell, by name: settings, parameters, draws, data, models, environment."""

    @cached_property
    def key(self) -> str:
        """20 hex digits over `asked`."""
        return key_of(self.asked)

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

    @cached_property
    def digests(self) -> dict[str, Digest]:
        """The code that it stands on, as its files are when they are first asked for; it travels to the worker."""
        kind, method = registry.SCENARIOS.get(self.scenario.kind), registry.METHODS.get(self.row.method)
        archs = [model["arch"] for model in self.asked["models"].values()]
        return digests(kind, method, self.specs.values(), archs, bool(self.row.search))


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

    def replaced(self) -> Iterator[tuple[str, str, str, str, str]]:
        """(scenario, setting, data set that it names, data set in its place, the stand-in) of what stand-ins changed.

        `bench.suite.stand_ins` says why.
        """
        for scenario, data in {cell.scenario.name: (cell.scenario, cell.data) for cell in self.cells}.values():
            asked = self.suite.scenarios[scenario.name].settings
            for name, value in scenario.settings:
                if value != getattr(asked, name):
                    yield scenario.name, name, getattr(asked, name), value, data.spec.name

    def models(self, cells: Sequence[Cell] | None = None) -> dict[str, StandardModel]:
        """Zoo key -> every standard model of these cells, what others start from first."""
        ordered: dict[str, StandardModel] = {}
        of_seeds = {id(cell.specs): cell for cell in (self.cells if cells is None else cells)}
        for cell in of_seeds.values():  # the rows of a scenario and seed share one table of specs
            for spec in cell.specs.values():
                for one in _chain(spec):
                    own = one.fingerprint != cell.data.fingerprint and hasattr(cell.scenario.settings, "training_data")
                    if own and not one.data_code:
                        raise SuiteError(
                            f"[scenarios.{cell.scenario.name}] kind {cell.scenario.kind} makes the data that "
                            f"{one.describe()} is trained on, and does not say by what code: give its spec "
                            "data_code = bench.digests.walk.of(THE_FUNCTION), so that other code trains another model"
                        )
                    model = StandardModel(one, cell.scenario.settings if own else None)
                    ordered.setdefault(place(one), model)
        return ordered


def _chain(spec: ModelSpec) -> Iterator[ModelSpec]:
    if spec.init is not None:
        yield from _chain(spec.init)
    yield spec


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


def _name(scenario: SuiteScenario, row: SuiteRow, seed: int) -> str:
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
    suite: Suite, scenario: SuiteScenario, rows: Sequence[SuiteRow], data: Identity, seed: int, numeric: str
) -> Iterator[Cell]:
    setup = Setup(data.spec, data.fingerprint, len(data.classes), suite.models, suite.recipe, seed)
    if data.stand_in_for is not None:
        scenario = on_stand_in(scenario, data.spec.name, suite.models)
    try:
        refuse_kind(scenario, SOURCES[data.spec.name])
        specs = scenario.settings.zoo(setup)
        refuse_models(specs.values(), SOURCES[data.spec.name])
    except SuiteError as error:
        message = f"{suite.path} (profile {suite.profile}): [scenarios.{scenario.name}] {error}"
        if data.stand_in_for is None:
            raise SuiteError(message) from None
        raise DataError(f"{message} (where {data.spec.name} stands in for {data.stand_in_for})") from None
    named = sorted(set(_strings(scenario.settings.model_dump(mode="json"))) & set(suite.models))
    shared = {
        "scenario": scenario.name,
        "kind": scenario.kind,
        "settings": scenario.settings.model_dump(mode="json"),
        "seed": setup.seed,
        "data": as_data(setup.data),
        "fingerprint": setup.fingerprint,
        "recipe": suite.recipe.model_dump(mode="json"),
        "models": {name: as_data(suite.models[name]) for name in named},
        "zoo": {role: asked(spec) for role, spec in sorted(specs.items())},
        "precision": suite.precision,
        "threads": suite.threads,
        "environment": numeric,
    }
    for row in rows:
        access = registry.METHODS.get(row.method).access
        own: dict[str, Any] = {"method": row.method, "params": row.params}
        if row.search:
            searched = {name: _as_told(where) for name, where in row.search.items()}
            own |= {"search": searched, "trials": scenario.trials}
        yield Cell(scenario, row, seed, setup, data, specs, access, shared | own)


def asked_of(suite: Suite, records: Iterable[Record]) -> dict[tuple[str, str, int], list[Cell]]:
    """(scenario, label, seed) -> the cells that the suite asks for there, on data and environments that records are of.

    Neither data nor network is looked for: what a data set is stands in the records.
    """
    read = list(records)
    numerics = sorted({record.environment for record in read})
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for scenario in suite.scenarios.values():
        own = [record for record in read if record.scenario == scenario.name]
        for data in _identities(suite.data_of(scenario), own):
            for seed in sorted({*suite.seeds, *(record.seed for record in own)}):
                for numeric in numerics:
                    try:
                        cells = list(_cells(suite, scenario, scenario.rows, data, seed, numeric))
                    except (SuiteError, DataError):
                        continue  # of these data it cannot be asked
                    for cell in cells:
                        found.setdefault((scenario.name, cell.row.label, seed), []).append(cell)
    return found


def keys_asked(suite: Suite, records: Iterable[Record]) -> set[str]:
    """The keys of `asked_of`."""
    return {cell.key for cells in asked_of(suite, records).values() for cell in cells}


def _identities(spec: DataSpec, records: Iterable[Record]) -> list[Identity]:
    """What the records say of the data set that a scenario asks for, and of the one that it lets stand in."""
    found: dict[str, Identity] = {}
    for record in records:
        told, name = record.asked["data"], record.data.get("name")
        if name not in (spec.name, spec.offline) or name not in SOURCES:
            continue
        used = DataSpec.model_validate(told)
        if name == spec.name and used != spec.model_copy(update={"offline": None}):
            continue  # other sizes than the suite asks for
        source, missing = SOURCES[name], spec.name if name != spec.name else None
        fingerprint, variant = record.asked["fingerprint"], str(record.data.get("variant"))
        identity = Identity(used, variant, fingerprint, source.classes, source.shape, missing)
        found.setdefault(f"{fingerprint} {used.model_dump_json()}", identity)
    return list(found.values())


def _as_told(place: Range | Choices) -> Any:
    return place.model_dump() if isinstance(place, Range) else list(place)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
