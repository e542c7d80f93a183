"""What lies within the floor, the noise of the upper reference itself, and what is marked as worse than its floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.leaderboard import comparing
from bench.leaderboard.board import Row
from bench.leaderboard.comparing import Seeds
from bench.metrics.metric import Metric
from bench.metrics.resampling import t_difference

WITHIN = "within the floor"


def marks(row: Seeds, headline: Metric, metrics: Iterable[Metric]) -> tuple[str, ...]:
    """What has to be known of a row: that its headline is noise, and which of the scenario's metrics give it away."""
    worse = [m.worse_than_floor for m in metrics if m.worse_than_floor and worse_than_floor(row, m)]
    return (*([WITHIN] * within(row, headline)), *worse)


def within(row: Seeds, headline: Metric) -> bool:
    """Whether the mean headline is not worse than the mean of its floor, over the seeds that have both."""
    seeds = {s: row[s] for s in _with_floor(row, headline)}
    if not seeds:
        return False
    means = comparing.means(seeds)
    own, floor = means[headline.name], means[headline.floor]
    return own >= floor if headline.higher_is_better else own <= floor


def worse_than_floor(row: Seeds, metric: Metric) -> bool:
    """Whether a metric is worse than its floor by the 95 % interval over seeds, so never of a single seed."""
    seeds = _with_floor(row, metric)
    if len(seeds) < 2:
        return False
    found = t_difference(*([row[s].metrics[name] for s in seeds] for name in (metric.name, metric.floor)))
    return found.high < 0 if metric.higher_is_better else found.low > 0


def _with_floor(row: Seeds, metric: Metric) -> list[int]:
    return [s for s, r in row.items() if metric.name in r.metrics and metric.floor in r.metrics]


def with_ties(rows: Sequence[Row]) -> list[Row]:
    """Rows with ranks, best first; those within the floor share the first rank, and nobody is first among several."""
    tied = sum(1 for row in rows if row.rank is not None and WITHIN in row.marks)
    if tied < 2:
        return list(rows)
    return [
        replace(row, rank=1, rank_low=1, rank_high=max(tied, row.rank_high or 1), first=None)
        if row.rank is not None and WITHIN in row.marks
        else row
        for row in rows
    ]
