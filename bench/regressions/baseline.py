"""Cells of a suite run again and held against a baseline: its records, and their own spread over seeds.

A metric raises an alarm where it differs from its record, and chance alone rarely puts one more seed of the row so far
out: at a q-value of at most 5 % over all metrics that differ in the session. Numbers that are equal to the last digit
are compared no further, so an unchanged suite on one machine raises no alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import registry
from bench.errors import BenchError
from bench.leaderboard import measures
from bench.leaderboard.building import with_derived
from bench.leaderboard.selection import select
from bench.metrics.metric import Metric, measured
from bench.records.record import Record, same_numbers
from bench.records.store import Store
from bench.running import arguments
from bench.running.plan import Cell, Plan, asked_of, plan
from bench.suite import suite as suites
from bench.verdicts.multiplicity import q_values
from bench.verdicts.prediction import band, chance

LEVEL = 0.05
"""The most that is expected of alarms that chance alone raises, as a share of all alarms of a session."""
SAMPLE = 10
"""Cells of a session that names none."""


@dataclass(frozen=True)
class Baseline:
    """A results file, and the cells of its suite that have a record in it."""

    path: Path
    planned: Plan
    """With the cells to be run again alone."""
    rows: Mapping[tuple[str, str], Mapping[int, Record]]
    """(scenario, label) -> seed -> the record that counts."""

    def record(self, cell: Cell) -> Record:
        """What is on record of a cell."""
        return self.rows[cell.scenario.name, cell.row.label][cell.seed]

    def seeds(self, cell: Cell) -> list[Record]:
        """The records of its row that have a result."""
        return [r for r in self.rows[cell.scenario.name, cell.row.label].values() if r.status == "ok"]


@dataclass(frozen=True)
class Departure:
    """A metric that is not what the baseline has."""

    metric: Metric
    before: float
    here: float
    seeds: int
    """Of the baseline's row that have the metric."""
    low: float | None
    """Ends of the 95 % band of one more seed; None where the row has one."""
    high: float | None
    p: float | None
    """How likely one more seed lies so far out by chance; None where the row has one seed."""
    q: float | None = None
    """That, corrected for all metrics that differ in the session."""

    @property
    def alarms(self) -> bool:
        """Whether chance does not explain it."""
        return self.q is not None and self.q <= LEVEL


def load(
    suite: str,
    folder: Path,
    profile: str | None = None,
    only: str | None = None,
    sample: int | None = None,
    device: str = "auto",
) -> Baseline:
    """Read a baseline and choose its cells.

    Args:
        suite: path or name.
        folder: that of the suite's results (`results/digits`), or one that holds it, or the `.jsonl` file itself.
        profile: by default that of the machine.
        only: part or shell pattern of scenario/row/seed; all such cells, unless there is a `sample` too.
        sample: so many cheap cells, of as many methods as possible. `SAMPLE`, where neither is given.
        device: where they are to run.

    Raises:
        BenchError: the baseline, or a cell of it that is asked for, is not there.
    """
    planned = plan(suites.load(suite, profile), None, only, arguments.device(device))
    loaded = planned.suite
    path = _file(folder, loaded.name, loaded.profile)
    if path is None:
        raise BenchError(
            f"no baseline of {loaded.name} at profile {loaded.profile} in {folder}: give the folder with "
            f"{loaded.profile}.jsonl, or make one with `python -m bench run {loaded.path} --profile {loaded.profile}`"
        )
    records = [with_derived(record) for record in Store(path).read()]
    rows = select(loaded, records, asked_of(loaded, records)).cells
    known = [
        cell
        for cell in planned.cells
        if (record := rows.get((cell.scenario.name, cell.row.label), {}).get(cell.seed)) and record.status != "failed"
    ]
    if not known:
        what = f"no cell {only!r}" if only else "no cell of the suite as it is now"
        raise BenchError(f"{path} has {what} with a result: run the suite, or name a cell that is on record")
    if sample is None and only is None:
        sample = SAMPLE
    found = Baseline(path, planned, rows)
    chosen = known if sample is None else _cheap(known, found, sample)
    return replace(found, planned=replace(planned, cells=tuple(chosen)))


