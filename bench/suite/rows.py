"""The rows of a scenario: the methods that a suite names, with their parameters, and the references of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from bench import registry
from bench.errors import BenchError, SuiteError, near_miss
from bench.schema.search import Range, Search
from bench.schema.tables import RowHead, Taken
from bench.suite.faults import checked, shown
from bench.suite.keys import row_table
from bench.suite.layers import merged
from bench.types import check_label

Rows = Mapping[str, Mapping[str, Any]]
"""A list of rows: label -> what a row's table says."""


@dataclass(frozen=True)
class SuiteRow:
    """One row of a scenario's board: a method with all its parameters."""

    label: str
    method: str
    params: dict[str, Any]
    search: Search = field(default_factory=dict)
    """Hyperparameters that are chosen on validation data, in place of `params`, and where they are looked for."""
    control: bool = False
    """Whether it is shown as a control, and not ranked. No key knows of it."""


def named_rows(lists: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, Rows]:
    """The lists `[rows.NAME]`, each a table of rows by label; a row's method has the label's name, if it names none.

    Raises:
        SuiteError: an unknown method or parameter, or a label that is none.
    """
    return {
        name: dict(_named_row(label, row, where, name) for label, row in rows.items()) for name, rows in lists.items()
    }


def _named_row(label: str, row: object, where: str, name: str) -> tuple[str, dict[str, Any]]:
    at = f"rows.{name}"
    try:
        label = check_label(label)
    except ValueError as error:
        raise SuiteError(f"{where}: [{at}] {shown(label)}: {error}") from None
    if not isinstance(row, dict):
        raise SuiteError(f"{where}: [{at}] {label} must be a table, {{}} where it sets nothing; got {shown(row)}")
    if "label" in row:
        raise SuiteError(f"{where}: [{at}.{label}] has a label, and its name here is its label")
    table = {"method": label, "label": label, **row}
    _row(table, None, where, at, f"{at}.{label}")
    return label, table


def rows_of(
    asked: Sequence[object],
    lists: Mapping[str, Rows],
    kind: registry.Scenario,
    lower: str | None,
    upper: str | None,
    trials: int,
    where: str,
    at: str,
) -> tuple[SuiteRow, ...]:
    """The rows that a scenario names and those that its kind implies: references first, the upper one last.

    A search that stands in a list is for the boards that have trials; where there are none, the row goes without.
    """
    rows: dict[str, SuiteRow] = {}
    for entry in _entries(asked, lists, bool(trials), where, at):
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
    given = {key: value for key, value in reference.items() if key not in RowHead.model_fields}
    if row.method != reference["method"] or any(row.params.get(key) != value for key, value in given.items()):
        told = ", ".join([reference["method"], *(f"{key} = {value}" for key, value in given.items())])
        raise SuiteError(
            f"{where}: [{at}] a row of {row.method!r} is labelled {row.label!r}, like the reference ({told}) that the "
            "board has; give it a label of its own"
        )


def _entries(asked: Sequence[object], lists: Mapping[str, Rows], trials: bool, where: str, at: str) -> Iterator[object]:
    """What `methods` names, with the rows of a list in place of { rows = "NAME" }."""
    for entry in asked:
        if isinstance(entry, dict) and "rows" in entry:
            taken: Taken = checked(Taken, entry, where, f"{at}.methods")
            for row in _taken(taken, lists, where, f"{at}.methods"):
                yield row if trials else {key: value for key, value in row.items() if key != "search"}
        else:
            yield entry


def _taken(taken: Taken, lists: Mapping[str, Rows], where: str, at: str) -> Iterator[dict[str, Any]]:
    if taken.rows not in lists:
        raise SuiteError(f"{where}: [{at}] rows = {taken.rows!r} is no [rows.NAME]{near_miss(taken.rows, lists)}")
    there = lists[taken.rows]
    for key, labels in (("without", taken.without), ("change", taken.change)):
        for label in labels:
            if label not in there:
                raise SuiteError(f"{where}: [{at}] {key} names {label!r}, no row of it{near_miss(label, there)}")
    for label, row in there.items():
        if label not in taken.without:
            yield merged(row, taken.change.get(label, {}))


def _row(entry: object, kind: str | None, where: str, at: str, place: str | None = None) -> SuiteRow:
    """A row of a scenario of this kind, or one of a list, whatever kind takes it. `place` is its table's name."""
    table = {"method": entry} if isinstance(entry, str) else entry
    if not isinstance(table, dict) or not isinstance(table.get("method"), str):
        raise SuiteError(f"{where}: [{at}] a row is a method's name or a table with `method`, got {shown(entry)}")
    try:
        found = registry.METHODS.get(table["method"])
        schema = row_table(found)
    except BenchError as error:
        raise SuiteError(f"{where}: [{at}] {error}") from None
    if kind is not None and kind not in found.scenarios:
        raise SuiteError(f"{where}: [{at}] method {found.name!r} solves {', '.join(found.scenarios)}, not {kind}")
    label = table.get("label")
    named = label if isinstance(label, str) and label.isprintable() else found.name
    place = place or f"{at}.methods.{named}"
    row = checked(schema, table, where, place)
    parameters = registry.parameters(found)
    own = {key: value for key, value in table.items() if key in parameters.model_fields}
    search = _search(row.search, parameters, own, where, f"{place}.search")
    params = parameters.model_validate(own).model_dump(mode="json")
    return SuiteRow(row.label or found.name, found.name, params, search, row.control)


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
