"""What there is (`list`) and what a thing is (`show`), as data first and as text from the data."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.cli.declared import declared
from bench.console import plain
from bench.data.catalogue import SOURCES
from bench.errors import BenchError, near_miss
from bench.registry import METHODS, SCENARIOS
from bench.suite import suite as suites
from bench.suite.about import method, parameter
from bench.suite.keys import scenario_table
from bench.task.task import needs

if TYPE_CHECKING:
    from rich.console import Console

    from bench.metrics.metric import Metric
    from bench.registry import Scenario


def catalogue() -> dict[str, dict[str, Any]]:
    """Methods, scenarios, data sets and suites by name; ours are not imported where their files tell enough."""
    entries = declared()
    if entries is None:
        registry.discover()
    else:
        registry.load_installed()
    methods = {name: told for kind, name, told in entries or () if kind == "method"} | {
        name: {
            "family": m.family,
            "scenarios": list(m.scenarios),
            "access": sorted(m.access),
            "paper": m.paper,
            "summary": m.summary,
        }
        for name, m in METHODS.entries.items()
    }
    scenarios = {name: told for kind, name, told in entries or () if kind == "scenario"} | {
        name: {
            "headline": s.headline,
            "lower": s.lower,
            "upper": s.upper,
            "takes": list(s.takes),
            "summary": s.summary,
        }
        for name, s in SCENARIOS.entries.items()
    }
    return {
        "methods": dict(sorted(methods.items(), key=lambda item: (item[1]["family"], item[0]))),
        "scenarios": dict(sorted(scenarios.items())),
        "data": {name: {"kind": s.kind, "summary": s.description} for name, s in SOURCES.items()},
        "suites": {name: {"path": str(path)} for name, path in suites.shipped().items()},
    }


def print_catalogue(content: dict[str, dict[str, Any]], console: Console) -> None:
    """The catalogue as tables."""
    from rich.table import Table
    from rich.text import Text

    for title, entries in content.items():
        columns = list(next(iter(entries.values()), {}))
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in ["name", *columns]:
            table.add_column(column, no_wrap=column == "name", overflow="fold")
        for name, entry in entries.items():
            told = [", ".join(v) if isinstance(v, list) else str(v or "") for v in entry.values()]
            table.add_row(*(Text(plain(text)) for text in (name, *told)))  # whose words are no markup
        console.print(table)
        console.print()


def about(name: str, profile: str | None = None) -> dict[str, Any]:
    """A method, scenario kind, data set or suite by name (or a suite by path)."""
    registry.discover()
    if name in METHODS.entries:
        return method(METHODS.entries[name])
    if name in SCENARIOS.entries:
        return _scenario(SCENARIOS.entries[name])
    if name in SOURCES:
        source = SOURCES[name]
        return {
            "data set": name,
            "kind": source.kind,
            "shape": list(source.shape),
            "classes": list(source.classes),
            "summary": source.description,
        }
    if name.endswith(".toml") or name in suites.shipped():
        return _suite(suites.load(name, profile))
    known = [*METHODS.entries, *SCENARIOS.entries, *SOURCES, *suites.shipped()]
    raise BenchError(f"nothing is named {name!r}{near_miss(name, known)}\n{registry.BRING}")


def _scenario(entry: Scenario) -> dict[str, Any]:
    own = entry.settings.model_fields
    keys = scenario_table(entry).model_json_schema()["properties"]
    return {
        "scenario": entry.kind,
        "headline": entry.headline,
        "metrics": {m.name: _metric(m) for m in entry.metrics},
        "lower reference": entry.lower,
        "upper reference": entry.upper,
        "takes": list(entry.takes),
        "methods": sorted(n for n, m in METHODS.entries.items() if entry.kind in m.scenarios),
        "task": {a: " or ".join(names) or "given to every method" for a, names in needs(entry.task).items()},
        "settings": {n: parameter(field) for n, field in keys.items() if n in own},
        "of every scenario": {n: parameter(field) for n, field in keys.items() if n not in own},
        "about": inspect.cleandoc(entry.settings.__doc__ or ""),
    }


def _metric(metric: Metric) -> dict[str, Any]:
    """What is declared of a metric, as far as it says anything."""
    told = {"good": "high" if metric.higher_is_better else "low", "unit": metric.unit, "title": metric.title}
    told |= {"floor": metric.floor, "about": " ".join(metric.explain or ())}
    return {key: value for key, value in told.items() if value}


def _suite(suite: suites.Suite) -> dict[str, Any]:
    return {
        "suite": suite.name,
        "profile": suite.profile,
        "title": suite.title,
        "path": str(suite.path),
        "data": suite.data.model_dump(exclude_none=True),
        **(
            {"datasets": {n: d.model_dump(exclude_none=True) for n, d in suite.datasets.items()}}
            if suite.datasets
            else {}
        ),
        "seeds": list(suite.seeds),
        "models": {name: m.model_dump(exclude_defaults=True) for name, m in suite.models.items()},
        "scenarios": {
            name: {
                "kind": s.kind,
                "title": s.title,
                **({"data": s.data} if s.data else {}),
                "lower": s.lower,
                "upper": s.upper,
                "rows": {row.label: {"method": row.method, **row.params} for row in s.rows},
            }
            for name, s in suite.scenarios.items()
        },
        "claims": {c.id: c.says for c in suite.claims},
        "cells": len(suite.seeds) * sum(len(s.rows) for s in suite.scenarios.values()),
    }


def print_description(content: dict[str, Any], console: Console) -> None:
    """A description as indented text."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            console.print(f"[bold]{key}[/]")
            for name, entry in value.items():
                console.print(f"  {name}: {_inline(entry)}", markup=False, soft_wrap=True)
        elif key == "about":
            console.print(f"\n{value}", markup=False, soft_wrap=True)
        else:
            console.print(f"[bold]{key}[/]: ", end="")
            console.print(_inline(value), markup=False, soft_wrap=True)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_inline(v)}" if k != "about" else str(v) for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value) or "none"
    return "none" if value in ("", None) else str(value)
