"""The rows of a scenario: the methods that a suite names, with their parameters, and the references of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from bench import registry
from bench.errors import BenchError, SuiteError, near_miss
from bench.schema.search import Range, Search
from bench.schema.settings import Settings
from bench.suite.faults import checked, shown
from bench.types import Label


class RowHead(Settings):
    """The keys that a row has whatever its method; its other keys are the method's parameters."""

    method: str
    label: Label | None = None
    """Its name on the board; the method's, if unset."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Parameters that are chosen on validation data, and where they are looked for."""


ROW_KEYS = tuple(RowHead.model_fields)


@dataclass(frozen=True)
class SuiteRow:
    """One row of a scenario's board: a method with all its parameters."""

    label: str
    method: str
    params: dict[str, Any]
    search: Search = field(default_factory=dict)
    """Hyperparameters that are chosen on validation data, in place of `params`, and where they are looked for."""


def rows_of(
    asked: Sequence[object],
    kind: registry.Scenario,
    lower: str | None,
    upper: str | None,
    trials: int,
    where: str,
    at: str,
) -> tuple[SuiteRow, ...]:
    """The rows that a scenario names and those that its kind implies: references first, the upper one last."""
    rows: dict[str, SuiteRow] = {}
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
    ends = [{"method": lower or kind.lower}, {"method": upper or kind.upper}]
    if ends[0] == ends[1]:
        raise SuiteError(f"{where}: [{at}] lower and upper are both {ends[0]['method']!r}; the scale needs two ends")
    named_by_suite = {lower, upper}
    for entry in [ends[0], *implied, ends[1]]:
        label = entry.get("label", entry["method"])
        if label not in rows:
            rows[label] = _row(entry, kind.kind, where, at)
        elif label not in named_by_suite:
            _refuse_impostor(rows[label], entry, where, at)
    first = [ends[0]["method"], *(e.get("label", e["method"]) for e in implied)]
    last = ends[1]["method"]
    order = list(dict.fromkeys([*first, *(label for label in rows if label != last), last]))
    return tuple(rows[label] for label in order)


def _refuse_impostor(row: SuiteRow, reference: Mapping[str, Any], where: str, at: str) -> None:
    """A row under the label of a reference is that reference, perhaps with other parameters than its default ones."""
    given = {key: value for key, value in reference.items() if key not in ROW_KEYS}
    if row.method != reference["method"] or any(row.params.get(key) != value for key, value in given.items()):
        told = ", ".join([reference["method"], *(f"{key} = {value}" for key, value in given.items())])
        raise SuiteError(
            f"{where}: [{at}] a row of {row.method!r} is labelled {row.label!r}, like the reference ({told}) that the "
            "board has; give it a label of its own"
        )


def _row(entry: object, kind: str, where: str, at: str) -> SuiteRow:
    table = {"method": entry} if isinstance(entry, str) else entry
    if not isinstance(table, dict) or not isinstance(table.get("method"), str):
        raise SuiteError(f"{where}: [{at}] a row is a method's name or a table with `method`, got {shown(entry)}")
    try:
        found = registry.METHODS.get(table["method"])
    except BenchError as error:
        raise SuiteError(f"{where}: [{at}] {error}") from None
    if kind not in found.scenarios:
        raise SuiteError(f"{where}: [{at}] method {found.name!r} solves {', '.join(found.scenarios)}, not {kind}")
    schema, place = registry.parameters(found), f"{at}.methods.{found.name}"
    head: RowHead = checked(RowHead, {k: v for k, v in table.items() if k in ROW_KEYS}, where, place)
    own = {k: v for k, v in table.items() if k not in ROW_KEYS}
    params = checked(schema, own, where, place, extra=ROW_KEYS)
    search = _search(head.search, schema, own, where, f"{place}.search")
    return SuiteRow(head.label or found.name, found.name, params.model_dump(mode="json"), search)


def _search(table: Mapping[str, Any], schema: type[BaseModel], fixed: Mapping[str, Any], where: str, at: str) -> Search:
    """Where a row's hyperparameters are looked for; every end and every choice must be one that the method takes."""
    search: dict[str, Range | tuple[Any, ...]] = {}
    for name, place in table.items():
        if name not in schema.model_fields:
            raise SuiteError(f"{where}: [{at}] unknown key {shown(name)}{near_miss(name, schema.model_fields)}")
        if isinstance(place, dict):
            between: Range = checked(Range, place, where, f"{at}.{name}")
            search[name], tried = between, between.ends
        elif isinstance(place, list | tuple) and len(place) > 1:
            search[name] = tried = tuple(place)
        else:
            raise SuiteError(
                f"{where}: [{at}] {name}: a range {{ low = 0.1, high = 2.0 }} or a list of two or more choices was "
                f"expected, got {shown(place)}"
            )
        for value in tried:
            checked(schema, {**fixed, name: value}, where, at)
    return search
