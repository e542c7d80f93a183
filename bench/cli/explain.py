"""`explain`: what a record was asked and stands on, how to rerun it, and why it would be reused or run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError, near_miss
from bench.records.record import Record, asked_differently
from bench.records.vouches import Vouches
from bench.running.cell_code import moved, values
from bench.running.plan import Cell, Plan
from bench.running.runner import store_of


def explain(planned: Plan, row: str, results: Path) -> Iterator[str]:
    """Lines about every cell that `row` (a part of scenario/label/seed, or a key) names."""
    cells = [c for c in planned.cells if row in c.name or c.key.startswith(row)]
    if not cells:
        why = next((f"; scenario {name} cannot be run: {w}" for name, w in planned.faults.items() if name in row), None)
        raise BenchError(f"no cell is named {row!r}{why or near_miss(row, [c.name for c in planned.cells])}")
    for cell in cells:
        yield from _cell(planned, cell, _records(planned, cell, results))
        yield ""


def _records(planned: Plan, cell: Cell, results: Path) -> list[Record]:
    """Of a run of the whole suite and of a run of this cell alone, which stand apart where another's data stand in."""
    stores = {
        store.path: store for store in (store_of(planned, results), store_of(replace(planned, cells=(cell,)), results))
    }
    return [record for store in stores.values() for record in store.read()]


def _cell(planned: Plan, cell: Cell, records: list[Record]) -> Iterator[str]:
    suite = planned.suite
    same_place = [
        r for r in records if (r.scenario, r.label, r.seed) == (cell.scenario.name, cell.row.label, cell.seed)
    ]
    same_key = [r for r in records if r.key == cell.key]
    yield f"{cell.name}  key {cell.key}"
    yield f"rerun: python -m bench run {suite.path} --profile {suite.profile} --only '{cell.name}' --force"
    yield verdict(cell, same_place, same_key)
    if same_key:
        yield from _stands_on(same_key[-1])
        yield f"record: {json.dumps(_shown(same_key[-1]), indent=1)}"
    yield f"asked: {json.dumps(cell.asked, indent=1, sort_keys=True)}"
    yield f"code: {json.dumps(values(cell.digests), indent=1)}"


def verdict(cell: Cell, same_place: list[Record], same_key: list[Record]) -> str:
    """Why the next run reuses the cell's record, or runs it (again)."""
    if not same_place and not same_key:
        return "never run: no record of this row and seed"
    if not same_key:
        changes = ", ".join(asked_differently(same_place[-1].asked, cell.asked))
        return f"the next run runs it again; since the last record these changed: {changes}"
    record = same_key[-1]
    if record.status == "failed":
        return f"it failed ({record.reason}): the next run tries it again"
    chain = Vouches.shipped().chain(record, values(cell.digests))
    since = f"on record since {record.provenance.get('started')}, computed by commit {record.provenance.get('commit')}"
    if chain is None:
        parts = "; ".join(moved(record.digests, cell.digests))
        return f"{since}; the next run runs it again, since its code moved: {parts}"
    for line in chain:
        since += f"; vouched for by commit {line.commit} on {line.day}, which reran {len(line.cells)} of its kind"
    return f"{since}: the next run reuses it"


def _stands_on(record: Record) -> Iterator[str]:
    """What a record stands on, apart from what was asked."""
    canary = record.provenance.get("canary")
    yield f"environment: {record.environment}{f', canary {canary}' if canary else ''}"
    yield f"machine: {record.provenance.get('machine')}"
    for role, sha256 in sorted(record.weights.items()):
        yield f"weights of {role}: sha256 {sha256[:16]}..."


def _shown(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude={"asked", "examples", "pictures", "schema_"})
