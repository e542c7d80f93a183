"""Which records count. What does not is set aside, counted, and said; nothing of two kinds is averaged.

Of each cell the newest record counts. All records that count stand on the data set that the suite names for their
scenario, or all on the one that it lets stand in for it; within a scenario on the same settings, standard models and
judging code; within a row on the same method code and parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from typing import Any

from bench.records import Record
from bench.suite import Suite, SuiteScenario
from bench.suite_rows import Row
from bench.tuning import Range

OF_THE_ROW = frozenset({"label", "method", "params", "access", "method_source", "search", "trials", "tuning_source"})
"""Keys of a record's recipe in which the rows of a scenario differ; all others they share."""
OF_THE_SEED = frozenset({"seed", "zoo"})


@dataclass(frozen=True)
class Selection:
    """The records that count, and what was set aside."""

    cells: dict[tuple[str, str], dict[int, Record]]
    """(scenario, label) -> seed -> record, in order of seeds."""
    data: dict[str | None, dict[str, Any]]
    """Name in the suite's `[datasets]`, or None for `[data]` -> identity of what the records that count stand on."""
    set_aside: tuple[str, ...]
    stale: dict[tuple[str, str], int]
    """(scenario, label) -> how many of its records are of an earlier state of code, settings or standard models."""

    @property
    def records(self) -> list[Record]:
        """All that count."""
        return [record for seeds in self.cells.values() for record in seeds.values()]


def select(suite: Suite, records: Iterable[Record]) -> Selection:
    """Choose the records that count for a suite's board."""
    ordered = [r for _, r in sorted(enumerate(records), key=lambda pair: (_started(pair[1]), pair[0]))]
    rows = {(s.name, row.label): (s, row) for s in suite.scenarios.values() for row in s.rows}
    named = [r for r in ordered if (r.scenario, r.label) in rows and r.profile == suite.profile]
    told = _note(len(ordered) - len(named), "of rows that the suite does not name (any more)")
    data = {suite.scenarios[r.scenario].data: r.data for r in named if _allowed(suite, r)}  # the newest is the last
    right = [r.data == data.get(suite.scenarios[r.scenario].data) for r in named]
    here = list(compress(named, right))
    other = Counter(
        f"{r.data.get('variant')} ({r.data.get('fingerprint')})" for r, ok in zip(named, right, strict=True) if not ok
    )
    told += [note for what, count in sorted(other.items()) for note in _note(count, f"computed on {what}")]
    newest = {(r.scenario, r.label, r.seed): r for r in here}
    told += _note(len(here) - len(newest), "replaced by a newer record of the same cell")
    kept = _current({k: r for k, r in newest.items() if _as_asked(r, *rows[k[:2]])})
    stale = Counter(key[:2] for key in newest if key not in kept)
    told += _note(stale.total(), "of an earlier state of code, settings or standard models: run the suite again")
    cells: dict[tuple[str, str], dict[int, Record]] = {}
    for (scenario, label, seed), record in sorted(kept.items()):
        cells.setdefault((scenario, label), {})[seed] = record
    return Selection(cells, data, tuple(told), dict(stale))


def _allowed(suite: Suite, record: Record) -> bool:
    """Whether a record is of the data set of its scenario, or of the stand-in for it."""
    spec = suite.data_of(suite.scenarios[record.scenario])
    return record.data.get("name") in (spec.name, spec.offline)


def _as_asked(record: Record, scenario: SuiteScenario, row: Row) -> bool:
    """Whether a record has the parameters that the suite gives, and chose the others as the suite says."""
    given = [{k: v for k, v in params.items() if k not in row.search} for params in (record.params, row.params)]
    search = {k: p.model_dump() if isinstance(p, Range) else list(p) for k, p in row.search.items()}
    trials = scenario.trials if row.search else 0
    return given[0] == given[1] and (record.recipe.get("search", {}), record.recipe.get("trials", 0)) == (
        search,
        trials,
    )


def _current(newest: Mapping[tuple[str, str, int], Record]) -> dict[tuple[str, str, int], Record]:
    """Those that agree with the newest record of their scenario, of its seed, and of their row."""
    latest = sorted(newest.values(), key=_started)
    scenario = {r.scenario: _without(r, OF_THE_ROW | OF_THE_SEED) for r in latest}
    seed = {(r.scenario, r.seed): r.recipe.get("zoo") for r in latest if _agrees(r, scenario)}
    row = {(r.scenario, r.label): _own(r) for r in latest if _agrees(r, scenario)}
    return {
        key: r
        for key, r in newest.items()
        if _agrees(r, scenario)
        and seed[r.scenario, r.seed] == r.recipe.get("zoo")
        and row[r.scenario, r.label] == _own(r)
    }


def _agrees(record: Record, scenario: Mapping[str, Any]) -> bool:
    return scenario[record.scenario] == _without(record, OF_THE_ROW | OF_THE_SEED)


def _own(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.recipe.items() if key in OF_THE_ROW}


def _without(record: Record, keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in record.recipe.items() if key not in keys}


def _started(record: Record) -> str:
    """ISO 8601 in UTC: the order of the strings is that of time."""
    return str(record.provenance.get("started", ""))


def _note(count: int, what: str) -> list[str]:
    if not count:
        return []
    return [f"{count} record{'s' if count > 1 else ''} {what}"]
