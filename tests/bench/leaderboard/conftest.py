"""A suite of two made-up kinds, and records for it written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.data.spec import DataSpec
from bench.recipe import Recipe
from bench.records import Record, pack
from bench.registry import Method, Scenario
from bench.suite import Claim, Suite, SuiteScenario
from bench.suite_rows import Row


class Join:
    """Two networks: make one of them."""


class Forget:
    """A network that knows too much: make it forget."""


def gram(task: object) -> object:
    """Merging by Gram matrices."""
    return task


JOIN = Scenario("join", Join, object, "accuracy", True, "average", "ensemble", (("parent-0", "parent", {"index": 0}),))
FORGET = Scenario("forget", Forget, object, "average_gap", False, "original", "retrain", ("mask",))


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
            "skewed", "join", "Label skew", None, tuple(Row(*r) for r in join), "average", "ensemble", 60.0
        ),
        "class": SuiteScenario(
            "class", "forget", "", None, tuple(Row(*r) for r in forget), "original", "retrain", 60.0
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


PARAMS = {row.label: row.params for scenario in make_suite().scenarios.values() for row in scenario.rows if row.params}


def make_record(label: str, seed: int, right: Any = None, *, scenario: str = "skewed", **changes: Any) -> Record:
    """A record of the row; `right` is bool [N], a number of right answers of 100, or None for no accuracy."""
    metrics, examples = dict(changes.pop("metrics", {})), {}
    if right is not None:
        correct = np.arange(100) < right if np.ndim(right) == 0 else np.asarray(right)
        metrics, examples = {"accuracy": float(correct.mean())} | metrics, {"test": pack(correct)}
    provenance = {"commit": "abc", "dirty": False, "versions": {"python": "3.11"}, "machine": "a machine"}
    provenance |= {"device": "cpu", "precision": "fp32", "threads": 1, "started": "2025-01-01T00:00:00+00:00"}
    fields: dict[str, Any] = {
        "key": f"{scenario}-{label}-{seed}",
        "suite": "toy",
        "profile": "cpu",
        "scenario": scenario,
        "kind": "join" if scenario == "skewed" else "forget",
        "method": label.partition(" ")[0],
        "label": label,
        "params": PARAMS.get(label, {}),
        "seed": seed,
        "status": "ok",
        "metrics": metrics,
        "examples": examples,
        "costs": {"seconds": 1.0 + seed, "peak_memory_mb": 10.0, "flops": 2e9, "samples": {"parents[0]": 100}},
        "data": {"name": "digits", "variant": "digits", "fingerprint": "f00d"},
        "provenance": provenance | changes.pop("provenance", {}),
        "recipe": {
            "scenario_source": "s1",
            "method_source": "m1",
            "seed": seed,
            "zoo": {"parent": f"z{seed}"},
            "label": label,
        },
    }
    fields["recipe"] |= changes.pop("recipe", {})
    return Record(**fields | changes)


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record
