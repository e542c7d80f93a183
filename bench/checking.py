"""`check`: a suite in all its profiles, without data and without running; and the JSON Schema of suite files."""

from __future__ import annotations

from typing import Any

from bench import models, registry
from bench import suite as suites
from bench.data import identity
from bench.data.catalogue import SOURCES, Source
from bench.data.spec import DataSpec
from bench.errors import BenchError, DataError, SuiteError
from bench.lab import Bench
from bench.models.spec import Architecture
from bench.recipe import Recipe
from bench.registry import METHODS, SCENARIOS, near_miss
from bench.stand_ins import on_stand_in
from bench.suite import Claim, Header


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

    named = {f"datasets.{name}": data for name, data in suite.datasets.items()}
    for table, data in ({"data": suite.data} | named).items():
        for name in (data.name, data.offline):
            if name is not None and name not in DATASETS:
                where = f"{suite.path} (profile {suite.profile}): [{table}]"
                raise SuiteError(f"{where} unknown data set {name!r}{near_miss(name, DATASETS)}")
    for name, model in suite.models.items():
        try:
            models.check(model.arch, model.options)
        except BenchError as error:
            raise SuiteError(f"{suite.path} (profile {suite.profile}): [models.{name}] {error}") from None
    for scenario in suite.scenarios.values():
        data = suite.data_of(scenario)
        table = "data" if scenario.data is None else f"datasets.{scenario.data}"
        try:
            other = identity.stand_in(data)
            _named(suite, scenario, SOURCES[data.name])
            if other is not None:
                _named(suite, on_stand_in(scenario, other.name, suite.models), other)
        except DataError as error:
            said = str(error).removeprefix("[data] ")
            raise SuiteError(f"{suite.path} (profile {suite.profile}): [{table}] {said}") from None
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
    bench = Bench(on, "0" * 16, len(source.classes), suite.models, suite.recipe, suite.seeds[0])
    try:
        scenario.settings.zoo(bench)
    except SuiteError as error:
        told = f" (where {source.name} stands in for {data.name})" if source.name != data.name else ""
        where = f"{suite.path} (profile {suite.profile}): [scenarios.{scenario.name}]"
        raise SuiteError(f"{where} {error}{told}") from None


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of suite files: kinds, their settings, methods and their parameters as registered now."""
    registry.discover()
    top = Header.model_json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = {}
    for name, model in (("data", DataSpec), ("recipe", Recipe), ("model", Architecture), ("claim", Claim)):
        definitions[name] = _closed(model.model_json_schema(ref_template="#/$defs/{model}"), definitions)
    scenarios = [_scenario(kind, definitions) for kind in sorted(SCENARIOS.entries)]
    properties = top["properties"] | {
        "data": {"$ref": "#/$defs/data"},
        "datasets": {"type": "object", "additionalProperties": {"$ref": "#/$defs/data"}},
        "recipe": {"$ref": "#/$defs/recipe"},
        "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/model"}},
        "scenarios": {"type": "object", "additionalProperties": {"oneOf": scenarios}},
        "claims": {"type": "array", "items": {"$ref": "#/$defs/claim"}},
        "profiles": {
            "type": "object",
            "description": "Overrides by profile; `extends` names another profile to start from.",
            "additionalProperties": {"type": "object"},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ktbench suite",
        "type": "object",
        "additionalProperties": False,
        "required": ["title", "data", "scenarios", "profiles"],
        "properties": properties,
        "$defs": definitions,
    }


def _scenario(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    entry = SCENARIOS.get(kind)
    settings = _closed(entry.settings.model_json_schema(ref_template="#/$defs/{model}"), definitions)
    rows = [_row(name, definitions) for name, m in sorted(METHODS.entries.items()) if kind in m.scenarios]
    names = [row["properties"]["method"]["const"] for row in rows]
    settings["properties"] |= {
        "kind": {"const": kind},
        "title": {"type": "string"},
        "data": {"type": "string", "description": "One of the suite's [datasets.NAME]; [data], if unset."},
        "lower": {"type": "string", "description": "Label of the row that is the lower reference."},
        "upper": {"type": "string", "description": "Label of the row that is the upper reference."},
        "max_seconds": {"type": "number", "exclusiveMinimum": 0},
        "methods": {"type": "array", "items": {"oneOf": [{"enum": names}, *rows]}},
    }
    settings["required"] = ["kind", *settings.get("required", [])]
    return settings


def _row(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = registry.parameters(METHODS.get(name)).model_json_schema(ref_template="#/$defs/{model}")
    row = _closed(schema, definitions)
    row["properties"] = {"method": {"const": name}, "label": {"type": "string"}, **row.get("properties", {})}
    row["required"] = ["method", *row.get("required", [])]
    return row


def _closed(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema with its own definitions moved to the common ones."""
    definitions |= schema.pop("$defs", {})
    return schema
