"""`reproduce`: rerun a sample of a board's cells on any machine, and say how far each lies from what is on record.

It reports and vouches for nothing: another processor gives other last digits, and what counts is whether a result lies
within what the row's own seeds spread over.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import registry
from bench.errors import BenchError
from bench.leaderboard.selection import Selection, select
from bench.records.record import Record
from bench.running.plan import Cell, Plan, asked_of
from bench.running.progress import Report
from bench.running.runner import rerun, store_of
from bench.verdicts.prediction import band
from bench.vouching.vouch import differ

SAMPLE_SEED = 20
LEVEL = 0.95


@dataclass(frozen=True)
class Reproduced:
    """One cell that was run again."""

    name: str
    metric: str
    on_record: float | None
    here: float | None
    low: float | None
    """Ends of the 95 % prediction interval of one more seed of the row; None where it has one seed."""
    high: float | None
    difference: str | None
    """From the record; None where it is the same to the last digit."""

    @property
    def within(self) -> bool | None:
        """Whether the result lies within the row's own spread; None where that is not known."""
        if self.difference is None:
            return True
        if self.here is None or self.low is None or self.high is None:
            return None
        return self.low <= self.here <= self.high


def reproduce(
    planned: Plan,
    *,
    results: Path,
    sample: int,
    jobs: int | None,
    device: str,
    plugins: Sequence[Path],
    report: Report,
) -> list[Reproduced]:
    """Rerun a seeded sample of the cells that have a record, in whatever environment this machine has.

    Raises:
        BenchError: nothing is on record.
    """
    records = store_of(planned, results).read()
    selection = select(planned.suite, records, asked_of(planned.suite, records))
    found = [(cell, record) for cell in planned.cells if (record := _of(selection, cell)) and record.status == "ok"]
    if not found:
        raise BenchError(f"nothing of {planned.suite.name} ({planned.suite.profile}) is on record under {results}")
    chosen = random.Random(SAMPLE_SEED).sample(found, min(sample, len(found)))
    cells = [cell for cell, _ in chosen]
    again = rerun(planned, cells, jobs=jobs, device=device, plugins=plugins, report=report)
    return [_compared(cell, record, again[cell.key], selection) for cell, record in chosen]


def _of(selection: Selection, cell: Cell) -> Record | None:
    return selection.cells.get((cell.scenario.name, cell.row.label), {}).get(cell.seed)


def _compared(cell: Cell, record: Record, again: Record, selection: Selection) -> Reproduced:
    metric = registry.SCENARIOS.get(cell.scenario.kind).headline
    seeds = selection.cells[cell.scenario.name, cell.row.label].values()
    low, high = spread([r.metrics[metric] for r in seeds if metric in r.metrics])
    told = record.metrics.get(metric), again.metrics.get(metric)
    return Reproduced(cell.name, metric, *told, low, high, differ(record, again))


def spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Between what one more seed would lie with 95 %, after those of a row; (None, None) for fewer than two.

    See `bench.verdicts.prediction`.
    """
    return (None, None) if len(values) < 2 else band(values, 1 - LEVEL)


def line(found: Reproduced) -> str:
    """One line for the terminal."""
    if found.difference is None:
        return f"equal   {found.name}: to the last digit"
    said = {True: "within ", False: "OUTSIDE", None: "unknown"}[found.within]
    spread_told = (
        "the row has one seed" if found.low is None else f"the row's seeds: [{found.low:.4f}, {found.high:.4f}]"
    )
    here = "no result" if found.here is None else f"{found.here:.4f}"
    return f"{said} {found.name}: {found.metric} {here}, on record {found.on_record:.4f}; {spread_told}"
