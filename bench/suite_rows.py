"""The rows of a scenario: the methods that a suite names, with their parameters, and the references of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from bench import registry
from bench.checked import checked
from bench.errors import BenchError, SuiteError
from bench.registry import near_miss
from bench.tuning import Range, Search

ROW_KEYS = ("method", "label", "search")


@dataclass(frozen=True)
class Row:
    """One row of a scenario's board: a method with all its parameters."""

    label: str
    method: str
    params: dict[str, Any]
    search: Search = field(default_factory=dict)
    """Hyperparameters that are chosen on validation data, in place of `params`, and where they are looked for."""


def rows_of(
    table: Mapping[str, Any], kind: registry.Scenario, lower: str, upper: str, trials: int, where: str, at: str
) -> tuple[Row, ...]:
    """The rows that a scenario names and those that its kind implies: references first, the upper one last."""
    rows: dict[str, Row] = {}
    asked = table.get("methods", [])
    if not isinstance(asked, list):
        raise SuiteError(f"{where}: [{at}] methods must be a list of names or tables, got {asked!r}")
    for entry in asked:
        row = _row(entry, kind.kind, where, at)
        if row.label in rows:
            raise SuiteError(f"{where}: [{at}] two rows are named {row.label!r}; give one a label of its own")
        if row.search and not trials:
            raise SuiteError(
                f"{where}: [{at}] row {row.label!r} has a search, and the scenario no trials; say trials = 20"
            )
        rows[row.label] = row
    if trials and not any(row.search for row in rows.values()):
        raise SuiteError(
            f"{where}: [{at}] has trials = {trials} and no row with a search, e.g. search = {{ lr = [0.1, 1] }}"
        )
    implied = [
        {"method": m} if isinstance(m, str) else {"label": m[0], "method": m[1], **m[2]} for m in kind.references
    ]
    for entry in [{"method": lower}, *implied, {"method": upper}]:
        label = entry.get("label", entry["method"])
        if label not in rows:
            rows[label] = _row(entry, kind.kind, where, at)
    first = [lower, *(e.get("label", e["method"]) for e in implied)]
    order = list(dict.fromkeys([*first, *(label for label in rows if label != upper), upper]))
    return tuple(rows[label] for label in order)


def _row(entry: object, kind: str, where: str, at: str) -> Row:
    table: dict[str, Any] = {"method": entry} if isinstance(entry, str) else entry  # type: ignore[assignment]
    if not isinstance(table, dict) or not isinstance(table.get("method"), str):
        raise SuiteError(f"{where}: [{at}] a row is a method's name or a table with `method`, got {entry!r}")
    try:
        found = registry.METHODS.get(table["method"])
    except BenchError as error:
        raise SuiteError(f"{where}: [{at}] {error}") from None
    if kind not in found.scenarios:
        raise SuiteError(f"{where}: [{at}] method {found.name!r} solves {', '.join(found.scenarios)}, not {kind}")
    own = {k: v for k, v in table.items() if k not in ROW_KEYS}
    schema, place = registry.parameters(found), f"{at}.methods.{found.name}"
    params = checked(schema, own, where, place, extra=ROW_KEYS)
    search = _search(table.get("search", {}), schema, own, where, f"{place}.search")
    return Row(str(table.get("label", found.name)), found.name, params.model_dump(mode="json"), search)


def _search(table: object, schema: type[BaseModel], fixed: Mapping[str, Any], where: str, at: str) -> Search:
    """Where a row's hyperparameters are looked for; every end and every choice must be one that the method takes."""
    if not isinstance(table, dict):
        raise SuiteError(f"{where}: [{at}] must be a table of hyperparameters, got {table!r}")
    search: dict[str, Range | tuple[Any, ...]] = {}
    for name, place in table.items():
        if name not in schema.model_fields:
            raise SuiteError(f"{where}: [{at}] unknown key {name!r}{near_miss(name, schema.model_fields)}")
        if isinstance(place, dict):
            between: Range = checked(Range, place, where, f"{at}.{name}")
            search[name], tried = between, between.ends
        elif isinstance(place, list) and len(place) > 1:
            search[name] = tried = tuple(place)
        else:
            raise SuiteError(
                f"{where}: [{at}] {name}: a range {{ low = 0.1, high = 2.0 }} or a list of two or more choices was "
                f"expected, got {place!r}"
            )
        for value in tried:
            checked(schema, {**fixed, name: value}, where, at)
    return search
