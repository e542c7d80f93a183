"""What lies within the floor, the noise of the upper reference itself, how far from it attacks see, and which do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.leaderboard import comparing
from bench.leaderboard.board import Row
from bench.leaderboard.comparing import Seeds
from bench.leaderboard.measures import FLOORS
from bench.metrics.resampling import t_difference
from bench.records.record import Record

WITHIN = "within the floor"
STRONG_ONLY = "the strong attack sees more"
STRONG = ("lira", "rmia", "ulira")


def with_gaps(record: Record) -> Record:
    """A record of unlearning with how far strong attacks' AUCs lie from what retrained models show, to either side.

    `ulira_gap` is that of U-LiRA, `strong_gap` the largest of all. Who looks *less* seen than a row that was never seen
    gives the request away as well, so that an AUC below its floor is no merit.
    """
    gaps = _gaps(record.metrics)
    if not gaps:
        return record
    told = {name: gaps[name] for name in ("ulira_gap",) if name in gaps} | {"strong_gap": max(gaps.values())}
    return record.model_copy(update={"metrics": record.metrics | told})


def _gaps(metrics: Mapping[str, float]) -> dict[str, float]:
    names = [f"{attack}_auc" for attack in STRONG]
    return {
        name.replace("auc", "gap"): abs(metrics[name] - metrics[f"floor_{name}"])
        for name in names
        if name in metrics and f"floor_{name}" in metrics
    }


def marks(row: Seeds, headline: str, higher_is_better: bool) -> tuple[str, ...]:
    """What has to be known of a row: that its headline is noise, or that the weak attack is blind to it."""
    return (WITHIN,) * within(row, headline, higher_is_better) + (STRONG_ONLY,) * strong_only(row)


def within(row: Seeds, headline: str, higher_is_better: bool) -> bool:
    """Whether the mean headline is not worse than the mean of its floor, over the seeds that have both."""
    floor = FLOORS.get(headline)
    seeds = {s: r for s, r in row.items() if floor in r.metrics and headline in r.metrics}
    if floor is None or not seeds:
        return False
    means = comparing.means(seeds)
    return means[headline] >= means[floor] if higher_is_better else means[headline] <= means[floor]


def strong_only(row: Seeds, metric: str = "strong_minus_weak") -> bool:
    """Whether strong attacks depart farther from their floor than the weak one, by more than retrained models show.

    By the 95 % interval over seeds, so never of a single seed.
    """
    names = (metric, f"floor_{metric}")
    seeds = [s for s, r in row.items() if all(name in r.metrics for name in names)]
    if len(seeds) < 2:
        return False
    found = t_difference(*([row[s].metrics[name] for s in seeds] for name in names))
    return found.low > 0


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
