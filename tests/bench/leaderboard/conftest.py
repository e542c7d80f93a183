"""A suite of two made-up kinds, and records for it written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.data.spec import DataSpec
from bench.environment import PINNED
from bench.leaderboard import building
from bench.metrics.metric import Metric
from bench.records.record import Record, key_of, pack
from bench.registry import Method, Scenario
from bench.scenarios.fuse import scenario as fuse
from bench.scenarios.unlearn import measures
from bench.schema.recipe import Recipe
from bench.suite.claims import Claim
from bench.suite.rows import SuiteRow
from bench.suite.scenarios import SuiteScenario
from bench.suite.suite import Suite
from bench.task import monitor


class Join:
    """Two networks: make one of them."""


class Forget:
    """A network that knows too much: make it forget."""


def gram(task: object) -> object:
    """Merging by Gram matrices."""
    return task


JOIN = Scenario(
    kind="join",
    settings=Join,
    task=object,
    headline="accuracy",
    lower="average",
    upper="ensemble",
    references=(("parent-0", "parent", {"index": 0}),),
    metrics=(*fuse.METRICS, *monitor.TRACE, Metric("attack_success", "%", higher_is_better=False)),
    own_costs=monitor.SYNTHESIS,
)
FORGET = Scenario(
    kind="forget",
    settings=Forget,
    task=object,
    headline="average_gap",
    lower="original",
    upper="retrain",
    references=("mask",),
    metrics=measures.METRICS,
    own_costs=measures.COSTS,
)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (JOIN, FORGET):
        monkeypatch.setitem(registry.SCENARIOS.entries, kind.kind, kind)
    method = Method("gram", "merging", ("join",), frozenset({"grams"}), gram, "arXiv:2212.09849", 2023)
    monkeypatch.setattr(registry.METHODS, "entries", {"gram": method})  # whatever other tests have registered


def claim(better: str, worse: str, **more: Any) -> Claim:
    """A claim about the scenario `skewed`, unless told otherwise."""
    fields = {"id": f"{better}-{worse}", "paper": "arXiv:2212.09849", "says": f"{better} beats {worse}"}
    return Claim(**{**fields, "scenario": "skewed", "better": better, "worse": worse} | more)


def make_suite(claims: tuple[Claim, ...] = (), data: str = "digits") -> Suite:
    """Scenarios `skewed` (kind join) and `class` (kind forget)."""
    join = [("average", "average", {}), ("parent-0", "parent", {"index": 0}), ("gram", "gram", {"share": 0.9})]
    join += [
        ("transport", "transport", {}),
        ("transport (acts)", "transport", {"acts": True}),
        ("ensemble",) * 2 + ({},),
    ]
    forget = [(name, name, {}) for name in ("original", "mask", "scrub", "laf", "retrain")]
    scenarios = {
        "skewed": SuiteScenario(
            "skewed", "join", "Label skew", None, tuple(SuiteRow(*r) for r in join), "average", "ensemble", 60.0
        ),
        "class": SuiteScenario(
            "class", "forget", "", None, tuple(SuiteRow(*r) for r in forget), "original", "retrain", 60.0
        ),
    }
    return Suite(
        name="toy",
        path=Path("suites/toy.toml"),
        profile="cpu",
        title="Joining and forgetting",
        seeds=(0, 1, 2),
        precision="fp32",
        threads=1,
        data=DataSpec(name=data, offline="digits"),
        recipe=Recipe(),
        models={},
        scenarios=scenarios,
        claims=claims,
    )


@pytest.fixture
def suite() -> Suite:
    return make_suite()


@pytest.fixture
def suite_of() -> Callable[..., Suite]:
    """`suite_of(claims, data="digits")`."""
    return make_suite


@pytest.fixture
def make_claim() -> Callable[..., Claim]:
    """`make_claim(better, worse, ...)`."""
    return claim


def asked(row: SuiteRow, scenario: SuiteScenario, seed: int, data: dict[str, Any], environment: str) -> dict[str, Any]:
    """What is asked of a cell, as far as boards look at it."""
    told = {"scenario": scenario.name, "kind": scenario.kind, "method": row.method, "params": row.params, "seed": seed}
    seconds = getattr(scenario.settings, "seconds", None)
    told |= {"settings": {"seconds": seconds} if seconds else {}}
    told |= {"data": {"name": data["name"]}, "fingerprint": data["fingerprint"]}
    told |= {"zoo": {"parent": f"z{seed}"}, "environment": environment}
    if row.search:
        places = {k: list(p) if isinstance(p, tuple) else p.model_dump() for k, p in row.search.items()}
        told |= {"search": places, "trials": scenario.trials}
    return told


@dataclass(frozen=True)
class AskedCell:
    """A cell of the made-up suite: its key, and code that never moves."""

    asked: dict[str, Any]

    @property
    def key(self) -> str:
        return key_of(self.asked)

    @property
    def digests(self) -> dict[str, Any]:
        return {}


def asked_of(suite: Suite, records: Iterable[Record]) -> dict[tuple[str, str, int], list[AskedCell]]:
    """As `bench.running.plan.asked_of`, for kinds that have no settings."""
    read = list(records)
    seeds = sorted({*suite.seeds, *(r.seed for r in read)})
    found: dict[tuple[str, str, int], list[AskedCell]] = {}
    for scenario in suite.scenarios.values():
        spec = suite.data_of(scenario)
        own = [r for r in read if r.scenario == scenario.name and r.data["name"] in (spec.name, spec.offline)]
        told = {(r.asked["data"]["name"], r.asked["fingerprint"], r.environment) for r in own}
        for row in scenario.rows:
            for seed in seeds:
                found[scenario.name, row.label, seed] = [
                    AskedCell(asked(row, scenario, seed, {"name": name, "fingerprint": content}, environment))
                    for name, content, environment in sorted(told)
                ]
    return found


@pytest.fixture(autouse=True)
def made_up_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "asked_of", asked_of)


ROWS = [row for scenario in make_suite().scenarios.values() for row in scenario.rows]
PARAMS = {row.label: row.params for row in ROWS if row.params}
METHODS = {row.label: row.method for row in ROWS}


def make_record(label: str, seed: int, right: Any = None, *, scenario: str = "skewed", **changes: Any) -> Record:
    """A record of the row, `given` other parameters than it chose, on a board with a budget of `seconds` or none.

    `right` is bool [N], a number of right answers of 100, or None for no accuracy.
    """
    metrics, examples = dict(changes.pop("metrics", {})), {}
    if right is not None:
        correct = np.arange(100) < right if np.ndim(right) == 0 else np.asarray(right)
        metrics, examples = {"accuracy": float(correct.mean())} | metrics, {"test": pack(correct)}
    provenance = {"commit": "abc", "dirty": False, "versions": {"python": "3.11"}, "machine": "a machine"}
    provenance |= {"device": "cpu", "precision": "fp32", "threads": 1, "started": "2025-01-01T00:00:00+00:00"}
    fields: dict[str, Any] = {
        "suite": "toy",
        "profile": "cpu",
        "scenario": scenario,
        "kind": "join" if scenario.startswith("skewed") else "forget",
        "method": METHODS.get(label, label),
        "label": label,
        "params": PARAMS.get(label, {}),
        "seed": seed,
        "status": "ok",
        "metrics": metrics,
        "examples": examples,
        "costs": {"seconds": 1.0 + seed, "peak_memory_mb": 10.0, "flops": 2e9, "samples": {"parents[0]": 100}},
        "data": {"name": "digits", "variant": "digits", "fingerprint": "f00d"},
        "provenance": provenance | changes.pop("provenance", {}),
    }
    environment = changes.pop("environment", PINNED)
    more = {key: changes.pop(key) for key in ("search", "trials") if key in changes}
    given, seconds = (changes.pop(key, None) for key in ("given", "seconds"))
    fields |= changes
    kind = SuiteScenario(scenario, fields["kind"], "", SimpleNamespace(seconds=seconds), (), "", "", 60.0)
    row = SuiteRow(label, fields["method"], fields["params"] if given is None else given)
    told = asked(row, kind, seed, fields["data"], environment) | more
    return Record(**fields, asked=told, key=key_of(told))


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record