def _file(folder: Path, suite: str, profile: str) -> Path | None:
    if folder.is_file():
        return folder
    places = (folder / f"{profile}.jsonl", folder / suite / f"{profile}.jsonl")
    return next((place for place in places if place.is_file()), None)


def _cheap(cells: Sequence[Cell], baseline: Baseline, number: int) -> list[Cell]:
    """The cheapest cells of one seed, whose standard models they share, one of each method first; in their order."""

    def price(cell: Cell) -> float:
        return float(baseline.record(cell).costs.get("seconds", 0.0))

    chosen: dict[str, Cell] = {}
    turns: dict[tuple[int, str, str], int] = {}
    ordered = []
    for cell in sorted(cells, key=price):
        kind = (cell.seed, cell.scenario.kind, cell.row.method)
        turns[kind] = turns.get(kind, -1) + 1
        ordered.append((cell.seed, turns[kind], price(cell), cell))
    for *_, cell in sorted(ordered, key=lambda told: told[:3])[:number]:
        chosen[cell.name] = cell
    return [cell for cell in cells if cell.name in chosen]


def departures(baseline: Baseline, cell: Cell, again: Record) -> list[Departure]:
    """The declared metrics of a rerun that differ from the record of its cell, both with a result."""
    record, again = baseline.record(cell), with_derived(again)
    kind = registry.SCENARIOS.get(record.kind)
    found = []
    for metric in measured({*record.metrics} & {*again.metrics}, kind.metrics):
        before, here = record.metrics[metric.name], again.metrics[metric.name]
        if before == here:
            continue
        values = [r.metrics[metric.name] for r in baseline.seeds(cell) if metric.name in r.metrics]
        least = 1 / record.examples[metric.examples].n if metric.examples in record.examples else 0.0
        if len(values) < 2:
            found.append(Departure(metric, before, here, len(values), None, None, None))
            continue
        ends, p = band(values, LEVEL, least), chance(values, here, least)
        found.append(Departure(metric, before, here, len(values), *ends, p))
    return found


def judged(found: Mapping[str, Sequence[Departure]]) -> dict[str, list[Departure]]:
    """Name of a cell -> its departures with their q-values over all cells of the session."""
    p = {f"{name} {d.metric.name}": d.p for name, some in found.items() for d in some}
    q = q_values(p)
    return {name: [replace(d, q=q[f"{name} {d.metric.name}"]) for d in some] for name, some in found.items()}


def ending(baseline: Baseline, cell: Cell, again: Record) -> str:
    """How a rerun ended otherwise than its record; empty where it did not, or has metrics that are not on record."""
    record = baseline.record(cell)
    if record.status != again.status:
        return f"{record.status} on record, {again.status} here: {again.reason}"
    if lacking := sorted(record.metrics.keys() - with_derived(again).metrics.keys()):
        return f"it has no {', '.join(lacking)} any more"
    return ""


def line(found: Departure) -> str:
    """A departure in one line: which metric, by how much, how likely by chance."""
    metric = found.metric
    values = f"{measures.number(metric, found.here)}, on record {measures.number(metric, found.before)}"
    by = measures.number(metric, found.here - found.before, sign=True)
    told = f"{measures.heading(metric)}: {values} ({by})"
    if found.p is None:
        return f"{told}; the baseline has one seed, so its spread is not known"
    ends = measures.interval(metric, found.low, found.high)
    chances = f"chance {measures.p_value(found.p)}, {measures.p_value(found.q)} over this session"
    return f"{told}; one more of {found.seeds} seeds would lie in {ends} with 95 %; {chances}"


def update(baseline: Baseline, again: Iterable[tuple[Cell, Record]]) -> int:
    """Put reruns in the place of the records from which they differ; how many. Those that failed change nothing."""
    changed = 0
    for cell, record in again:
        before = baseline.record(cell)
        if record.status == "failed" or (record.status == before.status and same_numbers(before, with_derived(record))):
            continue
        Store(baseline.path).append(record)
        changed += 1
    return changed
