"""What a row has cost: means over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.leaderboard.board import Costs
from bench.metrics.metric import Cost
from bench.records.record import Record

LEAST_MB = 1.0
"""Growth of resident memory that is taken for a method's. Less says nothing, not even that it is cheap: malloc gives
again what it holds. (Until November 2026 cells started in processes that held what earlier cells had freed.)"""


def costs_of(records: Sequence[Record], more: Iterable[Cost]) -> Costs | None:
    """Means over records of what each has told; `more` declares those that only some scenarios tell."""
    tables: list[Mapping[str, Any]] = [r.costs for r in records if r.costs]
    if not tables:
        return None
    names = sorted({name for table in tables for name in table.get("samples", {})})
    samples = {name: float(np.mean([t.get("samples", {}).get(name, 0) for t in tables])) for name in names}
    flops = _mean_of(tables, "flops")
    return Costs(
        seconds=_mean_of(tables, "seconds"),
        peak_memory_mb=_memory(tables),
        gflops=None if flops is None else flops / 1e9,
        samples=float(sum(samples.values())) if any("samples" in t for t in tables) else None,
        samples_of=samples,
        more={cost.name: mean for cost in more if (mean := _mean_of(tables, cost.name)) is not None},
    )


def _memory(tables: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean growth in MB; None where that of any record was not seen, since the process had the memory already."""
    grown = [float(t["peak_memory_mb"]) for t in tables if t.get("peak_memory_mb") is not None]
    return float(np.mean(grown)) if grown and min(grown) >= LEAST_MB else None


def _mean_of(tables: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(t[name]) for t in tables if t.get(name) is not None]
    return float(np.mean(values)) if values else None
