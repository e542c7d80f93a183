"""How far the seeds of a row have come: which have a result, and at which look that makes it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from bench.leaderboard import comparing
from bench.leaderboard.comparing import Seeds
from bench.metrics.metric import Metric
from bench.records.record import Record
from bench.records.vouches import Vouches
from bench.suite.suite import Suite
from bench.verdicts.looks import Reached, Schedule, reached


def with_value(row: Seeds, metric: Metric) -> dict[int, Record]:
    """The seeds of a row that have a result, and the metric in it."""
    return {s: r for s, r in row.items() if r.status == "ok" and comparing.value(r, metric.name) is not None}


def seeds_reached(suite: Suite, schedule: Schedule, done: Seeds, failed: Iterable[int] = ()) -> Reached:
    """How far the seeds of one row, or of two that are paired, have come.

    Args:
        suite: the order of its seeds.
        schedule: its looks.
        done: seed -> record (of one of two rows) where there is a result.
        failed: seeds that were run, and gave none.
    """
    order = suite.seeds_in_order(len(done) + schedule.looks[-1].n)
    return reached(schedule, order, done, set(failed), lambda seed: standard_models(done[seed]))


def standard_models(record: Record) -> Hashable:
    """What tells the standard models of two seeds apart: their weights, and the seed where not all are known."""
    weights: Mapping[str, str] = Vouches.shipped().weights(record)
    asked = record.asked.get("zoo", {})
    return tuple(sorted(weights.items())) if asked and asked.keys() <= weights.keys() else record.seed
