"""The JSON Schema of suite files (`check --schema`), from the models that the reader holds them against."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from bench import registry
from bench.data.catalogue import SOURCES
from bench.data.spec import DataSpec
from bench.models.spec import Architecture
from bench.registry import METHODS, SCENARIOS
from bench.schema.recipe import Recipe
from bench.schema.search import Range
from bench.schema.tables import ClaimTable, Header, ProfileHead, Taken
from bench.suite.keys import row_table, scenario_table
from bench.types import LARGEST, NAME_PATTERN, Label

Schema = dict[str, Any]


def json_schema() -> Schema:
    """JSON Schema (2020-12) of suite files: kinds, their settings, methods and their parameters as registered now."""
    registry.discover()
    definitions: Schema = {}
    top = _model(Header, definitions)["properties"]
    shared: dict[str, type[BaseModel]] = {
        "data": DataSpec,
        "recipe": Recipe,
        "model": Architecture,
        "claim": ClaimTable,
        "range": Range,
        "taken": Taken,
    }
    definitions |= {name: _model(model, definitions) for name, model in shared.items()}
    for key in ("name", "offline"):
        definitions["data"]["properties"][key]["enum"] = list(SOURCES)
    definitions |= {f"row-{name}": _row(method, definitions) for name, method in METHODS.entries.items()}
    scenarios = [_scenario(kind, definitions) for _, kind in sorted(SCENARIOS.entries.items())]
    tables = {
        "data": _of("data"),
        "datasets": _tables_of(_of("data")),
        "recipe": _of("recipe"),
        "models": _tables_of(_of("model")),
        "rows": _tables_of(_rows()),
        "scenarios": _tables_of({"anyOf": scenarios}) | {"minProperties": 1},
        "claims": _tables_of(_of("claim"), TypeAdapter(Label).json_schema()),
    }
    profile = {
        "type": "object",
        "description": "Overrides, key by key.",
        "additionalProperties": False,
        "properties": top
        | {name: {"type": "object"} for name in tables}
        | _model(ProfileHead, definitions)["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ktbench suite",
        "type": "object",
        "additionalProperties": False,
        "required": ["title", "data", "scenarios", "profiles"],
        "properties": top | tables | {"profiles": _tables_of(profile) | {"minProperties": 1}},
        "$defs": definitions,
    }


def _of(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


def _tables_of(schema: Schema, name: Schema | None = None) -> Schema:
    """`[TABLE.NAME]`."""
    return {"type": "object", "propertyNames": name or {"pattern": NAME_PATTERN}, "additionalProperties": schema}


def _scenario(kind: registry.Scenario, definitions: Schema) -> Schema:
    """A scenario that `extends` another may have its kind, and whatever else is needed, from there."""
    table = _model(scenario_table(kind), definitions)
    names = sorted(name for name, method in METHODS.entries.items() if kind.kind in method.scenarios)
    rows = [{"enum": names}, *(_named(name) for name in names), _of("taken")]
    table["properties"] |= {"kind": {"const": kind.kind}, "methods": {"type": "array", "items": {"anyOf": rows}}}
    needed = ["kind", *table.pop("required", [])]
    table["anyOf"] = [{"required": needed}, {"required": ["extends"]}]
    return table


def _row(method: registry.Method, definitions: Schema) -> Schema:
    """A row of this method, whether it says so or its place does."""
    row = _model(row_table(method), definitions)
    parameters = registry.parameters(method).model_fields
    places = {
        key: {"anyOf": [_of("range"), {"type": "array", "minItems": 2, "items": place}]}
        for key, place in row["properties"].items()
        if key in parameters
    }
    row["properties"]["search"] |= {"properties": places, "additionalProperties": False}
    row["properties"]["method"] = {"const": method.name}
    row["required"] = [key for key in row["required"] if key != "method"]
    return row


def _named(method: str) -> Schema:
    """A row that names its method."""
    return _of(f"row-{method}") | {"required": ["method"]}


def _rows() -> Schema:
    """A list of rows: under a method's name one of it, unless it names another; else one that names its method."""
    named = {"anyOf": [_named(name) for name in METHODS.entries]}
    own = {name: {"anyOf": [_of(f"row-{name}"), named]} for name in METHODS.entries}
    unlabelled = {"not": {"required": ["label"]}}
    return {
        "type": "object",
        "propertyNames": TypeAdapter(Label).json_schema(),
        "properties": {name: own[name] | unlabelled for name in own},
        "additionalProperties": named | unlabelled,
    }


def _model(model: type[BaseModel], definitions: Schema) -> Schema:
    """The schema of a pydantic model, its own definitions moved to the common ones."""
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions |= schema.pop("$defs", {})
    _bound(schema)
    return schema


def _bound(schema: Any, key: str = "") -> None:
    """Whole numbers without bounds of their own have those of every table (`Settings`); seeds are no sizes."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer" and "seed" not in key:
            schema.setdefault("minimum", -LARGEST)
            schema.setdefault("maximum", LARGEST)
        for name, value in schema.items():
            _bound(value, name if key == "properties" or "seed" not in key else key)
    elif isinstance(schema, list):
        for item in schema:
            _bound(item, key)
