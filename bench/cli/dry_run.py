"""`run --dry-run`: the cells of a plan, which are on record, and the time to expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.running.plan import Plan
from bench.running.progress import expected_seconds, span, stand_in_lines
from bench.running.runner import OnRecord, on_record, stale_lines, store_of


def dry_run_lines(planned: Plan, results: Path, jobs: int, force: bool) -> Iterator[str]:
    """Stand-ins, cells, the sum; times are those of earlier records, training of standard models not counted."""
    records = store_of(planned, results).read()
    found = OnRecord() if force else on_record(planned, records)
    there = found.records
    todo = [cell for cell in planned.cells if cell.key not in there]
    expected = expected_seconds(todo, records)
    yield from stand_in_lines(planned)
    for cell in planned.cells:
        state = "on record" if cell.key in there else f"to run, {_seconds(expected.get(cell.key))}"
        yield f"  {cell.name:<60} {state}"
    yield from stale_lines(found.stale)
    if not todo:
        yield f"{len(there)} on record, nothing to run"
        return
    known = [expected[cell.key] for cell in todo if cell.key in expected]
    unknown = len(todo) - len(known)
    told = f"about {span(sum(known) / jobs)} at {jobs} jobs" if known else "time unknown: nothing like it is on record"
    also = f", besides {unknown} cells never run before" if known and unknown else ""
    yield f"{len(there)} on record, {len(todo)} to run: {told}{also} (training of standard models not counted)"


def _seconds(value: float | None) -> str:
    return "time unknown" if value is None else f"about {value:.0f} s"
